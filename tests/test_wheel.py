"""What `pip install` gives: a wheel with everything that is read at run time, working anywhere."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
GOLDEN = """
import sys
import caduceus
assert not caduceus.__file__.startswith({repository!r}), caduceus.__file__
network = caduceus.Network.find("resnet9")
program = caduceus.compile(network, caduceus.Chip.find("hermes"))
x = program.sample[:1]
result = caduceus.Golden(program).run(x)
print(result.outputs.shape, caduceus.__version__)
wrong = {{"amaranth", "cocotb", "distributed", "matplotlib"}} & set(sys.modules)
assert not wrong, wrong
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    # A copy, because setuptools writes beside the sources.
    tree = folder / "tree"
    names = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=REPOSITORY, capture_output=True, check=True, text=True,
    ).stdout.split("\0")  # fmt: skip
    for name in filter(None, names):
        source = REPOSITORY / name
        if source.is_file():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            (tree / name).write_bytes(source.read_bytes())
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index",
         "--quiet", "--wheel-dir", folder, tree],
        check=True, capture_output=True,
    )  # fmt: skip
    (found,) = folder.glob("*.whl")
    return found


def test_the_wheel_has_one_package_and_all_its_data(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"caduceus"}
    inside = {name for name in names if name.startswith("caduceus/")}
    for folder, target in (
        ("caduceus", "caduceus"), ("hdl", "caduceus/hdl"), ("golden", "caduceus/golden"),
        ("chips", "caduceus/chips"), ("networks", "caduceus/networks"),
    ):  # fmt: skip
        wanted = {
            f"{target}/{path.relative_to(REPOSITORY / folder)}"
            for path in (REPOSITORY / folder).rglob("*")
            if path.is_file() and "__pycache__" not in path.parts
        }
        assert wanted <= inside, f"missing: {sorted(wanted - inside)}"


def test_the_wheel_runs_the_golden_model_from_another_folder(wheel, tmp_path):
    target = tmp_path / "site"
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "--quiet",
         "--target", target, wheel],
        check=True, capture_output=True,
    )  # fmt: skip
    work = tmp_path / "elsewhere"
    work.mkdir()
    run = subprocess.run(
        [sys.executable, "-c", GOLDEN.format(repository=str(REPOSITORY))],
        cwd=work, env=os.environ | {"PYTHONPATH": str(target)}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith("(1, 1, 10)"), run.stdout


def test_an_installation_without_its_data_says_that_it_is_broken(wheel, tmp_path):
    target = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(target)
    for path in (target / "caduceus" / "chips").glob("*.yaml"):
        path.unlink()
    run = subprocess.run(
        [sys.executable, "-m", "caduceus", "compile", "--chip", "tiny", "--net", "resnet_tiny"],
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(target)}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert run.returncode == 2
    assert "installation" in run.stderr and run.stderr.count("\n") == 1, run.stderr
