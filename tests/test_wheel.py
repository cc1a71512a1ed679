"""What `pip install` gives: a wheel with everything that is read at run time, working anywhere."""

import os
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement

REPOSITORY = Path(__file__).resolve().parent.parent
GOLDEN = """
import sys
sys.modules.update(dict.fromkeys({blocked!r}))
import caduceus
assert not caduceus.__file__.startswith({repository!r}), caduceus.__file__
network = caduceus.Network.find("resnet9")
program = caduceus.compile(network, caduceus.Chip.find("hermes"))
x = program.sample[:1]
result = caduceus.Golden(program).run(x)
print(result.outputs.shape, caduceus.__version__)
"""
MAPPED = {
    "caduceus": "caduceus", "hdl": "caduceus/hdl", "golden": "caduceus/golden",
    "chips": "caduceus/chips", "networks": "caduceus/networks",
}  # fmt: skip
"""Folders of the repository, and where they are in the wheel."""
SECONDS = 900
"""Far more than any of it takes: so that a hang is reported."""


def ran(command: Sequence[object], **options: object) -> subprocess.CompletedProcess:
    return subprocess.run(
        list(map(str, command)), capture_output=True, text=True, timeout=SECONDS,
        **{"check": True, **options},
    )  # fmt: skip


def installed(wheel: Path, target: Path) -> dict[str, str]:
    """Install it alone in `target`; the environment in which it is found."""
    ran([sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "--quiet",
         "--target", target, wheel])  # fmt: skip
    return os.environ | {"PYTHONPATH": str(target)}


def not_of_the_base() -> list[str]:
    """Import packages that are here, and that the base installation does not bring."""
    base, waiting = set(), ["caduceus"]
    while waiting:
        name = waiting.pop().lower().replace("_", "-")
        if name in base:
            continue
        base.add(name)
        try:
            needed = map(Requirement, requires(name) or [])
        except PackageNotFoundError:
            continue
        for each in needed:
            if not each.marker or each.marker.evaluate({"extra": ""}):
                waiting.append(each.name)
    return sorted(
        package
        for package, names in packages_distributions().items()
        if not package.startswith("_")
        and not {name.lower().replace("_", "-") for name in names} & base
    )


@pytest.fixture(scope="module")
def tree(tmp_path_factory) -> Path:
    """A copy, because setuptools writes beside the sources; without what git ignores."""
    tree = tmp_path_factory.mktemp("tree")
    listed = ran(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                 cwd=REPOSITORY)  # fmt: skip
    for name in filter(None, listed.stdout.split("\0")):
        source = REPOSITORY / name
        if source.is_file():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            (tree / name).write_bytes(source.read_bytes())
    return tree


@pytest.fixture(scope="module")
def wheel(tree, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    ran([sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index",
         "--quiet", "--wheel-dir", folder, tree])  # fmt: skip
    (found,) = folder.glob("*.whl")
    return found


def test_the_wheel_has_one_package_and_all_its_files_and_no_others(tree, wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if not name.endswith("/")}
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"caduceus"}
    inside = {name for name in names if name.startswith("caduceus/")}
    for folder, target in sorted(MAPPED.items(), key=lambda pair: -len(pair[1])):
        wanted = {
            f"{target}/{path.relative_to(tree / folder)}"
            for path in (tree / folder).rglob("*")
            if path.is_file()
        }
        mine = {name for name in inside if name.startswith(f"{target}/")}
        inside -= mine
        assert wanted and mine == wanted, (
            f"{folder}: missing {sorted(wanted - mine)}, too many {sorted(mine - wanted)}"
        )


def test_the_wheel_runs_the_golden_model_from_another_folder(wheel, tmp_path):
    environment = installed(wheel, tmp_path / "site")
    blocked = not_of_the_base()
    assert {"amaranth", "cocotb", "dask", "matplotlib", "serial", "pytest"} <= set(blocked)
    assert not {"numpy", "numba", "llvmlite", "yaml", "pydantic_core", "caduceus"} & set(blocked)
    work = tmp_path / "elsewhere"
    work.mkdir()
    script = GOLDEN.format(repository=str(REPOSITORY), blocked=blocked)
    run = ran([sys.executable, "-c", script], cwd=work, env=environment, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith("(1, 1, 10)"), run.stdout


@pytest.mark.regress
def test_the_wheel_simulates_from_another_folder(wheel, tmp_path):
    environment = installed(wheel, tmp_path / "site")
    environment.pop("CADUCEUS_BUILD", None)
    work = tmp_path / "elsewhere"
    work.mkdir()
    run = ran(
        [sys.executable, "-m", "caduceus", "sim", "--chip", "tiny", "--net", "conv_32x16",
         "--sim", "icarus"],
        cwd=work, env=environment, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
    assert " 0 mismatches" in run.stdout
    assert [path.name for path in work.iterdir()] == ["build"]


def test_an_installation_without_its_data_says_that_it_is_broken(wheel, tmp_path):
    target = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(target)
    for path in (target / "caduceus" / "chips").glob("*.yaml"):
        path.unlink()
    run = ran(
        [sys.executable, "-m", "caduceus", "compile", "--chip", "tiny", "--net", "resnet_tiny"],
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(target)}, check=False,
    )  # fmt: skip
    assert run.returncode == 2
    assert "installation" in run.stderr and run.stderr.count("\n") == 1, run.stderr
