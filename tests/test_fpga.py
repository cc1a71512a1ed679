"""Bitstreams: clocks, the board's top, steps that are skipped, and reports that are read."""

import errno
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from command_line import caduceus, here
from rich.console import Console
from survivors import START, of, programs, until

from caduceus.data.own import OWN
from caduceus.export import fpga
from caduceus.export.bitstream import build, pll, report
from caduceus.export.bitstream.board import board
from caduceus.export.bitstream.build import Step
from caduceus.export.bitstream.report import Block, Resources
from caduceus.hdl.common.verilog import run_script
from caduceus.spec import chip, extras
from caduceus.spec.chip import Chip
from caduceus.spec.errors import UserError
from caduceus.spec.formats import ReadMode
from caduceus.spec.shipped import shipped_folder

REPOSITORY = Path(__file__).resolve().parent.parent
ULX3S = Chip.find("ulx3s")
SMALL = Chip.find("tiny").model_copy(update={"clocks": ULX3S.clocks})


@pytest.mark.parametrize("megahertz", [20, 25, 40, 45, 50, 75, 100])
def test_pll_makes_what_is_wanted(megahertz):
    found = pll.dividers(megahertz)
    oscillator = pll.INPUT_MHZ * found.feedback
    assert 400 <= oscillator <= 800
    assert oscillator == megahertz * found.output


def test_pll_names_rates_that_it_can_make():
    with pytest.raises(UserError, match=r"got 47, expected for example 40, 45, 50, 55$"):
        pll.dividers(47)


@pytest.mark.parametrize("mode", list(ReadMode))
@pytest.mark.parametrize("network", OWN["ulx3s"].run)
def test_the_boards_networks_fit_its_three_tiles(tmp_path, network, mode):
    run = here(
        "compile", "--chip", "ulx3s", "--net", network, "--read-mode", mode,
        "--output", tmp_path / "a.program",
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert (tmp_path / "a.program").exists()


def test_board_has_one_clock():
    with pytest.raises(UserError, match=r"got 1000, expected 400 \(clocks.sync_mhz\)$"):
        board(Chip.find("hermes"))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--chip", "nope"), "unknown chip 'nope'"),
        (("--chip", "tiny"), "chip tiny: clocks.mvm_mhz: the board has one clock: got 1000"),
        (("--synthesis", "nope"), "--synthesis: got nope, expected one of xc7, xcup"),
        (("--design", "nope"), "--design: got nope, expected one of tile, chip"),
        (("--seed", "0"), "--seed: got 0, expected a whole number, 1 to"),
        (("--design", "tile"), "--design: applies only with --synthesis"),
        (("--synthesis", "xc7", "--seed", "2"), "--seed: applies only without --synthesis"),
    ],
)
def test_mistakes_are_one_sentence(arguments, sentence, tmp_path):
    run = here("fpga", *arguments, "--output", tmp_path / "out")
    assert run.returncode == 2
    assert sentence in run.stderr
    assert "Traceback" not in run.stderr
    assert not list(tmp_path.glob("out/*.bit"))


def test_board_and_chip_are_one_design(tmp_path):
    build.write_inputs(SMALL, tmp_path)
    script = (tmp_path / "yosys.ys").read_text().splitlines()
    reads = [line for line in script if line.startswith("read_")]
    cells = "read_verilog -lib +/lattice/cells_sim_ecp5.v +/lattice/cells_bb_ecp5.v"
    checks = ["hierarchy -check -top top", "proc", "check -assert"]
    (tmp_path / "script.ys").write_text("\n".join([*reads, cells, *checks]) + "\n")
    run_script(tmp_path, "the board")
    pins = (tmp_path / "top.lpf").read_text()
    for pin in ("G2", "M1", "L4", "R1", "B2", "C2", "C1"):
        assert f'SITE "{pin}"' in pins
    assert "25000000" in pins


# --- steps ---------------------------------------------------------------------------------------


def copy(source: str) -> Step:
    return Step("copy", "subprocess", "call", ("cp", source, build.part("b")), ("b",))


