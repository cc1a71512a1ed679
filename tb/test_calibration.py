"""Calibration and drift compensation by the host, RTL against golden: equal results and constants.

The same host procedures (`host.calibrate`, `host.compensate`) measure the tile over AXI and its
golden model.
"""

from dataclasses import fields, replace
from functools import partial
from pathlib import Path

import cocotb
import numpy as np

from caduceus.golden import measure
from caduceus.golden.fast.tile import Tile
from caduceus.hdl.array import pcm_array
from caduceus.hdl.common.verilog import write
from caduceus.hdl.tile.axi_tile import AxiTile
from caduceus.host import calibrate, compensate
from caduceus.host.calibrate import Calibration
from caduceus.sim.harness_files import TILE_SOURCES
from caduceus.sim.job import half_periods
from caduceus.sim.scoreboard import compare
from caduceus.sim.streamed_tile import PLUSARGS, StreamedTile
from caduceus.spec import formats
from caduceus.spec.chip import Chip
from caduceus.spec.errors import UserError
from caduceus.spec.formats import ReadMode
from caduceus.spec.pcm_state import PcmState
from caduceus.spec.program import TileConfig
from tb import benches
from tb.benches import Bench, Design, Variant
from tb.chips import sized
from tb.tile_bench import place


def _prepare(variant: Variant, folder: Path) -> Design:
    chip = sized(variant.parameters)
    tile = write(AxiTile(chip), "axi_tile", folder / "axi_tile.v")
    sources = [*pcm_array.write_sources(folder, chip), tile, *TILE_SOURCES]
    return Design(sources, "tile_harness", {"UNITS": chip.link.units}, plusargs=PLUSARGS)


BENCH = Bench(
    name="calibration",
    covers=("axi_tile", "tile"),
    variants=(
        Variant("tiny", {"chip": "tiny"}, ("verilator",)),
        # The smallest possible array: the procedures are under test.
        Variant("least", {"chip": "tiny", "rows": 4, "columns": 4, "gdpu_units": 1}, ("icarus",)),
        Variant("hermes", {"chip": "hermes"}, ("verilator",), True),
    ),
    prepare=_prepare,
)


async def _tile(dut: object) -> tuple[StreamedTile, Chip]:
    chip = sized(benches.current())
    return await StreamedTile.start(dut, chip, *half_periods(chip)), chip


