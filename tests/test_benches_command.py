"""`caduceus benches`: the list, one block's bench with its waveforms, mistakes."""

from pathlib import Path

import pytest
from command_line import here

from caduceus.cli import benches
from tb import wave_lists
from tb.wave_lists import Port

VERILOG = """
module other(input far);
endmodule
(* top = 1 *)
module top(clk, rst, data, result);
  input clk;
  wire clk;
  (* src = "input wrong;" *)
  input rst;
  // input comment;
  input [15:0] data;
  output reg signed [7:0] result;
endmodule
module harness #(parameter int UNITS = 1) (
    input aclk, input [31:0] expected, output wire [UNITS*8-1:0] beat, input [MANY-1:0] unknown
);
endmodule
"""


def test_benches_are_listed_with_what_they_cover_and_where_they_run() -> None:
    run = here("benches")
    assert run.returncode == 0, run.stderr
    lines = run.stdout.splitlines()
    assert "ldpu: ldpu" in lines
    at = lines.index("ldpu: ldpu")
    assert lines[at + 1] == "    tiny: verilator, icarus"
    assert "(regress)" in run.stdout


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["ldpo"], "benches: unknown bench 'ldpo': did you mean ldpu?"),
        (["ldpu", "--sim", "vcs"], "benches ldpu: --sim: got 'vcs', expected verilator, icarus"),
        (["ldpu", "--variant", "huge"], "benches ldpu: --variant: got 'huge', expected tiny, "),
    ],
)
def test_a_mistake_is_one_sentence(arguments: list[str], sentence: str) -> None:
    run = here("benches", *arguments)
    assert run.returncode == 2
    assert sentence in run.stderr and len(run.stderr.splitlines()) == 1


def test_an_installed_package_has_none(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr(benches, "_REPOSITORY", tmp_path)
    run = here("benches")
    assert run.returncode == 2
    assert "not part of the installed package: run `caduceus benches` in a checkout" in run.stderr


def test_a_block_runs_and_leaves_waveforms_and_lists(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CADUCEUS_BUILD", str(tmp_path))
    run = here("benches", "convert", "--sim", "icarus", "--waves")
    assert run.returncode == 0, run.stderr
    (waves,) = (tmp_path / "rtl").rglob("waves.fst")
    saved, commands = (waves.with_suffix(end).read_text() for end in (".gtkw", ".sucl"))
    assert f'[dumpfile] "{waves}"' in saved and "convert_copies.clk\n" in saved
    assert (
        commands.startswith(f"load_file {waves}\n")
        and "variable_add convert_copies.value" in commands
    )
    for end in (".fst", ".gtkw", ".sucl"):
        assert str(waves.with_suffix(end)) in run.stdout


def test_ports_of_either_style_of_declaration(tmp_path: Path) -> None:
    source = tmp_path / "top.v"
    source.write_text(VERILOG)
    assert wave_lists.ports([source], "top", {}) == [
        Port("clk", False), Port("rst", False), Port("data", False, 15, 0),
        Port("result", True, 7, 0),
    ]  # fmt: skip
    assert wave_lists.ports([source], "harness", {"UNITS": 4}) == [
        Port("aclk", False), Port("expected", False, 31, 0), Port("beat", True, 31, 0),
    ]  # fmt: skip
    assert wave_lists.ports([source], "absent", {}) == []
