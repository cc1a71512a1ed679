"""Random graphs through importer, compiler, golden and RTL; buffers at exactly what is printed."""

import warnings
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx_build import Build
from onnx_random import MANY, TINY, random_graph

from caduceus import Chip, Golden, Simulation, compile
from caduceus.compiler.cnn_flow import needs
from caduceus.importers.load import network_of
from caduceus.importers.simplify import simplified_here
from caduceus.spec.chip import Array, Gdpu
from caduceus.spec.errors import UserError
from caduceus.spec.fabric import INPUT, RX

REPOSITORY = Path(__file__).resolve().parent.parent
CHIP = Chip.find("tiny")
HERMES = Chip.find("hermes")
GRID = HERMES.model_copy(
    update={
        "array": Array(rows=32, columns=16),
        "gdpu": Gdpu(slices=8, units=4),
        "buffers": HERMES.buffers.model_copy(update={"gather": 1}),
    }
)
"""8x8 tiles of small arrays; gathered byte by byte, so that a buffer may have any size."""
SEEDS = range(3)
UNROUTED = frozenset({18, 26, 37})
"""Graphs whose streams would have to share a link on four tiles."""
MORE = [pytest.param(seed, marks=pytest.mark.regress) for seed in range(3, 60)]


def imported(seed, limits, chip, tmp_path):
    model, x = random_graph(seed, limits)
    file = tmp_path / f"random{seed}.onnx"
    onnx.save(model, file)
    return network_of(simplified_here(file), x, chip=chip), x


def compiled(network, chip):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return compile(network, chip)


@pytest.mark.xdist_group("sim")
@pytest.mark.parametrize(
    ("seed", "simulator"),
    [
        (0, "verilator"),
        (2, "icarus"),
        *(
            pytest.param(seed, simulator, marks=pytest.mark.regress)
            for seed in range(60)
            for simulator in ("verilator", "icarus")
            if (seed, simulator) not in ((0, "verilator"), (2, "icarus"))
        ),
    ],
)
def test_every_value_in_rtl_equals_golden(seed, simulator, tmp_path, monkeypatch):
    monkeypatch.setenv("CADUCEUS_BUILD", str(REPOSITORY / "build"))
    monkeypatch.chdir(tmp_path)
    network, x = imported(seed, TINY, CHIP, tmp_path)
    assert network.graph.imported.difference < 1e-5
    if seed in UNROUTED:
        with pytest.raises(UserError, match="no routes found"):
            compiled(network, CHIP)
        return
    program = compiled(network, CHIP)
    golden = Golden(program).run(x[:2], capture=True)  # two inputs back to back
    rtl = Simulation(program, simulator=simulator).run(x[:2], capture=True)
    comparison = rtl.compare(golden)
    assert comparison.equal, comparison.report()
    assert comparison.values_compared > golden.outputs.size
    assert golden.outputs.any()


@pytest.mark.parametrize("seed", [*SEEDS, *MORE])
def test_buffers_of_what_is_printed_suffice_and_less_do_not(seed, tmp_path):
    network, _ = imported(seed, MANY, GRID, tmp_path)
    assert network.graph.imported.difference < 1e-5
    program = compiled(network, GRID)
    need = {sink: 0 for sink in (INPUT, RX)}
    for each in needs(program, GRID):
        need[each.sink] = max(need[each.sink], each.bytes)
    keys = {INPUT: "activation", RX: "rx"}
    sizes = {keys[sink]: max(1, size) for sink, size in need.items()}
    exact = GRID.buffers.model_copy(update=sizes)
    compiled(network, GRID.model_copy(update={"buffers": exact}))
    for sink, key in keys.items():
        if need[sink] < 2:
            continue
        smaller = exact.model_copy(update={key: need[sink] - 1})
        with pytest.raises(UserError) as refusal:
            compiled(network, GRID.model_copy(update={"buffers": smaller}))
        assert key in str(refusal.value)


@pytest.mark.parametrize("seed", [*SEEDS, *MORE])
def test_golden_runs_those_on_many_tiles(seed, tmp_path):
    network, x = imported(seed, MANY, GRID, tmp_path)
    golden = Golden(compiled(network, GRID), chip=GRID).run(x[:2])
    assert golden.outputs.any()


@pytest.mark.regress
@pytest.mark.parametrize("seed", range(6))
def test_rtl_of_many_tiles_equals_golden(seed, tmp_path, monkeypatch):
    monkeypatch.setenv("CADUCEUS_BUILD", str(REPOSITORY / "build"))
    monkeypatch.chdir(tmp_path)
    network, x = imported(seed, MANY, GRID, tmp_path)
    program = compiled(network, GRID)
    golden = Golden(program, chip=GRID).run(x[:2], capture=True)
    rtl = Simulation(program, chip=GRID).run(x[:2], capture=True)
    assert rtl.compare(golden).equal


@pytest.mark.xdist_group("sim")
def test_two_layers_that_take_the_networks_input(tmp_path, monkeypatch):
    monkeypatch.setenv("CADUCEUS_BUILD", str(REPOSITORY / "build"))
    monkeypatch.chdir(tmp_path)
    build = Build("stems", seed=3)
    one, other = build.conv("x", 1, 2, 3, pads=[1] * 4), build.conv("x", 1, 2, 1)
    y = build("Relu", build("Add", one, other))
    model, x = build.case(y, ("N", 2, "h", "w"), build.samples(4, 1, 6, 6))
    onnx.save(model, tmp_path / "stems.onnx")
    network = network_of(simplified_here(tmp_path / "stems.onnx"), x, chip=CHIP)
    assert [node.input for node in network.graph.nodes] == ["input", "input"]
    program = compiled(network, CHIP)
    golden = Golden(program).run(x[:2], capture=True)
    rtl = Simulation(program).run(x[:2], capture=True)
    assert rtl.compare(golden).equal
    need = max(each.bytes for each in needs(program, CHIP) if each.sink == RX)
    smaller = CHIP.buffers.model_copy(update={"rx": need - 1})
    with pytest.raises(UserError, match="rx"):
        compiled(network, CHIP.model_copy(update={"buffers": smaller}))


def test_seeds_give_graphs_of_several_layers(tmp_path):
    layers = [len(imported(seed, MANY, GRID, tmp_path)[0].graph.nodes) for seed in range(6)]
    assert max(layers) >= 6
    assert np.mean(layers) > 3
