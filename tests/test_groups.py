"""Tests that share something run on one worker: what `xdist_group` promises.

A newer pytest or pytest-xdist may lose the groups without a word; then runs that wait for each
other, and ports that are taken, make other tests fail at times.
"""

import os
import subprocess
import sys
from pathlib import Path

GROUPED = """
import os, time
import pytest

pytestmark = pytest.mark.xdist_group("one")

@pytest.mark.parametrize("number", range(6))
def test_where(number):
    time.sleep(0.1)
    print("on", os.environ["PYTEST_XDIST_WORKER"])
"""


def test_a_group_runs_on_one_worker(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"test_{name}.py").write_text(GROUPED)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    alone = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-n", "2", "--dist", "loadgroup", "-rP", "."],
        cwd=tmp_path, env=alone, capture_output=True, text=True, check=False,
    )  # fmt: skip
    workers = [line for line in run.stdout.splitlines() if line.startswith("on gw")]
    assert len(workers) == 12 and len(set(workers)) == 1, run.stdout