def test_a_step_runs_once_for_the_same(tmp_path):
    (tmp_path / "a").write_text("one")
    spent, ran = build.once(tmp_path, copy("a"), "key")
    assert ran and (tmp_path / "b").read_text() == "one" and spent.mebibytes > 0
    (tmp_path / "a").write_text("two")
    assert build.once(tmp_path, copy("a"), "key") == (spent, False)
    assert build.once(tmp_path, copy("a"), "other key")[1]
    assert (tmp_path / "b").read_text() == "two"


@pytest.mark.parametrize("spoil", ["b", "copy.key.json"])
def test_a_step_runs_again_if_what_it_left_changed(tmp_path, spoil):
    (tmp_path / "a").write_text("one")
    build.once(tmp_path, copy("a"), "key")
    (tmp_path / spoil).write_text("spoilt")
    assert build.once(tmp_path, copy("a"), "key")[1]
    assert (tmp_path / "b").read_text() == "one"


def test_a_failed_step_leaves_a_log_and_nothing_else(tmp_path):
    with pytest.raises(UserError, match=r"copy\.log: copy failed: got exit status 1, expected 0$"):
        build.once(tmp_path, copy("missing"), "key")
    assert [path.name for path in tmp_path.iterdir()] == ["copy.log"]
    assert "missing" in (tmp_path / "copy.log").read_text()


def fill_the_disk(monkeypatch):
    def fsync(_file: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fsync)


def test_a_step_that_a_full_disk_cut_short_leaves_a_log_and_nothing_else(tmp_path, monkeypatch):
    (tmp_path / "a").write_text("one")
    fill_the_disk(monkeypatch)
    sentence = f"^{tmp_path}: cannot write the files of copy: No space left on device$"
    with pytest.raises(UserError, match=sentence):
        build.once(tmp_path, copy("a"), "key")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "copy.log"]


def test_yosys_on_a_full_disk_is_one_sentence(tmp_path, monkeypatch):
    (tmp_path / "script.ys").write_text("help\n")
    fill_the_disk(monkeypatch)
    with pytest.raises(UserError, match="cannot write the files of the board: No space left"):
        run_script(tmp_path, "the board")


def test_a_design_that_yosys_refuses_is_one_sentence_with_the_log(tmp_path):
    (tmp_path / "script.ys").write_text("read_rtlil missing.il\n")
    with pytest.raises(UserError) as caught:
        run_script(tmp_path, "the board", tmp_path / "build")
    log = tmp_path / "build" / "yosys" / "the_board.log"
    assert str(caught.value).startswith(f"{log}: Yosys refused the board: ERROR: ")
    assert str(caught.value).isprintable() and "missing.il" in log.read_text()


def test_a_missing_tool_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"^package amaranth_boards is not installed: .*\[fpga\]"):
        fpga.run(fpga.Request("ulx3s", 1, None, "chip", None, tmp_path), Console(quiet=True))
    assert list(tmp_path.iterdir()) == []


def test_a_clock_that_misses_its_target_is_an_error_after_the_report(tmp_path, monkeypatch):
    slow = json.loads(json.dumps(TIMING).replace("41.666", "39.9"))
    found = {"statistics.json": STATISTICS, "nextpnr.json": slow}
    monkeypatch.setattr(build, "once", lambda *_: (build.Spent(1.0, 1), True))
    monkeypatch.setattr(build, "read_json", lambda path: found[path.name])
    request = fpga.Request("ulx3s", 1, None, "chip", None, tmp_path)
    sentence = r"report\.json: the clock misses its target: got 39\.9 MHz, expected 40 MHz$"
    with pytest.raises(UserError, match=sentence):
        fpga.run(request, Console(quiet=True))
    assert json.loads((tmp_path / "ulx3s" / "report.json").read_text())["timing"]["met"] is False


