"""The Verilog package: four tools take it, it is always the same, and it computes the same."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from rich.console import Console

from caduceus.export import verilog
from caduceus.export.package import names, rtlil
from caduceus.export.package.contents import (
    BLACK_BOX,
    EMULATED,
    FREE_RUNNING,
    LATCH,
    Package,
    package,
)
from caduceus.export.package.initial import shortened
from caduceus.export.package.widths import explicit
from caduceus.hdl.array import pcm_array
from caduceus.spec import extras
from caduceus.spec.chip import Chip
from caduceus.spec.errors import UserError
from tb import test_chip, test_tile
from tb.benches import Bench, Case, Design, Variant
from tb.chips import sized

REPOSITORY = Path(__file__).resolve().parent.parent
CHIPS = [
    pytest.param("tiny", marks=pytest.mark.xdist_group("package-tiny")),
    pytest.param("hermes", marks=[pytest.mark.regress, pytest.mark.xdist_group("package-hermes")]),
    pytest.param(
        "hermes_wide",
        marks=[pytest.mark.regress, pytest.mark.xdist_group("package-hermes_wide")],
    ),
]
FORBIDDEN = re.compile(
    r"\$(?!signed\b|unsigned\b|clog2\b)\w+"  # tasks: $display, $fopen, $test$plusargs, ...
    r"|(?<!\w)#\s*\d"  # delays
    r"|`\w+"  # directives: `ifdef, `timescale, ...
    r"|\b(?:force|release|deassign|wait|fork|forever|real|time|event|specify|always_comb)\b"
)
"""What is for simulators only, and what synthesis tools differ on."""


@dataclass(frozen=True)
class Written:
    """What the command left in its folder and printed, and what it should have left."""

    folder: Path
    run: subprocess.CompletedProcess
    package: Package


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Written]:
    """A chip's package, made once a chip by the command and once here."""
    made: dict[str, Written] = {}

    def of(name: str) -> Written:
        if name not in made:
            folder = tmp_path_factory.mktemp(name)
            command = (sys.executable, "-m", "caduceus", "verilog", "--chip", name, "--output")
            run = subprocess.run(
                [*command, folder], cwd=REPOSITORY, capture_output=True, text=True, check=False,
                env={**os.environ, "PYTHONHASHSEED": "4711"},
            )  # fmt: skip
            here = verilog.write_files(Chip.find(name), tmp_path_factory.mktemp(name))
            made[name] = Written(folder, run, here)
        return made[name]

    return of


def _verilog(made: Package) -> dict[str, str]:
    """The Verilog files, without their comments."""
    return {
        name: re.sub(r"//.*|/\*.*?\*/|\(\*.*?\*\)", "", text)
        for name, text in made.files.items()
        if name.endswith((".v", ".sv"))
    }


@pytest.mark.parametrize("name", CHIPS)
def test_four_tools_take_every_design_without_a_warning(written, name: str) -> None:
    run = written(name).run
    assert run.returncode == 0, run.stdout + run.stderr
    assert run.stderr == ""
    checks = verilog.checks(written(name).package.designs)
    assert len(checks) == 4 + 3 + 4
    for check in checks:
        assert f"{check.name}: {check.what}" in run.stdout


@pytest.mark.parametrize("name", CHIPS)
def test_nothing_is_waived_but_ports_that_a_module_does_not_use(written, name: str) -> None:
    made = written(name).package
    waived = {path: set(re.findall(r"lint_off (\w+)", text)) for path, text in made.files.items()}
    assert {path: rules for path, rules in waived.items() if rules} == {
        f"{BLACK_BOX}/pcm_array.v": {"UNDRIVEN", "UNUSEDSIGNAL", "UNUSEDPARAM"},
        f"{FREE_RUNNING}/clock_gate.v": {"UNUSEDSIGNAL"},
        f"{LATCH}/clock_gate.sv": {"COMBDLY"},
    }


@pytest.mark.parametrize("name", CHIPS)
def test_nothing_is_for_simulators_only(written, name: str) -> None:
    made = written(name).package
    found = {path: FORBIDDEN.findall(text) for path, text in _verilog(made).items()}
    assert not {path: what for path, what in found.items() if what}


def test_what_is_for_simulators_only_would_be_found() -> None:
    for text in ('$display("x");', "$fopen", "#1 a = b;", "`ifdef SIMULATION", "wait (a);"):
        assert FORBIDDEN.search(text), text
    assert not FORBIDDEN.search("pcm_array #(.ROWS(4)) a = $signed(b) + 8'h00;")


