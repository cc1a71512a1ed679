"""Drift compensation: the factor that is measured, whether it is believed, and what it changes."""

from dataclasses import replace

import numpy as np
import pytest

from caduceus.compiler.quantise import device_codes
from caduceus.golden import measure
from caduceus.golden.fast.tile import Tile
from caduceus.host import compensate
from caduceus.host.calibrate import INDEX, calibrated
from caduceus.host.compensate import Answer, DriftFactor, Measured, compensated, settled
from caduceus.sim.calibration import drift_factor, measured
from caduceus.spec import pcm_state
from caduceus.spec.chip import Chip
from caduceus.spec.errors import UserError
from caduceus.spec.formats import ReadMode
from caduceus.spec.pcm_state import PcmState
from caduceus.spec.program import TileConfig

HERMES = Chip.find("hermes")
ROWS, COLUMNS = HERMES.array.rows, HERMES.array.columns
BOTH = pytest.mark.parametrize("mode", list(ReadMode))


def programmed(seed: int = 1, noise: float = 1.0) -> PcmState:
    """A third of the cells at 0, the others anywhere; converters that differ."""
    random = np.random.default_rng(seed)
    cells = random.integers(-255, 256, (ROWS, COLUMNS)) * (random.random((ROWS, COLUMNS)) > 0.3)
    state = pcm_state.ideal(HERMES, device_codes(cells)[np.newaxis], seed)
    gains = (HERMES.nominal_gain * random.normal(1, 0.07, (2, 1, COLUMNS))).astype(np.uint32)
    return replace(
        state,
        gain_p=gains[0],
        gain_n=gains[1],
        noise=np.full((1, COLUMNS), round(256 * noise), np.uint16),
    )


def aged(state: PcmState, left: float) -> PcmState:
    """Every device has lost the same share; the read noise is another."""
    return replace(
        state, codes=np.rint(state.codes * left).astype(np.uint8), seed=state.seed + 1000
    )


def config(mode: ReadMode, scale: float = 0.5, bias: float = 3) -> TileConfig:
    values = np.tile(np.array([1, 1, 0, scale, bias], dtype=np.float16), (COLUMNS, 1))
    return TileConfig(mode, ROWS, COLUMNS, values.view(np.uint16), relu_1=True)


def test_vectors_drive_every_row_as_often_as_any() -> None:
    for rows in (1, 4, 16, 252, 256):
        x = compensate.vectors(rows)
        groups = min(compensate.GROUPS, rows)
        assert x.shape == (compensate.ROUNDS * groups, rows) and x.dtype == np.int8
        assert set(np.unique(x).tolist()) <= {-127, 0, 127}
        assert ((x != 0).reshape(compensate.ROUNDS, groups, rows).sum(axis=1) == 1).all()
        assert (x == compensate.vectors(rows)).all()


@BOTH
@pytest.mark.parametrize("left", [0.95, 0.7])
def test_a_uniform_loss_is_found(mode: ReadMode, left: float) -> None:
    state = programmed()
    found = drift_factor(Tile(HERMES, state), Tile(HERMES, aged(state, left)), config(mode))
    assert found.factor == pytest.approx(1 / left, rel=0.01) and not found.doubt


@BOTH
def test_without_drift_nothing_is_to_be_done(mode: ReadMode) -> None:
    state = programmed()
    again = replace(state, seed=77)
    found = drift_factor(Tile(HERMES, state), Tile(HERMES, again), config(mode))
    assert found.factor == pytest.approx(1, abs=0.003) and not found.doubt


def test_offsets_do_not_count_as_drift_once_they_are_calibrated() -> None:
    mode = ReadMode.FOUR_PHASE
    state = programmed()
    state = replace(state, offset_p=np.full((1, COLUMNS), 20 * 256, np.int16))
    tile, later = Tile(HERMES, state), Tile(HERMES, aged(state, 0.7))
    plain = config(mode)
    corrected = calibrated(plain, measured(tile, 1, COLUMNS, mode))
    errors = [abs(drift_factor(tile, later, each).factor * 0.7 - 1) for each in (plain, corrected)]
    assert errors[1] < 0.01 < errors[0], errors


