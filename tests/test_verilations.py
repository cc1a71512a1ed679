"""Ways to simulate a chip: with any verilation and number of threads, the same bits and clocks."""

import filecmp
import json
import re
from pathlib import Path

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

import caduceus
from caduceus.devices import settings
from caduceus.hdl.common.verilog import write
from caduceus.hdl.fabric.grid import Wiring
from caduceus.sim import job as files
from caduceus.sim.chip_design import (
    FLAT,
    HIERARCHICAL,
    PARALLEL,
    THREADS_VARIABLE,
    default_threads,
)
from caduceus.spec import fabric
from caduceus.spec.chip import Chip
from caduceus.spec.errors import UserError
from caduceus.spec.shipped import build_folder

MEASURED = re.compile("seconds|khz|peak|per_second|trace|picture")
"""Figures that are those of the machine."""

BUILD = build_folder() / "verilations"
"""Only these tests run there, one after another."""


def _ran(network: str, place: Path, **options: object) -> tuple[dict, Path]:
    """Figures and job folder of a run on noisy devices, in a copy of what it left."""
    chip = Chip.find("tiny")
    program = caduceus.compile(caduceus.Network.find(network), chip)
    devices = caduceus.Devices(settings.find("hermes_tdp"), seed=3, age=3600)
    simulation = caduceus.Simulation(program, devices, build=BUILD, chip=chip, **options)
    x = program.sample[:1] if program.slices == () else program.sample[:1, :6]
    result = simulation.run(x)
    place.mkdir()
    simulation.job.rename(place / "job")
    return json.loads(json.dumps(vars(result.figures), default=str)), place / "job"


def _same(one: tuple[dict, Path], other: tuple[dict, Path]) -> None:
    figures = [
        {k: v for k, v in found.items() if not MEASURED.search(k)} for found, _ in (one, other)
    ]
    assert figures[0] == figures[1]
    assert figures[0]["mismatches"] == 0
    folders = [job for _, job in (one, other)]
    names = sorted(path.name for path in (folders[0] / files.RECORD).iterdir())
    assert len(names) > 4
    assert names == sorted(path.name for path in (folders[1] / files.RECORD).iterdir())
    for name in names:
        first, second = (folder / files.RECORD / name for folder in folders)
        assert first.stat().st_size > 0
        assert filecmp.cmp(first, second, shallow=False), name
    for port in (folders[0] / "streams").glob("output_*.txt"):
        assert filecmp.cmp(port, folders[1] / "streams" / port.name, shallow=False), port.name


@pytest.mark.xdist_group("verilations")
@pytest.mark.parametrize("network", ["resnet_tiny", "lstm_tiny"])
def test_results_clocks_and_recordings_are_the_same(network: str, tmp_path: Path) -> None:
    one = _ran(network, tmp_path / "one", threads=1)
    _same(one, _ran(network, tmp_path / "three", threads=3))
    _same(one, _ran(network, tmp_path / "plain", verilation=HIERARCHICAL))


@pytest.mark.regress
@pytest.mark.xdist_group("verilations")
@pytest.mark.parametrize("network", ["resnet_tiny", "lstm_tiny"])
def test_a_flat_model_gives_the_same(network: str, tmp_path: Path) -> None:
    one = _ran(network, tmp_path / "one", threads=2)
    _same(one, _ran(network, tmp_path / "flat", verilation=FLAT))


class _Straight(wiring.Component):
    """An output that depends on an input in the same clock."""

    clk: In(1)
    a: In(4)
    q: Out(4)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.comb += self.q.eq(self.a + 1)
        return m


def test_a_part_whose_output_depends_on_an_input_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "part.v"
    write(_Straight(), "part", path, tmp_path)
    with pytest.raises(UserError, match="Yosys refused module part: ERROR: Assertion failed"):
        write(_Straight(), "part", path, tmp_path, registered=True)


def test_every_stream_of_the_grid_is_wired_once() -> None:
    chip = Chip.find("hermes")
    layout = Wiring.of(chip)
    sources = [source for _, source, _ in layout.links] + list(layout.host_outputs)
    sinks = [sink for _, _, sink in layout.links] + list(layout.host_inputs)
    assert len(set(sources)) == len(sources) == len(fabric.links(chip)) + 4 * 8 + 8
    assert len(set(sinks)) == len(sinks)
    assert len({name for name, _, _ in layout.links}) == len(layout.links)


def test_waves_need_a_verilation_with_signals() -> None:
    program = caduceus.compile(caduceus.Network.find("conv_32x16"), Chip.find("tiny"))
    with pytest.raises(UserError, match=r"^waves need another verilation: got parallel, expected"):
        caduceus.Simulation(program, chip=Chip.find("tiny"), waves=True, verilation=PARALLEL)


@pytest.mark.parametrize("text", ["0", "65", "two", "-1", "1.5"])
def test_a_number_of_threads_is_checked(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(THREADS_VARIABLE, text)
    with pytest.raises(UserError, match=f"^{THREADS_VARIABLE}: got .*, expected a whole number"):
        default_threads()


def test_threads_are_those_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(THREADS_VARIABLE, "5")
    assert default_threads() == 5
    monkeypatch.delenv(THREADS_VARIABLE)
    assert default_threads() >= 1
