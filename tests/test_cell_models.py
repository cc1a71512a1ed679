"""Our models of the FPGA's block RAM and multiplier: what is synthesized to them stays the same."""

import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cell_cases
import pytest
from cell_cases import CASES, MEMORIES, PRODUCTS

from caduceus.export.netlist import cells
from caduceus.export.netlist.design import NETLIST, VERILOG, synthesized
from caduceus.sim import runner

BLOCK_RAM, MULTIPLIER = "DP16KD", "MULT18X18D"


@dataclass(frozen=True)
class Compared:
    """Cells by module, each with its parameters; and by module, values and those that differ."""

    folder: Path
    cells: dict[str, list[tuple[str, dict[str, str]]]]
    counts: dict[str, tuple[int, int]]


def simulate(folder: Path, *sources: Path) -> subprocess.CompletedProcess:
    """Build for Icarus and run; what it printed."""
    built = folder / "simulation"
    subprocess.run(
        ["iverilog", "-g2012", "-o", built, *sources], check=True, capture_output=True, text=True
    )
    return subprocess.run(["vvp", built], cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def compared(tmp_path_factory) -> Compared:
    folder = tmp_path_factory.mktemp("cells")
    names = [case.name for case in CASES]
    for memory in MEMORIES:
        (folder / f"{memory.name}.hex").write_text(memory.contents())

    def write() -> list[str]:
        (folder / "cases.v").write_text(cell_cases.sources())
        return ["cases.v"]

    synthesized(folder, "top", "cases", write, kept=names)
    (folder / "bench.v").write_text(cell_cases.bench())
    modules = json.loads((folder / NETLIST).read_text())["modules"]
    found = {
        name: [(cell["type"], cell["parameters"]) for cell in modules[name]["cells"].values()]
        for name in names
    }
    return Compared(folder, found, counted(folder, cells.OURS))


def counted(folder: Path, models: Sequence[Path]) -> dict[str, tuple[int, int]]:
    """Simulate with these models: by case, values and those that differ."""
    run = simulate(folder, folder / "bench.v", folder / VERILOG, *models)
    assert run.returncode == 0, run.stdout + run.stderr
    lines = (line.split() for line in run.stdout.splitlines() if line.count(" ") == 2)
    return {name: (int(values), int(wrong)) for name, values, wrong in lines}


@pytest.mark.parametrize("name", [case.name for case in CASES])
def test_netlist_does_what_the_source_does(compared, name):
    assert compared.counts[name] == (2 * cell_cases.CLOCKS, 0)


def test_mistakes_in_models_are_reported(compared, tmp_path):
    mistakes = {
        BLOCK_RAM: ("{9{DATA_WIDTH_A < 18 | ad_a[0]}}", "{9{1'b1}}"),
        MULTIPLIER: ("SIGNEDB & b[17]", "1'b0"),
    }
    models = []
    for path in cells.OURS:
        right, wrong = mistakes[path.stem]
        text = path.read_text()
        assert text.count(right) == 1
        models.append(tmp_path / path.name)
        models[-1].write_text(text.replace(right, wrong))
    differ = {name for name, (_, wrong) in counted(compared.folder, models).items() if wrong}
    # The low 18 bits of a product are the same whatever the sign of an 18-bit factor.
    signed = {case.name for case in PRODUCTS if case.signed and case.width > 18}
    enabled = {case.name for case in MEMORIES if case.lanes > 1 and case.width >= 18}
    assert signed | enabled <= differ
    assert not differ & {case.name for case in PRODUCTS if not case.signed}


def test_every_case_is_in_the_cells_that_it_is_about(compared):
    for cases, kind in ((MEMORIES, BLOCK_RAM), (PRODUCTS, MULTIPLIER)):
        for case in cases:
            assert kind in [each for each, _ in compared.cells[case.name]], case.name


def test_every_width_mode_and_reset_is_there(compared):
    found: dict[str, set] = {}
    for of_module in compared.cells.values():
        for kind, parameters in of_module:
            for name, value in parameters.items() if kind == BLOCK_RAM else ():
                found.setdefault(name, set()).add(value.strip())
    widths = {int(value, 2) for value in found["DATA_WIDTH_A"] | found["DATA_WIDTH_B"]}
    assert widths == {1, 2, 4, 9, 18, 36}
    assert found["RESETMODE"] == {"SYNC", "ASYNC"}
    assert found["CLKBMUX"] == {"CLKB", "INV"}
    assert found["WRITEMODE_A"] >= {"NORMAL", "READBEFOREWRITE", "WRITETHROUGH"}


REFUSED = [
    (".REGMODE_A(\"OUTREG\")", "", "REGMODE: expected NOREG"),
    (".DATA_WIDTH_A(20)", "", "DATA_WIDTH_A: got 20, expected 1, 2, 4, 9, 18, 36"),
    (".CSDECODE_B(\"0b001\")", "", "CSDECODE: expected 0b000"),
    (".RESETMODE(\"ASYNC\")", "", "ASYNC_RESET_RELEASE: expected the value of RESETMODE"),
    (".WRITEMODE_A(\"OTHER\")", "", "WRITEMODE_A: expected NORMAL, WRITETHROUGH, READBEFORE"),
    (".GSR(\"ENABLED\")", "", "GSR: expected DISABLED"),
    ("", ".WEB(1'b1),", "a write through port B: expected port A"),
]  # fmt: skip


@pytest.mark.parametrize(("parameter", "port", "sentence"), REFUSED)
def test_what_block_ram_is_no_model_of_ends_the_simulation(parameter, port, sentence, tmp_path):
    (tmp_path / "bench.v").write_text(
        "module bench; reg clk = 0; initial begin #1 clk = 1; #1 $finish; end\n"
        f"{BLOCK_RAM} #({parameter}) ram ({port} .CEB(1'b1), .CSB0(1'b0), .CSB1(1'b0),\n"
        ".CSB2(1'b0), .RSTB(1'b0), .CLKB(clk)); endmodule\n"
    )
    run = simulate(tmp_path, tmp_path / "bench.v", *cells.OURS)
    assert run.returncode != 0
    assert f"DP16KD: {sentence}" in run.stdout + run.stderr


@pytest.mark.parametrize(
    ("instance", "sentence"),
    [
        (f'{BLOCK_RAM} #(.DIA17MUX("INV")) x ();', "DIA17MUX"),
        (f'{MULTIPLIER} #(.REG_OUTPUT_CLK("CLK0")) x ();', "REG_OUTPUT_CLK"),
        (f"{MULTIPLIER} x (.CLK0(1'b0));", "CLK0"),
    ],
)
def test_parameters_and_ports_that_are_not_there_are_an_error(instance, sentence, tmp_path):
    runner.tool_version("verilator")
    (tmp_path / "bench.v").write_text(f"module bench; {instance} endmodule\n")
    run = subprocess.run(
        ["verilator", "--lint-only", "-Wno-PINMISSING", tmp_path / "bench.v", *cells.OURS],
        capture_output=True, text=True, check=False, env=os.environ,
    )  # fmt: skip
    assert run.returncode != 0
    assert "%Error" in run.stderr and sentence in run.stderr