@BOTH
def test_results_use_int8_and_leave_room(mode: ReadMode) -> None:
    """Whatever the tile's own scale is, nothing saturates."""
    tile = Tile(HERMES, programmed(noise=0))
    procedure = compensate.baseline(config(mode, scale=100))
    wanted, largest = next(procedure), []
    with pytest.raises(StopIteration) as end:
        while True:
            assert not wanted.config.relu_1 and wanted.reference == 0
            results = tile.run(wanted.config, wanted.x)
            largest.append(int(np.abs(results.astype(int)).max()))
            wanted = procedure.send(results)
    assert 80 < largest[-1] < 120, largest
    found = end.value.value
    magnitudes = np.abs(results.astype(np.int64))
    assert (found.total, found.squares, found.largest) == (
        magnitudes.sum(), (magnitudes**2).sum(), magnitudes.max(),
    )  # fmt: skip
    assert found == measure.run(compensate.baseline(config(mode)), tile)


def test_results_come_back_to_what_they_were() -> None:
    """With the factor the error is smaller than without, and with its inverse it is larger."""
    mode = ReadMode.FOUR_PHASE
    state = programmed()
    tile, later = Tile(HERMES, state), Tile(HERMES, aged(state, 0.8))
    plain = config(mode)
    found = drift_factor(tile, later, plain).factor
    x = np.random.default_rng(5).integers(-127, 128, (16, ROWS), dtype=np.int8)
    wanted = tile.run(plain, x).astype(int)
    results = (later.run(compensated(plain, factor), x) for factor in (found, 1, 1 / found))
    errors = [np.std(each - wanted) for each in results]
    assert 2 * errors[0] < errors[1] < errors[2], errors


def test_only_the_scale_is_multiplied() -> None:
    before = config(ReadMode.ONE_PHASE)
    after = compensated(before, 1.5).constants.view(np.float16)
    expected = before.constants.view(np.float16).copy()
    expected[:, INDEX["scale"]] = 0.75
    assert (after == expected).all()


@pytest.mark.parametrize("factor", [0.0, -1.0, float("nan"), float("inf")])
def test_factors_that_are_none_are_refused(factor: float) -> None:
    with pytest.raises(UserError, match=r"^drift factor: got .*, expected a positive number"):
        compensated(config(ReadMode.ONE_PHASE), factor)


def test_scales_beyond_binary16_are_refused() -> None:
    with pytest.raises(UserError, match=r"^compensated scale: got 1\.2e\+05, expected "):
        compensated(config(ReadMode.ONE_PHASE, scale=60000), 2.0)


def answer(results: list[int], step: float = 1.0) -> Answer:
    """Of a tile with these results at `step` INT8 steps per count."""
    scale = int(np.float16(step).view(np.uint16))
    squares = sum(each**2 for each in results)
    return Answer(scale, sum(map(abs, results)), squares, max(map(abs, results)))


def test_a_typical_result_is_one_that_the_factor_comes_from() -> None:
    """Idle columns do not lower it, and it is in counts whatever the scale."""
    for step in (0.25, 1.0, 8.0):
        results = [round(step * each) for each in (8, -8, 0, 0, 0, 0)]
        assert answer(results, step).result == 8
        assert answer(results, step).counts == 16
    assert answer([12, 4]).result == 10
    assert (answer([0, 0]).result, answer([0, 0]).counts) == (0, 0)


def factor(before: Answer, now: list[int], **options: float) -> Measured:
    """What the procedure makes of a tile that answers `before` and then `now`."""
    procedure = compensate.factor(config(ReadMode.FOUR_PHASE), before, **options)
    next(procedure)
    with pytest.raises(StopIteration) as end:
        procedure.send(np.array([now], np.int8))
    return end.value.value


