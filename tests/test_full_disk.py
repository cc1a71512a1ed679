"""A disk that is full, or a file that may not grow: one sentence, and nothing half written."""

import os
import subprocess
import sys

import full_disk
import pytest
from command_line import REPOSITORY

LIMITED = """
import resource, sys
import caduceus
program = caduceus.compile(caduceus.Network.find("fashion_tiny"), caduceus.Chip.find("tiny"))
caduceus.Golden(program).run(program.sample[:1])
# Everything is compiled and cached: what is written from here on is the command's.
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
from caduceus.cli.main import main
main()
"""
TINY = ("--chip", "tiny", "--net", "fashion_tiny", "--images", "5")


@pytest.mark.parametrize(
    ("arguments", "file"),
    [
        (("compile", "--chip", "tiny", "--net", "fashion_tiny"), "programs/fashion_tiny-tiny-4-"),
        (("accuracy", *TINY), "accuracy.json"),
        (("run", *TINY), "run/result.json"),
    ],
)
def test_a_file_that_cannot_grow_is_one_sentence_and_not_there(tmp_path, arguments, file):
    run = subprocess.run(
        [sys.executable, "-c", LIMITED, *arguments], cwd=REPOSITORY, text=True, check=False,
        capture_output=True, env=os.environ | {"CADUCEUS_BUILD": str(tmp_path)},
    )  # fmt: skip
    assert run.returncode == 2, run.stderr
    assert run.stderr.startswith(f"caduceus: {tmp_path / file}") and run.stderr.count("\n") == 1
    assert "File too large" in run.stderr
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.regress
def test_a_full_disk():
    assert full_disk.namespace(), "a full disk needs root, or `unshare` with mounts of its own"
    script = REPOSITORY / "tests" / "full_disk.py"
    run = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
