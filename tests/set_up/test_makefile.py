"""The files of the clone that users and continuous integration start from."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib

import pytest
import yaml
from setup_fakes import ROOT


def make(*arguments, **variables):
    environment = {**os.environ, **variables}
    for name in ("MAKEFLAGS", "MAKELEVEL", "CHIP", "NET", "SIM", "READ_MODE", "IMAGES", "ARGS"):
        if name not in variables:
            environment.pop(name, None)
    command = ["make", "--no-print-directory", "-C", str(ROOT), "PYTHON=true", *arguments]
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, check=True
    ).stdout


SHOW = "CADUCEUS=printf '[%s]\\n'"


def test_make_passes_only_the_options_that_are_set():
    assert make("sim", SHOW) == "[sim]\n"
    output = make("sim", SHOW, "CHIP=tiny", "SIM=icarus", "READ_MODE=4-phase", "IMAGES=3", "NET=n")
    assert output.splitlines() == [
        "[sim]",
        "[--chip=tiny]",
        "[--net=n]",
        "[--sim=icarus]",
        "[--read-mode=4-phase]",
        "[--images=3]",
    ]


@pytest.mark.parametrize("value", ["a b", "x'y", 'x"y', "; echo no", "`echo no`", "--help", "*"])
def test_make_hands_odd_values_over_untouched(value):
    assert make("sim", SHOW, f"CHIP={value}") == f"[sim]\n[--chip={value}]\n"
    assert make("verilog", SHOW, CHIP=value) == f"[verilog]\n[--chip={value}]\n"


def test_missing_interpreter_is_one_sentence():
    words = ["make", "--no-print-directory", "-C", str(ROOT), "PYTHON=no-such-python", "sim"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "There is no no-such-python here: install Python 3.11 or newer" in done.stderr


def test_make_alone_lists_every_target():
    listed = re.findall(r"^  make ([\w-]+)", make(), re.MULTILINE)
    phony = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert sorted(listed) == sorted(phony[1].split())


def test_lock_file_pins_all_that_is_needed_with_hashes():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    of_dev = re.search(r"caduceus\[(.*?)\]", " ".join(extras["dev"]))[1].split(",")
    assert set(of_dev) == extras.keys() - {"dev", "train", "text"}
    wanted = [
        *project["dependencies"],
        *(each for name in (*of_dev, "dev") for each in extras[name]),
    ]
    names = {re.split(r"[<>=\[ ]", each)[0].lower().replace("_", "-") for each in wanted}
    names -= {project["name"]}
    lock = (ROOT / "requirements.lock").read_text()
    pinned = set(re.findall(r"^([a-z0-9-]+)==", lock, re.MULTILINE))
    assert names <= pinned
    for entry in re.split(r"\n(?=[a-z0-9])", lock.split("requirements.lock\n", 1)[1]):
        assert "--hash=sha256:" in entry


def test_no_mirror_or_registry_is_named():
    files = [ROOT / name for name in ("Makefile", "pyproject.toml", "requirements.lock", ".ci/run")]
    files += (ROOT / "tools").rglob("*.py")
    files += (ROOT / ".github").rglob("*.yml")
    named = {match for path in files for match in re.findall(r"\w+://[^\s\"']+", path.read_text())}
    assert named == {"https://github.com/verilator/verilator"}


def test_continuous_integration_runs_the_readme_command_and_nothing_else():
    run = [line for line in (ROOT / ".ci/run").read_text().splitlines() if not line.startswith("#")]
    assert run[-1] == "exec make test"
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())
    assert workflow["jobs"]["test"]["steps"][-1]["run"] == ".ci/run"
