"""Networks through one tile, layer by layer: every vector of every layer, RTL against golden.

The host's steps between the layers use the RTL's own results, as on the published chip.
"""

from dataclasses import replace
from pathlib import Path

import cocotb
import numpy as np
from numpy.typing import NDArray

from caduceus.data import pictures
from caduceus.hdl.array import pcm_array
from caduceus.hdl.common.verilog import write
from caduceus.hdl.tile.axi_tile import AxiTile
from caduceus.sim.harness_files import TILE_SOURCES
from caduceus.sim.job import half_periods
from caduceus.sim.scoreboard import Scoreboard
from caduceus.sim.streamed_tile import PLUSARGS, StreamedTile
from caduceus.spec import pcm_state
from caduceus.spec.chip import Chip
from caduceus.spec.formats import ReadMode
from caduceus.spec.network import Network
from caduceus.spec.pcm_state import PcmState
from tb import benches, tile_network
from tb.benches import Bench, Design, Variant
from tb.chips import sized
from tb.tile_bench import flipped
from tb.tile_network import LayerProgram, LayerTrace, TileNetwork


def _prepare(variant: Variant, folder: Path) -> Design:
    chip = sized(variant.parameters)
    tile = write(AxiTile(chip), "axi_tile", folder / "axi_tile.v")
    sources = [*pcm_array.write_sources(folder, chip), tile, *TILE_SOURCES]
    return Design(sources, "tile_harness", {"UNITS": chip.link.units}, plusargs=PLUSARGS)


BENCH = Bench(
    name="tile_network",
    covers=("axi_tile", "tile", "ldpu", "tile_harness.sv"),
    variants=(
        Variant("tiny", {"chip": "tiny", "network": "fashion_tiny"}),
        Variant("hermes", {"chip": "hermes", "network": "fashion_small"}, regress=True),
    ),
    prepare=_prepare,
)


def _place(layer: LayerProgram, number: int) -> str:
    """Image and pixel of an index into a layer's outputs, in words."""
    height, width, _ = layer.geometry.output
    image, pixel = divmod(number, height * width)
    return f"image {image}, pixel (y={pixel // width}, x={pixel % width})"


class _Run:
    """The bench's network on its chip, one test image, and a tile after reset."""

    def __init__(self, chip: Chip, tile: StreamedTile, mode: ReadMode) -> None:
        self.chip, self.tile = chip, tile
        found = Network.find(benches.current()["network"])
        self.network = found.graph
        self.program = tile_network.compile_network(found.graph, found.weights, chip, mode)
        self.images: NDArray[np.uint8] = pictures.first(1)[0]

    @classmethod
    async def start(cls, dut: object, mode: ReadMode) -> "_Run":
        """Start clocks, reset the tile."""
        chip = sized(benches.current())
        return cls(chip, await StreamedTile.start(dut, chip, *half_periods(chip)), mode)

    def states(self, random: np.random.Generator | None = None) -> list[PcmState]:
        """Devices of every layer; with read noise if there is a generator."""
        found = []
        for layer in self.program.layers:
            state = pcm_state.ideal(self.chip, layer.codes[np.newaxis])
            if random is not None:
                noise = random.integers(0, 400, state.noise.shape).astype(state.noise.dtype)
                state = replace(state, seed=int(random.integers(1 << 32)), noise=noise)
            found.append(state)
        return found

    def golden(self, states: list[PcmState]) -> list[LayerTrace]:
        """Input and output vectors of the tile for every layer."""
        program: TileNetwork = self.program
        return tile_network.run(program, self.chip, self.images, states, capture=True)[1]

    async def compared(self, states: list[PcmState], golden: list[LayerTrace]) -> Scoreboard:
        """Run all layers in RTL on these devices; compare the tile's outputs with golden."""
        comparison = Scoreboard()
        x = pictures.quantise_input(self.images, self.network.input.scale)
        for layer, state, trace in zip(self.program.layers, states, golden, strict=True):
            await self.tile.load(state)
            await self.tile.configure(layer.config)
            outputs = await self.tile.run(tile_network.vectors(layer, x))

            def describe(at: tuple[int, ...], layer: LayerProgram = layer) -> str:
                return f"layer {layer.layer.name}, {_place(layer, at[0])}, column {at[1]}"

            comparison.add(trace.outputs, outputs, describe)
            x = tile_network.feature_maps(layer, outputs)
        assert await self.tile.host.read("ERROR") == 0
        vectors = sum(len(trace.outputs) for trace in golden)
        assert await self.tile.host.read("MVMS") == vectors
        return comparison


@cocotb.test()
async def every_vector_of_every_layer(dut: object) -> None:
    """An image in each read mode, with read noise: every value equal, none left out."""
    random = benches.generator()
    for mode in ReadMode:
        run = await _Run.start(dut, mode)
        states = run.states(random)
        golden = run.golden(states)
        comparison = await run.compared(states, golden)
        assert comparison.mismatches == 0, comparison.first
        assert comparison.compared == sum(trace.outputs.size for trace in golden)
        assert all(len(np.unique(trace.outputs)) > 3 for trace in golden)


@cocotb.test()
async def one_inverted_bit_is_reported(dut: object) -> None:
    """One inverted bit of one device of the second layer, on the RTL's side only."""
    run = await _Run.start(dut, ReadMode.FOUR_PHASE)
    states = run.states()
    golden = run.golden(states)
    wrong = list(states)
    wrong[1] = replace(states[1], codes=flipped(states[1].codes, (0, 2, 1, 0), 7))
    comparison = await run.compared(wrong, golden)
    assert comparison.mismatches > 0
    # The first layer ran on its own, correct state: errors begin in the second, column 1.
    sentence = comparison.first
    name = run.program.layers[1].layer.name
    assert sentence.startswith(f"layer {name}, image 0, pixel (") and "column 1" in sentence, (
        sentence
    )
    assert "expected" in sentence and "got" in sentence
