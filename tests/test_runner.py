"""The runner: what it reports, when it builds, and what it says when something goes wrong."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from cocotb_tools import config
from survivors import SECONDS, START, of, programs, until

from caduceus.sim import runner
from caduceus.sim.runner import SIMULATORS, BenchResults, SimulationError, run_bench
from caduceus.spec.errors import UserError

COUNTER = """
`include "step.svh"
module counter #(parameter WIDTH = 4) (input clk, output reg [WIDTH-1:0] count);
    reg unseen;
    initial count = 0;
    always @(posedge clk) begin
        unseen <= !unseen;
        count <= count + `STEP;
        if (count == 9) $fatal(1, "nine");
    end
endmodule
"""
STEP = "`define STEP 1\n"
TESTS = """
import os
import random
import signal
import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, ReadOnly, Timer

async def count(dut, cycles):
    Clock(dut.clk, 2, "ns", impl="gpi").start()
    await ClockCycles(dut.clk, cycles)
    await ReadOnly()
    return int(dut.count.value)

@cocotb.test()
async def counts(dut):
    assert await count(dut, 3) == 3
    assert len(dut.count) == int(os.environ["EXPECTED_WIDTH"])

@cocotb.test()
async def fails(dut):
    assert await count(dut, 1) < 0, "the counter is not negative"

@cocotb.test()
async def dies(dut):
    await count(dut, 40)

@cocotb.test()
async def is_killed(dut):
    print("last words", flush=True)
    os.kill(os.getpid(), signal.SIGKILL)

@cocotb.test()
async def hangs(dut):
    while True:
        pass

@cocotb.test()
async def draws(dut):
    await Timer(1, "ns")
    print("DRAWN", random.random())

@cocotb.test()
async def sees_ports_only(dut):
    await Timer(1, "ns")
    assert {child._name for child in dut} == {"clk", "count"}
"""


@pytest.fixture(params=SIMULATORS)
def simulator(request: pytest.FixtureRequest) -> str:
    return request.param


class Place:
    """A counter and tests for it in a folder of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.source = folder / "counter.sv"
        self.header = folder / "step.svh"
        self.source.write_text(COUNTER)
        self.header.write_text(STEP)

    def run(
        self, simulator: str, testcase: str | None, width: int = 4, more: tuple[Path, ...] = (),
        **options,
    ) -> BenchResults:  # fmt: skip
        return run_bench(
            name="counter",
            sources=[self.header, self.source, *more],
            top="counter",
            test_module="counter_tests",
            simulator=simulator,
            parameters={"WIDTH": width},
            build_dir=self.folder / simulator,
            extra_env={"EXPECTED_WIDTH": str(width)},
            testcase=testcase,
            **options,
        )


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the tests that change nothing in the design build it once for all of them."""
    folder = tmp_path_factory.mktemp("runner")
    (folder / "counter_tests.py").write_text(TESTS)
    return folder


@pytest.fixture
def place(shared: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.syspath_prepend(shared)
    return Place(shared)


@pytest.fixture
def own_place(shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """For tests that change the design."""
    monkeypatch.syspath_prepend(shared)
    return Place(tmp_path)


@pytest.mark.parametrize(
    ("simulator", "program", "number"),
    [
        ("verilator", "cc1plus", signal.SIGKILL),
        ("verilator", "cc1plus", signal.SIGINT),
        ("verilator", "counter", signal.SIGKILL),
        ("icarus", "vvp", signal.SIGKILL),
    ],
)
def test_no_build_and_no_simulation_survives_whoever_started_it(
    shared: Path, tmp_path: Path, simulator: str, program: str, number: int
) -> None:
    """While the compiler of Verilator's C++ runs, make above it; and while a test hangs."""
    mark = f"CADUCEUS_MARK={os.getpid()}{program}{number}"
    name, _, value = mark.partition("=")
    place = Place(tmp_path)
    build = tmp_path / simulator if program == "cc1plus" else shared / simulator
    if program != "cc1plus":
        place = Place(shared)
    code = f"""
from pathlib import Path
from caduceus.sim.runner import run_bench
run_bench("counter", [Path({str(place.header)!r}), Path({str(place.source)!r})], "counter",
    "counter_tests", {simulator!r}, Path({str(build)!r}), {{"WIDTH": 4}},
    {{"EXPECTED_WIDTH": "4"}}, testcase="hangs")
"""
    parent = subprocess.Popen(
        [sys.executable, "-c", code], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        env=os.environ | {name: value, "PYTHONPATH": str(shared), "CCACHE_DISABLE": "1"},
    )  # fmt: skip
    try:
        until(lambda: program in programs(mark), f"no {program} runs", START)
        parent.send_signal(number)
        parent.wait(SECONDS)
    finally:
        parent.kill()
    until(lambda: not of(mark), f"{programs(mark)} survive")


