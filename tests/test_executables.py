"""Which programs the library starts, with and without an active environment."""

import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

from caduceus.sim import executables


def script(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def verilator(folder: Path, version: str) -> Path:
    return script(folder / "verilator", f"#!/bin/sh\necho Verilator {version} x\n")


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """A virtual environment with the command, as an installation makes it, and no path to it."""
    folder = tmp_path / "environment"
    venv.create(folder)
    python = folder / "bin" / "python"
    # What this environment has installed, an editable installation's finder included.
    installed = sysconfig.get_path("purelib")
    packages = sysconfig.get_path("purelib", vars={"base": str(folder)})
    Path(packages, "installed.pth").write_text(f"import site; site.addsitedir({installed!r})\n")
    script(
        folder / "bin" / "caduceus", f"#!{python}\nfrom caduceus.__main__ import main\n\nmain()\n"
    )
    return folder


def run(environment: Path, path: str, *arguments: str) -> subprocess.CompletedProcess:
    variables = os.environ | {"PATH": path}
    return subprocess.run(
        [environment / "bin" / "caduceus", *arguments], env=variables, capture_output=True,
        text=True, check=False,
    )  # fmt: skip


def test_command_takes_its_environments_verilator_before_an_older_one(
    environment: Path, tmp_path: Path
) -> None:
    verilator(tmp_path / "system", "5.006")
    ours = verilator(environment / "bin", "5.007")
    done = run(environment, f"{tmp_path / 'system'}:/usr/bin:/bin", "sim", "--chip", "tiny")
    assert done.returncode == 2
    assert f"{ours} is Verilator 5.007 x" in done.stderr.replace("\n", " ")


def test_command_takes_the_verilator_of_path_where_its_environment_has_none(
    environment: Path, tmp_path: Path
) -> None:
    users = verilator(tmp_path / "system", "5.006")
    done = run(environment, f"{tmp_path / 'system'}:/usr/bin:/bin", "sim", "--chip", "tiny")
    assert done.returncode == 2
    assert f"{users} is Verilator 5.006 x" in done.stderr.replace("\n", " ")


def test_outside_an_environment_path_alone_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    verilator(tmp_path / "system", "5.006")
    users = verilator(tmp_path / "own", "5.048")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "system" / "python"))
    monkeypatch.setattr(sys, "prefix", sys.base_prefix)
    monkeypatch.setenv("PATH", f"{tmp_path / 'own'}:{tmp_path / 'system'}")
    assert executables.find("verilator") == str(users)


def test_what_is_started_finds_the_same_programs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = verilator(tmp_path, "5.048")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    monkeypatch.setenv("VERILATOR_ROOT", "/elsewhere")
    done = subprocess.run(
        ["sh", "-c", "command -v verilator; echo ${VERILATOR_ROOT-none}"],
        env=executables.environment(), capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.splitlines() == [str(ours), "none"]
    assert os.environ["VERILATOR_ROOT"] == "/elsewhere"