GOOD = [20] * 10


@pytest.mark.parametrize(
    ("before", "now", "measured", "doubt"),
    [
        (GOOD, [10] * 10, 2.0, ""),
        (GOOD, [8] * 10, 2.5, ""),
        (GOOD, [7] * 10, 200 / 70, "expected 0.9 to 2.5"),
        (GOOD, [22] * 10, 200 / 220, ""),
        (GOOD, [23] * 10, 200 / 230, "expected 0.9 to 2.5"),
        ([6] * 10, [5] * 10, 1.2, ""),
        ([5] * 40, [4] * 40, 1.25,
         "a typical result for the test vectors is 5.0 counts, expected 6 or more"),
        ([1], [1], 1.0, "a typical result for the test vectors is 1.0 counts, expected 6 or more"),
        ([24, 24], [24, 24], 1.0, ""),
        ([24, 23], [24, 23], 1.0,
         "the results for the test vectors are 47 counts in all, expected 48 or more"),
        (GOOD, [0] * 10, None, "every result for the test vectors now is 0"),
        ([0] * 10, GOOD, None, "every result for the test vectors soon after programming is 0"),
        ([0] * 10, [0], None, "every result for the test vectors soon after programming is 0"),
        (GOOD, [127] + [20] * 9, 200 / 307, "a result for the test vectors is 127 or more"),
        ([127] * 10, [100] * 10, 1.27, "a result for the test vectors is 127 or more"),
    ],
)  # fmt: skip
def test_which_factors_are_believed(before, now, measured, doubt) -> None:
    found = factor(answer(before), now)
    assert found == Measured(measured and pytest.approx(measured), doubt)


def test_old_devices_may_have_lost_more() -> None:
    year = compensate.YEAR
    assert [compensate.most_factor(age) for age in (0, 1, year)] == [2.5] * 3
    assert compensate.most_factor(10 * year) == pytest.approx(2.87, abs=0.01)
    assert factor(answer(GOOD), [7] * 10, most=compensate.most_factor(1e10)).doubt == ""


def test_a_tile_without_a_factor_gets_the_median_or_1() -> None:
    own = [Measured(factor) for factor in (1.5, 1.2, 1.4)]
    weak, silent = Measured(31.0, "weak"), Measured(None, "silent")
    assert settled([*own, weak, silent]) == [
        DriftFactor(1.5, 1.5), DriftFactor(1.2, 1.2), DriftFactor(1.4, 1.4),
        DriftFactor(31.0, 1.4, "weak; the chip's median"), DriftFactor(None, 1.0, "silent"),
    ]  # fmt: skip
    assert settled([weak, *own[:2]])[0].used == pytest.approx(1.35)
    nobody = "weak; no tile's factor is believed"
    assert settled([weak, silent]) == [
        DriftFactor(31.0, 1.0, nobody), DriftFactor(None, 1.0, "silent"),
    ]  # fmt: skip
    assert settled([]) == []


def test_a_tile_that_answers_nothing_has_no_factor() -> None:
    state = programmed(noise=0)
    tile, dead = Tile(HERMES, state), Tile(HERMES, replace(state, codes=np.zeros_like(state.codes)))
    plain = config(ReadMode.ONE_PHASE)
    assert measure.run(compensate.baseline(plain), dead).total == 0
    for before, now, when in ((dead, dead, "soon"), (dead, tile, "soon"), (tile, dead, "now")):
        found = drift_factor(before, now, plain)
        assert found.factor is None and f"test vectors {when}" in found.doubt


def test_a_tile_that_grew_out_of_the_scale_is_not_believed() -> None:
    state = programmed()
    grown = replace(state, gain_p=2 * state.gain_p, gain_n=2 * state.gain_n)
    found = drift_factor(Tile(HERMES, state), Tile(HERMES, grown), config(ReadMode.ONE_PHASE))
    assert found.doubt == "a result for the test vectors is 127 or more"
