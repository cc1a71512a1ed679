"""Calibration of converters: the procedure against a model of a tile in plain Python."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest
from numpy.typing import NDArray

from caduceus.compiler.quantise import device_codes
from caduceus.golden.fast.tile import Tile
from caduceus.host import calibrate
from caduceus.host.calibrate import INDEX, Calibration, calibrated
from caduceus.sim.calibration import measured
from caduceus.spec import pcm_state
from caduceus.spec.chip import Chip
from caduceus.spec.errors import UserError
from caduceus.spec.formats import ReadMode
from caduceus.spec.measurement import REFERENCE_MAX, HostProcedure, Measurement
from caduceus.spec.program import TileConfig

HERMES = Chip.find("hermes")
WINDOWS = {ReadMode.ONE_PHASE: 1, ReadMode.FOUR_PHASE: 2}
SLOTS = 128
BOTH = pytest.mark.parametrize("mode", list(ReadMode))


@dataclass(frozen=True)
class Converter:
    """Gains times the nominal one, and offsets in counts."""

    gain_p: float = 1.0
    gain_n: float = 1.0
    offset_p: float = 0.0
    offset_n: float = 0.0

    def counts(self, charge: float, mode: ReadMode, chip: Chip) -> tuple[int, int]:
        """P and N of one MVM in which this charge flows in every window."""
        nominal = chip.nominal_gain / 2**32
        p, n = (
            min(max(math.floor(abs(charge) * gain * nominal + offset), 0), chip.adc.phase_limit)
            for gain, offset in ((self.gain_p, self.offset_p), (self.gain_n, self.offset_n))
        )
        if mode is ReadMode.FOUR_PHASE:
            return min(2 * p, 4095), min(2 * n, 4095)
        return (p, 0) if charge >= 0 else (0, n)


def answer(
    wanted: Measurement, converters: Sequence[Converter], chip: Chip, noise: Callable[[], float]
) -> NDArray[np.int8]:
    """Results of a tile with these converters, by arithmetic of real numbers."""
    charge = wanted.reference * SLOTS
    constants = wanted.config.constants.view(np.float16).astype(float)
    results = []
    for _ in wanted.x:
        row = []
        for converter, (gain_p, gain_n, offset, scale, bias) in zip(
            converters, constants, strict=True
        ):
            p, n = converter.counts(charge, wanted.config.read_mode, chip)
            p, n = p + round(noise()) * (p > 0), n + round(noise()) * (n > 0)
            value = (p * gain_p + offset - n * gain_n) * scale + bias
            row.append(max(-127, min(127, round(value))))
        results.append(row)
    return np.array(results, dtype=np.int8)


def drive(
    procedure: HostProcedure[Calibration],
    converters: Sequence[Converter],
    chip: Chip = HERMES,
    noise: Callable[[], float] = lambda: 0.0,
) -> Calibration:
    """The procedure on the model; checks that it stays with what a host may ask."""
    results = None
    try:
        while True:
            wanted = procedure.send(results)
            # Without a reference current, and without a pulse, it looks at empty windows.
            assert wanted.reference or not wanted.x.any()
            assert abs(wanted.reference) <= REFERENCE_MAX
            assert not wanted.config.tx_binary16
            results = answer(wanted, converters, chip, noise)
    except StopIteration as end:
        return end.value


CONVERTERS = (
    Converter(),
    Converter(0.8, 1.2, 3.0, -2.0),
    Converter(1.21, 0.79, -7.5, 4.25),
    Converter(1.0, 1.0, 0.5, 0.5),
    Converter(0.93, 1.11, 0.0, 20.0),
)


@BOTH
def test_known_converters_are_found(mode: ReadMode) -> None:
    found = drive(calibrate.calibration(HERMES, 1, len(CONVERTERS), mode), CONVERTERS)
    for column, converter in enumerate(CONVERTERS):
        for name in ("gain_p", "gain_n"):
            assert getattr(found, name)[column] == pytest.approx(getattr(converter, name), abs=2e-3)
        for name in ("offset_p", "offset_n"):
            assert getattr(found, name)[column] == pytest.approx(getattr(converter, name), abs=0.3)
        for name, offset in (("empty_p", converter.offset_p), ("empty_n", converter.offset_n)):
            empty = max(math.floor(offset), 0) if mode is ReadMode.FOUR_PHASE else 0
            assert getattr(found, name)[column] == empty
    assert found.columns == len(CONVERTERS) and found.read_mode is mode


@BOTH
def test_noise_is_averaged(mode: ReadMode) -> None:
    random = np.random.default_rng(4)
    found = drive(
        calibrate.calibration(HERMES, 1, len(CONVERTERS), mode), CONVERTERS,
        noise=lambda: random.normal(0, 2),
    )  # fmt: skip
    for column, converter in enumerate(CONVERTERS):
        assert found.gain_p[column] == pytest.approx(converter.gain_p, abs=0.01)
        assert found.offset_n[column] == pytest.approx(converter.offset_n, abs=1.5)


@pytest.mark.parametrize(
    ("cell_counts", "phase_limit"), [(1, 422), (40, 422), (40, 4095), (250, 422), (250, 4095)]
)
@BOTH
def test_every_chip_has_reference_currents(
    cell_counts: int, phase_limit: int, mode: ReadMode
) -> None:
    adc = HERMES.adc.model_copy(update={"cell_counts": cell_counts, "phase_limit": phase_limit})
    chip = HERMES.model_copy(update={"adc": adc})
    levels = calibrate.reference_levels(chip, WINDOWS[mode])
    assert (np.diff(levels.reshape(-1)) > 0).all()
    assert levels.min() >= 1 and levels.max() <= REFERENCE_MAX
    ideal = [Converter(0.9, 1.1)]
    found = drive(calibrate.calibration(chip, 1, 1, mode), ideal, chip)
    assert found.gain_p[0] == pytest.approx(0.9, rel=0.02)
    assert found.gain_n[0] == pytest.approx(1.1, rel=0.02)


def config(mode: ReadMode, columns: int, **constants: float) -> TileConfig:
    """Of one row; constants that are not given are 1, 1, 0, 1, 0."""
    values = np.tile(np.array([1, 1, 0, 1, 0], dtype=np.float16), (columns, 1))
    for name, value in constants.items():
        values[:, INDEX[name]] = value
    return TileConfig(mode, 1, columns, values.view(np.uint16))


def calibration(mode: ReadMode, converter: Converter) -> Calibration:
    """What is known of one column."""
    return Calibration(
        mode, *(np.array([getattr(converter, name)]) for name in
                ("gain_p", "gain_n", "offset_p", "offset_n")),
        empty_p=np.array([max(math.floor(converter.offset_p), 0)]),
        empty_n=np.array([max(math.floor(converter.offset_n), 0)]), reads=0,
    )  # fmt: skip


def square_error(mode: ReadMode, converter: Converter, constants: NDArray[np.float64]) -> float:
    """Mean square error, in counts, over random charges: as many positive as negative results."""
    random = np.random.default_rng(7)
    nominal = HERMES.nominal_gain / 2**32
    gain_p, gain_n, offset = constants[:3]
    total, number = 0.0, 4000
    for _ in range(number):
        q = random.uniform(30, 200, 4) / nominal
        if mode is ReadMode.FOUR_PHASE:
            p, n = (
                sum(
                    math.floor(each * gain * nominal + shift + random.normal()) for each in charges
                )
                for charges, gain, shift in (
                    (q[:2], converter.gain_p, converter.offset_p),
                    (q[2:], converter.gain_n, converter.offset_n),
                )
            )  # fmt: skip
            exact = (q[0] + q[1] - q[2] - q[3]) * nominal
        elif random.random() < 0.5:
            exact = q[0] * nominal
            read = exact * converter.gain_p + converter.offset_p
            p, n = math.floor(read + random.normal()), 0
        else:
            exact = -q[0] * nominal
            read = -exact * converter.gain_n + converter.offset_n
            p, n = 0, math.floor(read + random.normal())
        total += (p * gain_p + offset - n * gain_n - exact) ** 2
    return total / number


@BOTH
@pytest.mark.parametrize("converter", CONVERTERS[1:], ids=str)
def test_no_other_constant_is_better(mode: ReadMode, converter: Converter) -> None:
    """The least mean square error: a constant turned the other way, or moved, makes it larger.

    In 1-phase reads gains may be off to make up for an offset that stays: they are not to be.
    """
    found = calibrated(config(mode, 1), calibration(mode, converter))
    constants = found.constants.view(np.float16).astype(float)[0]
    best = square_error(mode, converter, constants)
    assert best <= square_error(mode, converter, np.array([1, 1, 0, 1, 0.0]))
    steps = {"gain_p": 0.03, "gain_n": 0.03, "offset": 0.5}
    for name, step in steps.items() if mode is ReadMode.FOUR_PHASE else [("offset", 0.5)]:
        for moved in (-step, step):
            other = constants.copy()
            other[INDEX[name]] += moved
            assert square_error(mode, converter, other) > best, (name, moved)
    mirrored = constants.copy()
    mirrored[INDEX["offset"]] *= -1
    if abs(mirrored[INDEX["offset"]]) > 0.5:
        assert square_error(mode, converter, mirrored) > best
    swapped = constants[[1, 0, 2, 3, 4]]
    if converter.gain_p != converter.gain_n:
        assert square_error(mode, converter, swapped) > best


def test_offsets_that_4_phase_reads_lose_and_1_phase_reads_keep() -> None:
    """P and N with the same offset: in 4-phase it drops out, in 1-phase one constant cannot."""
    same = Converter(offset_p=6.5, offset_n=6.5)
    errors = {}
    for mode in ReadMode:
        found = calibrated(config(mode, 1), calibration(mode, same))
        constants = found.constants.view(np.float16).astype(float)[0]
        assert constants[INDEX["offset"]] == 0
        errors[mode] = square_error(mode, same, constants)
    assert errors[ReadMode.ONE_PHASE] > 30 > 10 > errors[ReadMode.FOUR_PHASE]


def test_ideal_converters_are_left_alone() -> None:
    for mode in ReadMode:
        before = config(mode, 1, scale=0.3, bias=-7)
        assert (
            calibrated(before, calibration(mode, Converter())).constants == before.constants
        ).all()


def test_what_a_configuration_has_stays_in_effect() -> None:
    """Its own gains and offset are of ideal counts; scale and bias are not touched."""
    mode = ReadMode.FOUR_PHASE
    converter = Converter(0.8, 1.25, 2.5, -1.5)
    before = config(mode, 1, gain_p=2, gain_n=0.5, offset=10, scale=0.25, bias=-3)
    after = calibrated(before, calibration(mode, converter)).constants.view(np.float16)[0]
    offset = 10 - 2 * 2 * (2.5 - 0.5) / 0.8 + 0.5 * 2 * (-1.5 - 0.5) / 1.25
    wanted = [2 / 0.8, 0.5 / 1.25, offset, 0.25, -3]
    assert after.tolist() == np.array(wanted).astype(np.float16).tolist()


@pytest.mark.parametrize(
    ("given", "known", "sentence"),
    [
        (config(ReadMode.ONE_PHASE, 1), calibration(ReadMode.FOUR_PHASE, Converter()),
         "calibration: read mode: got 4-phase, expected 1-phase, as in the configuration"),
        (config(ReadMode.FOUR_PHASE, 2), calibration(ReadMode.FOUR_PHASE, Converter()),
         "calibration: columns: got 1, expected 2 or more, as in the configuration"),
        (config(ReadMode.FOUR_PHASE, 1, gain_p=60000),
         calibration(ReadMode.FOUR_PHASE, Converter(0.8)),
         r"calibrated gain_p: got 7\.5e\+04, expected 6\.1e-05 to 65504 in magnitude"),
        (config(ReadMode.FOUR_PHASE, 1, gain_n=30000),
         calibration(ReadMode.FOUR_PHASE, Converter(offset_n=-100)),
         r"calibrated offset: got -6\.03e\+06, expected "),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_reported(
    given: TileConfig, known: Calibration, sentence: str
) -> None:
    with pytest.raises(UserError, match=f"^{sentence}"):
        calibrated(given, known)


@pytest.mark.parametrize(
    ("converter", "noise", "sentence"),
    [
        (Converter(gain_p=0), 0, r"column 1: counter P: gain: got 0\.000 times the nominal one, "
         r"expected 0\.5 to 1\.5"),
        (Converter(gain_n=0.4), 0, r"column 1: counter N: gain: got 0\.400 times "),
        (Converter(gain_n=1.47), 0, r"column 1: counter N: counts at the reference currents: got "
         r"\d+ to 422, expected 1 to 421"),
        (Converter(offset_p=-90), 0, "column 1: counter P: counts at the reference currents: got"),
        (Converter(), 100, r"column \d: counter P: spread of reads: got 127 counts or more, "),
    ],
)  # fmt: skip
def test_converters_that_are_none_are_refused(
    converter: Converter, noise: float, sentence: str
) -> None:
    random = np.random.default_rng(2)
    procedure = calibrate.calibration(HERMES, 1, 2, ReadMode.ONE_PHASE)
    with pytest.raises(UserError, match=f"^calibration: {sentence}"):
        drive(procedure, [Converter(), converter], noise=lambda: random.normal(0, noise))


def mismatched() -> tuple[Tile, NDArray[np.int64]]:
    """A whole tile with converters as far from the nominal one as published, and its cells."""
    random = np.random.default_rng(9)
    columns, rows = HERMES.array.columns, HERMES.array.rows
    cells = random.integers(-255, 256, (rows, columns))
    ideal = pcm_state.ideal(HERMES, device_codes(cells)[np.newaxis], seed=3)
    one = (1, columns)
    state = replace(
        ideal,
        **{
            name: np.rint(HERMES.nominal_gain * random.normal(1, 0.0709, one)).astype(np.uint32)
            for name in ("gain_p", "gain_n")
        },
        **{
            name: np.rint(256 * random.normal(0, 2, one)).astype(np.int16)
            for name in ("offset_p", "offset_n")
        },
        noise=np.full(one, 256, np.uint16),
    )
    return Tile(HERMES, state), cells


@BOTH
def test_the_golden_model_of_a_tile_is_nearer_to_what_is_right(mode: ReadMode) -> None:
    """Mismatched converters with read noise: less than half of the error is left in 4-phase."""
    tile, cells = mismatched()
    rows, columns = cells.shape
    random = np.random.default_rng(10)
    x = random.integers(-127, 128, (20, rows), dtype=np.int8)
    exact = x @ cells * (HERMES.nominal_gain / 2**32) / 2
    plain = replace(config(mode, columns, scale=0.5), rows=rows)
    corrected = calibrated(plain, measured(tile, 1, columns, mode))
    before, after = (np.std(tile.run(each, x) - exact) for each in (plain, corrected))
    assert after < before * (0.5 if mode is ReadMode.FOUR_PHASE else 0.7), (before, after)


def test_inputs_of_one_sign_have_windows_without_pulses() -> None:
    """As after a ReLU: such windows count what no line through reference currents tells."""
    tile, cells = mismatched()
    rows, columns = cells.shape
    x = np.random.default_rng(11).integers(0, 128, (40, rows)).astype(np.int8)
    x[:, 60:] = 0
    exact = x @ cells * (HERMES.nominal_gain / 2**32) / 2
    plain = replace(config(ReadMode.FOUR_PHASE, columns, scale=0.5), rows=rows)
    found = measured(tile, 1, columns, ReadMode.FOUR_PHASE)
    # What stays with a column, averaged over the reads' noise.
    of_both, of_one = (
        np.std((tile.run(calibrated(plain, found, one_sign), x) - exact).mean(axis=0))
        for one_sign in (False, True)
    )
    assert of_one < 0.6 * of_both, (of_one, of_both)
    # In 1-phase reads there is one window, and nothing changes.
    once = measured(tile, 1, columns, ReadMode.ONE_PHASE)
    plain = replace(config(ReadMode.ONE_PHASE, columns), rows=rows)
    assert (calibrated(plain, once, True).constants == calibrated(plain, once).constants).all()
