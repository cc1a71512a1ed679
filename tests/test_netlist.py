"""Netlists in place of the RTL: benches run on them, and report a single inverted bit."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from caduceus.export.netlist import alter, cells
from caduceus.export.netlist.alter import Place
from caduceus.export.netlist.design import ALTERED, NETLIST, VERILOG
from caduceus.sim import tally
from caduceus.sim.cocotb_results import BenchResults, Failure
from caduceus.spec.errors import UserError
from netlists import design, jobs
from netlists import run as netlist_test
from tb import test_emulated_array, test_rx_buffer
from tb.benches import Bench, Case

REPOSITORY = Path(__file__).resolve().parent.parent
NETLISTS = REPOSITORY / "build" / "netlist"


def run(bench: Bench, variant: str, simulator: str, folder: Path) -> BenchResults:
    (found,) = (each for each in bench.variants if each.id == variant)
    return Case(bench, found, simulator).run(folder)


def test_netlist_of_a_buffer_passes_its_bench(tmp_path):
    results = run(design.of_bench(test_rx_buffer.BENCH), "units1", "icarus", tmp_path)
    assert results.ok, results.report
    place = tmp_path / "rx_buffer" / "units1-icarus" / "design"
    found = json.loads((place / design.SUMMARY).read_text())
    assert found["cells"]["LUT4"] > 0 and found["cells"]["TRELLIS_FF"] > 0
    assert not found["altered"]
    # A synthesis that left the source as it is would pass, too.
    text = (place / VERILOG).read_text()
    assert "caduceus" not in text and text.count(".s3 ") >= found["cells"]["LUT4"]


def test_one_inverted_bit_of_a_table_is_reported(tmp_path):
    bench = design.of_bench(test_rx_buffer.BENCH, altered_at=("rx_buffer", "output_tdata"))
    results = run(bench, "units1", "icarus", tmp_path)
    assert results.failed, "a changed look-up table was not reported"
    place = tmp_path / "rx_buffer" / "units1-icarus" / "design"
    change = json.loads((place / design.SUMMARY).read_text())["altered"]
    assert change.startswith("bit ") and change.endswith(" of rx_buffer is inverted")
    one, other = ((place / name).read_text() for name in (NETLIST, ALTERED))
    tables = [
        [cell["parameters"]["INIT"] for module in json.loads(text)["modules"].values()
         for cell in module["cells"].values() if cell["type"] == "LUT4"]
        for text in (one, other)
    ]  # fmt: skip
    bits = ["".join(each) for each in tables]
    assert sum(a != b for a, b in zip(*bits, strict=True)) == 1


@pytest.mark.regress
def test_netlist_of_an_emulated_array_passes_its_bench(tmp_path):
    results = run(design.of_bench(test_emulated_array.BENCH), "least", "verilator", tmp_path)
    assert results.ok, results.report


@pytest.mark.regress
@pytest.mark.xdist_group("netlist")
@pytest.mark.parametrize("job", jobs.JOBS, ids=lambda job: job.name)
def test_netlist_of_a_tile_or_chip_passes_its_bench(job):
    results = job.case(NETLISTS).run(NETLISTS, testcase=job.tests)
    assert results.ok, results.report
    outcome = netlist_test.outcome_of(job, results, NETLISTS)
    assert outcome.compared > 0 and outcome.mismatches == 0


@pytest.mark.regress
@pytest.mark.xdist_group("netlist")
def test_one_inverted_bit_of_a_tile_is_reported():
    results = jobs.ALTERED.case(NETLISTS).run(NETLISTS, testcase=jobs.ALTERED.tests)
    assert results.failed
    assert netlist_test.outcome_of(jobs.ALTERED, results, NETLISTS).mismatches > 0


# --- what is altered -----------------------------------------------------------------------------


def cell(kind: str, outputs: str, **connections: int | str) -> dict:
    return {
        "type": kind, "parameters": {"INIT": "0" * 16},
        "port_directions": {p: "output" if p in outputs else "input" for p in connections},
        "connections": {port: [bit] for port, bit in connections.items()},
    }  # fmt: skip


TABLE = cell("LUT4", "Z", A=7, B="1", C="0", D=8, Z=5)
FLIP_FLOP = cell("TRELLIS_FF", "Q", DI=5, CLK=9, Q=6)
INNER = {"ports": {"y": {"bits": [6]}}, "cells": {"ff": FLIP_FLOP, "lut": TABLE}}


def around(inner: dict) -> dict:
    outer = {"ports": {"z": {"bits": [3]}}, "cells": {"u": cell("inner", "y", y=3)}}
    return {"modules": {"top": outer, "inner": inner}}


def test_the_table_in_front_of_an_output_is_found_through_modules_and_flip_flops(tmp_path):
    place = Place("inner", "lut", 0b1011)
    assert alter.find(around(INNER), "top", "z") == place
    (tmp_path / "a").write_text(json.dumps(around(INNER)))
    alter.write(tmp_path / "a", tmp_path / "b", "top", "z")
    changed = json.loads((tmp_path / "b").read_text())["modules"]["inner"]["cells"]["lut"]
    assert changed["parameters"]["INIT"] == "0000100000000000"
    assert alter.sentence(tmp_path / "a", "top", "z") == "bit 11 of table lut of inner is inverted"


@pytest.mark.parametrize("cells_in_it", [{}, {"ff": FLIP_FLOP}, {"ff": {**FLIP_FLOP, "connections":
                         {"DI": [6], "CLK": [9], "Q": [6]}}}])  # fmt: skip
def test_an_output_without_a_table_is_reported(cells_in_it):
    with pytest.raises(UserError, match="module top: no look-up table drives port z"):
        alter.find(around({**INNER, "cells": cells_in_it}), "top", "z")


def test_a_port_that_is_not_there_is_refused():
    with pytest.raises(UserError, match="module top: there is no port q"):
        alter.find(around(INNER), "top", "q")


# --- models and outcomes -------------------------------------------------------------------------


def test_models_are_those_of_the_installed_yosys_and_ours(tmp_path):
    names = cells.write_models(tmp_path)
    text = "".join((tmp_path / name).read_text() for name in names)
    for module in ("LUT4", "TRELLIS_FF", "CCU2C", "TRELLIS_DPR16X4", "PFUMX", "L6MUX21"):
        assert f"module {module}" in text
    assert [path.stem for path in cells.OURS] == ["DP16KD", "MULT18X18D"]
    assert not any(f"module {path.stem}" in text for path in cells.OURS)


def test_mismatches_are_counted(tmp_path, monkeypatch):
    job = replace(jobs.TILE, name="tried")
    place = tmp_path / "tile" / "netlist_tried-verilator" / "design"
    place.mkdir(parents=True)
    (place / design.SUMMARY).write_text('{"cells": {"LUT4": 9}, "seconds": {}, "altered": ""}')
    monkeypatch.setenv(tally.VARIABLE, str(place / design.COMPARED))
    tally.add(30)
    tally.add(12)
    failure = Failure("random_programs", "x: expected 1, got 2 (3 of 20 values differ)")
    results = BenchResults(7, 0, (failure,), 1, tmp_path / "log", None, 1.0, 2.0)
    found = netlist_test.outcome_of(job, results, tmp_path)
    assert (found.compared, found.mismatches, found.tests, found.failed) == (62, 3, 8, 1)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--output", "/dev/null/x"), "cannot make or read a file of the run"),
        (("--chip", "tiny"), "No such option"),
    ],
)
def test_mistakes_are_one_sentence(arguments, sentence):
    run = subprocess.run(
        [sys.executable, "-m", "netlists", *arguments], cwd=REPOSITORY, capture_output=True,
        text=True, check=False, env=os.environ | {"PYTHONPATH": f"{REPOSITORY}:{REPOSITORY}/tests"},
    )  # fmt: skip
    assert run.returncode == 2
    assert sentence in run.stderr and "Traceback" not in run.stderr