def test_a_step_without_hope_is_stopped(tmp_path):
    def hopeless(log: str) -> str:
        return "it said so" if "iter=7" in log else ""

    command = ("sh", "-c", "echo iter=7; touch b.part; sleep 5")
    step = Step("loop", "subprocess", "call", command, ("b",), hopeless)
    with pytest.raises(UserError, match=r"loop\.log: loop was stopped: it said so$"):
        build.run_step(step, tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["loop.log"]


def test_nothing_survives_a_killed_build(tmp_path):
    mark = f"step-{os.getpid()}-{tmp_path.name}"
    code = (
        "import pathlib; from caduceus.export.bitstream.build import Step, run_step\n"
        "step = Step('loop', 'subprocess', 'call', ('sh', '-c', 'sleep 600'), ())\n"
        f"run_step(step, pathlib.Path({str(tmp_path)!r}))\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], env=os.environ | {"MARK": mark})
    try:
        until(lambda: "sleep" in programs(mark), "the step did not begin", START)
    finally:
        process.kill()
        process.wait()
    until(lambda: not of(mark), "something survived")


def test_routing_that_does_not_converge_is_reported():
    line = "Info:     iter={} wires=930429 overused={} overuse=1 archfail=NA\n"
    assert not build.no_end_of_routing("")
    rounds = "".join(line.format(number, 3) for number in range(9))
    assert not build.no_end_of_routing(rounds)
    end = line.format(build.ROUNDS_MAX, 2)
    assert "got 2 overused wires after" in build.no_end_of_routing(rounds + end)
    assert not build.no_end_of_routing(rounds + line.format(build.ROUNDS_MAX, 0))


def test_a_count_and_a_build_may_come_in_any_order(tmp_path, monkeypatch):
    for what in ("_count", "_build"):
        monkeypatch.setattr(fpga, what, lambda *_: None)
    builds = fpga.Request("ulx3s", 1, None, "chip", None, tmp_path)
    count = replace(builds, family="xc7")
    for requests in ((count, builds), (builds, count)):
        for request in requests:
            fpga.run(request, Console(quiet=True))
        shutil.rmtree(tmp_path / "ulx3s")
    (tmp_path / "ulx3s").mkdir()
    (tmp_path / "ulx3s" / "mine").touch()
    for request in (count, builds):
        with pytest.raises(UserError, match="ulx3s: the folder is not empty"):
            fpga.run(request, Console(quiet=True))
    assert [path.name for path in (tmp_path / "ulx3s").iterdir()] == ["mine"]


def test_a_chip_that_does_not_go_with_the_board_leaves_nothing(tmp_path):
    with pytest.raises(UserError, match=r"hermes: clocks\.mvm_mhz: .*: got 1000, "):
        fpga.run(fpga.Request("hermes", 1, None, "chip", None, tmp_path), Console(quiet=True))
    assert list(tmp_path.iterdir()) == []


def test_the_key_is_over_the_chip_and_what_else_is_said():
    keys = {build.key(ULX3S), build.key(SMALL), build.key(ULX3S, "xc7"), build.key(ULX3S, "xcup")}
    assert len(keys) == 4
    assert build.key(ULX3S) == build.key(ULX3S)


# --- reports -------------------------------------------------------------------------------------

STATISTICS = {
    "modules": {
        "\\top": {
            "num_cells_by_type": {"LUT4": 5, "TRELLIS_FF": 2, "caduceus_ldpu": 2, "EHXPLLL": 1}
        },
        "\\caduceus_ldpu": {
            "num_cells_by_type": {
                "LUT4": 10, "CCU2C": 3, "TRELLIS_DPR16X4": 1, "TRELLIS_FF": 7, "MULT18X18D": 4,
                "DP16KD": 2, "helper": 2,
            }
        },
        "\\helper": {"num_cells_by_type": {"LUT4": 1}},
    }
}  # fmt: skip


def test_blocks_are_counted_without_what_is_within_them():
    found = report.blocks(STATISTICS, "top")
    ldpu = Resources(luts=10 + 2 * 3 + 6, flip_flops=7, ram=2, multipliers=4)
    # What has no name of its own is with the rest: both LDPUs have two of them.
    rest = Resources(luts=5 + 4, flip_flops=2)
    assert found == [Block("tile: LDPU", 2, ldpu), Block(report.REST, 1, rest)]
    assert report.total(found) == Resources(luts=53, flip_flops=16, ram=4, multipliers=8)


def test_cells_of_other_parts():
    xilinx = {
        "LUT6": 3,
        "CARRY4": 2,
        "FDRE": 4,
        "RAMB18E1": 3,
        "DSP48E1": 2,
        "RAM32M": 1,
        "BUFG": 1,
    }
    assert report.resources(xilinx) == Resources(luts=7, flip_flops=4, ram=1.5, multipliers=2)


def hop(kind: str, delay: float, cell: str) -> dict:
    return {"type": kind, "delay": delay, "from": {"cell": "x"}, "to": {"cell": cell}}


TIMING = {
    "fmax": {
        "$glbnet$clk25": {"constraint": 25.0, "achieved": 300.0},
        "clock": {"constraint": 40.0, "achieved": 41.666},
    },
    "critical_paths": [
        {"from": "<async>", "to": "posedge clock", "path": []},
        {
            "from": "posedge clock",
            "to": "posedge clock",
            "path": [
                hop("clk-to-q", 0.5, "serial.chip.tile_0.tile.ldpu.add_rx_0.base_TRELLIS_FF_Q_3"),
                hop("routing", 1.0, "serial.chip.tile_0.tile.ldpu.add_rx_0.total_LUT4_Z"),
                hop("logic", 0.25, "serial.chip.tile_0.tile.ldpu.add_rx_0.total_LUT4_Z"),
                hop("logic", 0.0, "$abc$12$lut"),
                hop("routing", 2.0, "serial.chip.tile_0.tile.ldpu.add_rx_0.total_CCU2C_S0"),
                hop("setup", 0.0, "serial.chip.tile_0.tile.ldpu.add_rx_0.total_CCU2C_S0"),
            ],
        },
    ],
}


def test_the_slowest_path_is_reported_by_signals():
    found = report.timing(TIMING)
    assert (found.wanted, found.reached, found.met) == (40.0, 41.67, True)
    assert (found.nanoseconds, found.routing, len(found.path)) == (3.75, 3.0, 4)
    found = [(step.name, step.nanoseconds) for step in report.places(found.path)]
    assert found == [
        ("tile_0.tile.ldpu.add_rx_0.base", 0.5),
        ("tile_0.tile.ldpu.add_rx_0.total", 3.75),
    ]


def test_a_clock_that_is_too_slow_is_not_met():
    slow = json.loads(json.dumps(TIMING).replace("41.666", "39.9"))
    assert not report.timing(slow).met


@pytest.mark.parametrize("broken", [{}, {"fmax": {}}, {"fmax": {"a": {}}}, []])
def test_reports_of_another_form_are_refused(broken):
    with pytest.raises(UserError, match="nextpnr's report: unexpected format"):
        report.timing(broken)
    with pytest.raises(UserError, match="Yosys's statistics: unexpected format"):
        report.blocks(broken, "top")


@pytest.mark.regress
def test_a_small_chip_becomes_a_bitstream(tmp_path):
    text = (shipped_folder(chip.CHIPS) / "tiny.yaml").read_text()
    text = text.replace("{mvm_mhz: 1000, sync_mhz: 400}", "{mvm_mhz: 25, sync_mhz: 25}")
    description = tmp_path / "small.yaml"
    description.write_text(text)
    for expected in (r"nextpnr: \d+ s, \d+ MiB", "nextpnr: up to date"):
        run = caduceus("fpga", "--chip", description, "--output", tmp_path / "out")
        assert run.returncode == 0, run.stdout + run.stderr
        assert re.search(expected, run.stdout), run.stdout
    found = json.loads((tmp_path / "out" / "report.json").read_text())
    assert found["timing"]["met"] and found["timing"]["path"]
    assert (tmp_path / "out" / found["bitstream"]).stat().st_size > 100_000