@pytest.mark.parametrize("name", CHIPS)
def test_a_file_is_a_module_of_plain_names(written, name: str) -> None:
    made = written(name).package
    modules: dict[str, str] = {}
    for path, text in _verilog(made).items():
        assert re.findall(r"^module (\w+)", text, re.MULTILINE) == [Path(path).stem], path
        assert "\\" not in text, path
        words = set(re.findall(r"[A-Za-z_$][\w$]*", text))
        assert not {word for word in words if "$" in word} - {"$signed", "$clog2"}, path
        modules[path] = text
    # One that is there twice could have been shared.
    bodies = [text.partition(" (")[2] for path, text in modules.items() if path.startswith("rtl/")]
    assert len(bodies) == len(set(bodies))


@pytest.mark.parametrize("name", CHIPS)
def test_designs_are_complete_and_nothing_is_left_over(written, name: str) -> None:
    made = written(name).package
    listed = {path for design in made.designs for path in design.files}
    assert listed == set(_verilog(made))
    for design in made.designs:
        assert len({Path(path).stem for path in design.files}) == len(design.files)
        assert made.files[design.list_name].splitlines() == list(design.files)


@pytest.mark.parametrize("name", CHIPS)
def test_another_process_writes_the_same_bytes(written, name: str) -> None:
    folder, made = written(name).folder, written(name).package
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    logs = {f"{check.name}.log" for check in verilog.checks(made.designs)}
    assert found - logs == set(made.files)
    for path, text in made.files.items():
        assert (folder / path).read_text() == text, path


@pytest.mark.xdist_group("package-tiny")
def test_files_of_an_earlier_package_go_and_users_files_stay(written, tmp_path: Path) -> None:
    made = written("tiny").package
    for path in ("rtl/old.v", "rtl/mine.v", "mine.v"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text("module mine; endmodule")
    (tmp_path / "chip.f").write_text("rtl/old.v\n../outside.v\nmine.v\n")
    outside = tmp_path.parent / "outside.v"
    outside.write_text("")
    verilog.write_files(Chip.find("tiny"), tmp_path)
    found = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert found == {*made.files, "rtl/mine.v", "mine.v"}
    assert outside.exists()


def test_a_package_that_cannot_be_written_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="file/folder: cannot write the Verilog: Not a directory"):
        verilog.write_files(Chip.find("tiny"), tmp_path / "file" / "folder")


def test_a_missing_tool_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda name: None if name == "pyslang" else name)
    with pytest.raises(UserError, match=r"^package pyslang is not installed: .*\[fpga\]"):
        verilog.run("tiny", tmp_path / "out", Console(quiet=True))
    assert not (tmp_path / "out").exists()