def test_passing_and_failing_tests_are_distinguished(place: Place, simulator: str) -> None:
    results = place.run(simulator, ["counts", "fails"])
    assert (results.passed, results.failed, results.ok) == (1, 1, False)
    assert results.failures[0].name == "fails"
    assert "the counter is not negative" in results.report
    assert f"seed {runner.DEFAULT_SEED}" in results.report


def test_zero_tests_are_not_a_success(place: Place, simulator: str) -> None:
    results = place.run(simulator, "there_is_none_of_this_name")
    assert not results.ok
    assert "no cocotb test ran" in results.report


def test_builds_again_only_if_something_changed(own_place: Place, simulator: str) -> None:
    def built() -> bool:
        stamp = own_place.folder / simulator / "stamp"
        before = stamp.stat().st_mtime_ns if stamp.exists() else 0
        own_place.run(simulator, "draws", width=built.width)
        return stamp.stat().st_mtime_ns != before

    built.width = 4
    assert built()
    assert not built()
    own_place.header.write_text("`define STEP 2\n")
    assert built()
    built.width = 5
    assert built()
    assert not built()
    own_place.source.write_text(COUNTER.replace("nine", "9"))
    assert built()


def test_sources_of_the_same_name(own_place: Place, simulator: str) -> None:
    own_place.source.write_text(COUNTER.replace("endmodule", "part part(clk); endmodule"))
    part = own_place.folder / "part" / own_place.source.name
    part.parent.mkdir()
    part.write_text("module part(input clk); endmodule")
    assert own_place.run(simulator, "draws", more=(part,)).ok


def test_no_cpp_depends_on_where_the_sources_lie(place: Place) -> None:
    place.run("verilator", "draws")
    files = list((place.folder / "verilator").glob("*.cpp"))
    assert any("counter.sv" in file.read_text() for file in files)
    assert not any(str(place.folder) in file.read_text() for file in files)


def test_a_build_that_broke_off_is_not_taken_for_a_good_one(
    own_place: Place, simulator: str
) -> None:
    own_place.run(simulator, "draws")
    own_place.source.write_text(COUNTER.replace("endmodule", ""))
    for _ in range(2):
        with pytest.raises(
            SimulationError,
            match=f"counter: the {simulator} build failed: .*counter.*syntax error.*: see",
        ):
            own_place.run(simulator, "draws")
    own_place.source.write_text(COUNTER)
    assert own_place.run(simulator, "draws").ok