def _mismatched(random: np.random.Generator, chip: Chip) -> PcmState:
    """Random cells, and converters that deviate from nominal as published."""
    rows, columns = chip.array.rows, chip.array.columns
    one = (1, columns)

    def gains() -> np.ndarray:
        return np.rint(chip.nominal_gain * random.uniform(0.79, 1.21, one)).astype(np.uint32)

    def offsets() -> np.ndarray:
        return np.rint(random.normal(0, 2, one) * 2**formats.OFFSET_FRACTION).astype(np.int16)

    # Smaller cells in a large array, so that no converter saturates.
    top = min(formats.DEVICE_MAX, (1 << 15) // rows)
    weights = random.integers(-top, top + 1, (1, rows, columns))
    zero = np.zeros_like(weights)
    polarities = (np.maximum(weights, 0), zero, np.maximum(-weights, 0), zero)
    return PcmState(
        chip=chip.name,
        seed=int(random.integers(1 << 63)),
        codes=np.stack(polarities, axis=-1).astype(np.uint8),
        gain_p=gains(),
        gain_n=gains(),
        offset_p=offsets(),
        offset_n=offsets(),
        noise=np.full(one, 1 << formats.NOISE_FRACTION, np.uint16),
    )


def _config(chip: Chip, mode: ReadMode) -> TileConfig:
    """The whole array, half an INT8 step per count, a bias, no corrections."""
    constants = np.zeros((chip.array.columns, len(formats.COLUMN_CONSTANTS)), np.float16)
    for name, value in (("gain_p", 1), ("gain_n", 1), ("scale", 0.5), ("bias", 3)):
        constants[:, calibrate.INDEX[name]] = value
    return TileConfig(mode, chip.array.rows, chip.array.columns, constants.view(np.uint16))


def _equal(golden: Calibration, rtl: Calibration) -> None:
    for field in fields(Calibration):
        expected, got = (getattr(each, field.name) for each in (golden, rtl))
        assert np.array_equal(expected, got), f"{field.name}: expected {expected}, got {got}"


@cocotb.test()
@cocotb.parametrize(mode=list(ReadMode))
async def calibration(dut: object, mode: ReadMode) -> None:
    """Constants are equal; results with and without them are equal; constants reduce the error."""
    random = benches.generator()
    tile, chip = await _tile(dut)
    state = _mismatched(random, chip)
    golden = Tile(chip, state)
    await tile.load(state)
    procedure = partial(calibrate.calibration, chip, 1, chip.array.columns, mode)
    found = await tile.measure(procedure())
    _equal(measure.run(procedure(), golden), found)
    assert tile.reads == found.reads

    before = _config(chip, mode)
    after = calibrate.calibrated(before, found)
    x = random.integers(-127, 128, (16, chip.array.rows), dtype=np.int8)
    cells = state.codes[0].astype(np.int64)
    exact = x @ (cells[..., 0] - cells[..., 2]) * (chip.nominal_gain / 2**formats.GAIN_FRACTION)
    errors = []
    for name, config in (("before", before), ("after", after)):
        reads = tile.reads
        await tile.configure(config)
        got = await tile.run(x)
        compare(golden.run(config, x, first_read=reads), got, place(f"{name} calibration"))
        inside = np.abs(got) < formats.INT8_MAX
        errors.append(np.std((got - exact * 0.5 - 3)[inside]))
    # One constant for both signs leaves the offset of the counter that counts in 1-phase reads.
    assert errors[1] < errors[0] * (0.6 if mode is ReadMode.FOUR_PHASE else 0.8), errors
    assert await tile.host.read("ERROR") == 0


@cocotb.test()
@cocotb.parametrize(mode=list(ReadMode))
async def drift(dut: object, mode: ReadMode) -> None:
    """Baselines and factors are equal, and close to the devices' loss."""
    random = benches.generator()
    tile, chip = await _tile(dut)
    programmed = _mismatched(random, chip)
    left = 0.75
    codes = np.rint(programmed.codes * left).astype(np.uint8)
    later = replace(programmed, codes=codes, seed=programmed.seed + 1)
    config = _config(chip, mode)
    await tile.load(programmed)
    before = await tile.measure(compensate.baseline(config))
    assert before == measure.run(compensate.baseline(config), Tile(chip, programmed))
    await tile.load(later)
    factor = await tile.measure(compensate.factor(config, before))
    assert factor == measure.run(compensate.factor(config, before), Tile(chip, later))
    assert not factor.doubt and abs(factor.factor * left - 1) < 0.1, factor
    after = compensate.compensated(config, factor.factor)
    x = random.integers(-127, 128, (4, chip.array.rows), dtype=np.int8)
    reads = tile.reads
    await tile.configure(after)
    compare(Tile(chip, later).run(after, x, first_read=reads), await tile.run(x), place("later"))


@cocotb.test()
async def refusals(dut: object) -> None:
    """RTL and golden model report a dead converter and a dead array alike."""
    random = benches.generator()
    tile, chip = await _tile(dut)
    quiet = _mismatched(random, chip)
    quiet.offset_p[:], quiet.offset_n[:], quiet.noise[:] = 0, 0, 0
    silent = replace(quiet, gain_p=quiet.gain_p.copy())
    silent.gain_p[0, 3] = 0
    blank = replace(quiet, codes=np.zeros_like(quiet.codes))
    mode = ReadMode.ONE_PHASE
    procedure = partial(calibrate.calibration, chip, 1, chip.array.columns, mode)
    await tile.load(silent)
    sentences = []
    try:
        await tile.measure(procedure())
    except UserError as error:
        sentences.append(str(error))
    try:
        measure.run(procedure(), Tile(chip, silent))
    except UserError as error:
        sentences.append(str(error))
    assert len(sentences) == 2 and sentences[0] == sentences[1], sentences
    assert "column 3: counter P: gain: got " in sentences[0], sentences
    # The cells are connected again in any case.
    assert await tile.host.read("REFERENCE") == 0
    config = _config(chip, mode)
    await tile.load(blank)
    before = await tile.measure(compensate.baseline(config))
    assert before == measure.run(compensate.baseline(config), Tile(chip, blank))
    factor = await tile.measure(compensate.factor(config, before))
    assert factor == measure.run(compensate.factor(config, before), Tile(chip, blank))
    assert factor.factor is None and factor.doubt, factor