@pytest.mark.xdist_group("package-tiny")
def test_a_failed_check_is_one_sentence_with_its_log(
    written, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = written("tiny").package
    (bad, *_) = verilog.checks(made.designs)
    bad = replace(bad, command=(sys.executable, "-c", "print('fault')"))
    monkeypatch.setattr(verilog, "write_files", lambda *_: made)
    monkeypatch.setattr(verilog, "checks", lambda *_: [bad])
    shutil.copytree(written("tiny").folder, tmp_path / "out")
    with pytest.raises(UserError) as caught:
        verilog.run("tiny", tmp_path / "out", Console(quiet=True))
    log = tmp_path / "out" / f"{bad.name}.log"
    assert str(caught.value).startswith(f"{log}: the Verilog failed a check: got 1 failed")
    assert log.read_text() == "fault\n"


@pytest.mark.xdist_group("package-tiny")
@pytest.mark.parametrize("parameter", [*pcm_array.module_parameters(Chip.find("tiny"))])
def test_emulation_refuses_other_sizes(written, tmp_path: Path, parameter: str) -> None:
    folder, made = written("tiny").folder, written("tiny").package
    size = 2 * pcm_array.module_parameters(Chip.find("tiny"))[parameter]
    missing = f"{parameter.lower()}_of_this_emulation_is_{size // 2}"
    top = f"module top; pcm_array #(.{parameter}({size})) array (); endmodule"
    (tmp_path / "top.v").write_text(top)
    files = [folder / path for path in made.designs[0].files if path.startswith(EMULATED)]
    for command in (
        ("verilator", "--lint-only", "-Wno-PINMISSING", "--top-module", "top"),
        ("iverilog", "-g2005", "-t", "null", "-s", "top"),
    ):
        done = subprocess.run(
            [*command, "top.v", *files], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode != 0
        assert missing in done.stdout + done.stderr


def _fusesoc(folder: Path, place: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "fusesoc.main", "--cores-root", folder, *arguments],
        cwd=place, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.xdist_group("package-tiny")
def test_fusesoc_lists_the_core_and_lints_a_tile(written, tmp_path: Path) -> None:
    folder = written("tiny").folder
    assert "::caduceus_tiny:" in _fusesoc(folder, tmp_path, "list-cores")
    _fusesoc(folder, tmp_path, "run", "--target", "lint_tile", "caduceus_tiny")


@pytest.mark.xdist_group("package-tiny")
@pytest.mark.parametrize(
    "target, flags, files",
    [
        ("default", (), (f"{EMULATED}/pcm_array.v", f"{FREE_RUNNING}/clock_gate.v")),
        ("default", ("own_array",), (f"{FREE_RUNNING}/clock_gate.v",)),
        ("default", ("gated_clocks",), (f"{EMULATED}/pcm_array.v", f"{LATCH}/clock_gate.sv")),
        ("default", ("own_array", "own_gate"), ()),
        ("black_box", (), (f"{BLACK_BOX}/pcm_array.v", f"{FREE_RUNNING}/clock_gate.v")),
        ("tile", (), (f"{EMULATED}/pcm_array.v",)),
        ("lint", (), (f"{BLACK_BOX}/pcm_array.v", f"{FREE_RUNNING}/clock_gate.v")),
    ],
)
def test_targets_and_flags_choose_array_and_gate(
    written, tmp_path: Path, target: str, flags: tuple[str, ...], files: tuple[str, ...]
) -> None:
    folder = written("tiny").folder
    chosen = [word for flag in flags for word in ("--flag", flag)]
    tool = [] if target == "lint" else ["--tool", "icarus"]
    _fusesoc(
        folder, tmp_path, "run", "--target", target, "--setup", *tool, *chosen, "caduceus_tiny"
    )
    (description,) = tmp_path.rglob("*.eda.yml")
    found = re.findall(r"(?:array|gate)/\w+/(?:pcm_array|clock_gate)\.\w+", description.read_text())
    assert tuple(found) == files


@pytest.mark.parametrize("name", CHIPS)
def test_manual_names_every_port(written, name: str) -> None:
    made = written(name).package
    for path, heading in (
        ("rtl/chip.v", "chip"),
        ("rtl/axi_tile.v", "axi_tile"),
        (f"{EMULATED}/emulated_array.v", "pcm_array and emulated_array"),
        (f"{FREE_RUNNING}/clock_gate.v", "clock_gate"),
    ):
        text = _verilog(made)[path]
        head = text[text.index("(") : text.index(");")]
        ports = re.findall(r"(input|output)\s+(?:wire|reg)\s+(?:\[(\d+):0\] )?(\w+)", head)
        section = made.files["ports.md"].split(f"\n## {heading}\n")[1].split("\n## ")[0]
        reported = re.findall(r"^\| `(\w+)` \| (input|output) \| (\d+) \|", section, re.MULTILINE)
        assert sorted(reported) == sorted(
            (port, way, str(int(high or 0) + 1)) for way, high, port in ports
        )
    assert "](" not in made.files["registers.md"]


def test_names_are_plain_and_distinct() -> None:
    given = ["a", "a$7", "a$9", "bit", "$signal", "x.y", "7up", "port$3$0"]
    new = names.clean(given, taken=["a_2"])
    assert new["a"] == "a"
    assert len(set(new.values())) == len(given)
    assert all(map(names.plain, new.values()))
    assert (new["a$7"], new["bit"], new["x.y"], new["port$3$0"]) == ("a_3", "bit_2", "x_y", "port")
    assert names.clean(["input"], prefix="u_") == {"input": "u_input"}
    assert names.snake("AxiLiteBridge") == "axi_lite_bridge"
    assert names.snake("Fp16Fma") == "fp16_fma"


def test_bits_of_an_expression_and_back() -> None:
    widths = {"\\a": 4, "$1": 2}
    found = rtlil.bits("{ 2'1x \\a $1 [1] \\a [2:1] }", widths)
    assert found == [
        ("\\a", 1), ("\\a", 2), ("$1", 1), *(("\\a", index) for index in range(4)), "x", "1"
    ]  # fmt: skip
    assert rtlil.bits("-2", widths) == ["0", *"1" * 31]
    assert rtlil.bits(rtlil.expression(found), widths) == found


def _widened(kind: str, a: str, b: str, y: str, signed: int = 0) -> str:
    """The cell's connections, and lines that come with it."""
    parameters = {
        "A_SIGNED": signed, "B_SIGNED": signed, "A_WIDTH": 0, "B_WIDTH": 0, "Y_WIDTH": 0
    }  # fmt: skip
    connections = {"A": a, "B": b, "Y": y}
    cell = rtlil.Cell(kind, "$c", {name: str(n) for name, n in parameters.items()}, connections)
    wires = ["  wire width 4 \\a", "  wire width 6 \\b", "  wire width 5 \\y", "  wire \\z"]
    module = explicit(rtlil.Module("m", [*wires, *cell.lines()]))
    return "\n".join(line.strip() for line in module.lines if "connect" in line)


def test_operands_get_the_width_that_their_operator_wants() -> None:
    a, b, y, z = "\\a", "\\b", "\\y", "\\z"
    assert _widened("$add", a, b, y) == (
        "connect \\A { 1'0 \\a [3:0] }\nconnect \\B \\b [4:0]\nconnect \\Y \\y"
    )
    assert _widened("$lt", a, b, z, signed=1) == (
        "connect \\A { \\a [3:3] \\a [3:3] \\a [3:0] }\nconnect \\B \\b [5:0]\nconnect \\Y \\z"
    )
    # What a shift to the right leaves is cut from its full width.
    assert _widened("$shr", b, a, y).splitlines()[0] == "connect \\A \\b [5:0]"
    assert "connect \\y [4:0] $wide$4 [4:0]" in _widened("$shr", b, a, y)
    assert "connect \\A $wide$4 [0:0]" in _widened("$logic_not", a, b, z)


def test_memories_are_initialised_in_small_pieces() -> None:
    words = "".join(f"    m[{i}] = 4'h{0 if i < 600 else i % 2};\n" for i in range(606))
    text = f"module x (\n    input wire word\n);\n  initial begin\n{words}  end\nendmodule"
    short = shortened(text)
    assert "  integer word_2;\n" in short
    assert short.count("initial begin") == 3
    assert (
        "    for (word_2 = 512; word_2 < 601; word_2 = word_2 + 1)\n      m[word_2] = 4'h0;"
        in short
    )
    assert "    m[601] = 4'h1;\n    m[602] = 4'h0;" in short
    assert shortened("module x;\nendmodule") == "module x;\nendmodule"


def _packaged(variant: Variant, folder: Path, design: str) -> tuple[Path, ...]:
    """Sources with the modules of the package in place of those for simulation."""
    made = package(sized(variant.parameters), folder)
    (found,) = (each for each in made.designs if each.name == design)
    sources = list(pcm_array.write_sources(folder, sized(variant.parameters)))
    for name in found.files:
        if not name.startswith("array/"):
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(made.files[name])
            sources.append(path)
    return tuple(sources)


def _run(bench: Bench, variant: str, tmp_path: Path, prepare) -> None:
    (found,) = (
        each for each in bench.variants
        if each.id == variant and "verilator" in (each.simulators or bench.simulators)
    )  # fmt: skip
    results = Case(replace(bench, prepare=prepare), found, "verilator").run(tmp_path)
    if not results.ok:
        pytest.fail(results.report, pytrace=False)


def test_packaged_tile_computes_the_same(tmp_path: Path) -> None:
    def prepare(variant: Variant, folder: Path) -> Design:
        sources = _packaged(variant, folder, "axi_tile")
        return Design(sources, "axi_tile", plusargs=["+pcm_state=states"])

    _run(test_tile.BENCH, "tiny", tmp_path, prepare)


@pytest.mark.regress
def test_packaged_chip_with_clocks_that_never_stop_computes_the_same(tmp_path: Path) -> None:
    def prepare(variant: Variant, folder: Path) -> Design:
        design = test_chip.BENCH.prepare(variant, folder)
        return replace(design, sources=_packaged(variant, folder, "chip"))

    _run(test_chip.BENCH, "tiny", tmp_path, prepare)