def test_the_seed_decides_the_stimulus(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def drawn(**options) -> str:
        results = place.run("icarus", "draws", **options)
        lines = results.log.read_text().splitlines()
        return next(line for line in lines if line.startswith("DRAWN"))

    default = drawn()
    assert drawn() == default
    assert drawn(seed=7) != default
    monkeypatch.setenv("COCOTB_RANDOM_SEED", "7")
    assert drawn() == drawn(seed=7)
    monkeypatch.setenv("COCOTB_RANDOM_SEED", "seven")
    with pytest.raises(UserError, match="COCOTB_RANDOM_SEED: got 'seven'"):
        drawn()


def test_an_assertion_of_the_design_is_in_the_report(place: Place, simulator: str) -> None:
    results = place.run(simulator, "dies")
    assert (results.passed, results.failed) == (0, 1)
    assert "nine" in results.report


def test_a_killed_simulation_names_the_log_and_shows_its_end(place: Place, simulator: str) -> None:
    with pytest.raises(
        SimulationError, match=r"ended without results .*: see .*run\.log"
    ) as caught:
        place.run(simulator, "is_killed")
    assert "last words" in caught.value.tail


def test_a_hanging_simulation_is_ended(place: Place, simulator: str) -> None:
    with pytest.raises(SimulationError, match=r"was ended after 3 s: see .*run\.log"):
        place.run(simulator, "hangs", time_limit=3)


def test_waves_are_fst(place: Place, simulator: str) -> None:
    results = place.run(simulator, "counts", waves=True)
    assert results.ok
    assert results.waves is not None
    # An FST file starts with the block of type 0, its header.
    assert results.waves.read_bytes()[0] == 0
    assert results.waves.stat().st_size > 100
    assert place.run(simulator, "counts").waves is None


def test_verilator_shows_cocotb_the_ports_and_nothing_else(place: Place) -> None:
    assert place.run("verilator", "sees_ports_only").ok


def test_odd_paths(tmp_path: Path, shared: Path, simulator: str, monkeypatch) -> None:
    monkeypatch.setenv("LC_ALL", "C")
    monkeypatch.syspath_prepend(shared)
    place = tmp_path / "it's#1;é$(x)"
    place.mkdir()
    assert Place(place).run(simulator, "counts").ok
    for name, letter in (("a b", " "), ('a"b', '"'), ("a\tb", r"\t")):
        if letter == " " and simulator == "icarus":
            continue
        place = tmp_path / name
        place.mkdir()
        sentence = re.escape(f"cannot build in a folder whose path has '{letter}'")
        with pytest.raises(UserError, match=sentence):
            Place(place).run(simulator, "counts")
        assert not (place / simulator / "build.log").exists()
    if simulator == "verilator":
        sentence = re.escape("""cannot build in a folder whose path has "'": set CADUCEUS_BUILD""")
        with pytest.raises(UserError, match=sentence):
            Place(tmp_path / "it's#1;é$(x)").run(
                simulator, "counts", build_args=("--hierarchical",)
            )


@pytest.mark.parametrize("simulator", ["verilator"])
def test_an_installation_in_an_odd_path_is_refused_before_a_build(
    place: Place, simulator: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config, "libs_dir", tmp_path / "it's")
    sentence = 'Verilator cannot build with an installation whose path has "\'": use --sim icarus'
    with pytest.raises(UserError, match=sentence):
        place.run(simulator, "counts")


def test_an_unknown_simulator_lists_those_there_are(place: Place) -> None:
    with pytest.raises(UserError, match="simulator 'vcs': expected one of verilator, icarus"):
        place.run("vcs", "counts")


def test_a_missing_simulator_says_what_to_do(
    place: Place, simulator: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    runner.tool_version.cache_clear()
    reported = (
        f"is not on PATH: install {simulator.capitalize()}, or run `make setup` in a checkout"
    )
    with pytest.raises(UserError, match=reported):
        place.run(simulator, "counts")


def test_an_old_verilator_is_refused(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = tmp_path / "verilator"
    old.write_text("#!/bin/sh\necho Verilator 5.006 2023-01-22\n")
    old.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    runner.tool_version.cache_clear()
    with pytest.raises(UserError, match=r"Verilator 5\.006 .*: expected version 5\.036 or"):
        place.run("verilator", "counts")
    runner.tool_version.cache_clear()
