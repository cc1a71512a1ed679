"""PCM states: the same bytes everywhere, and what does and does not depend on what."""

import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from noise_statistics import Moments

from caduceus.devices import make, settings
from caduceus.devices.ageing import Ageing
from caduceus.devices.settings import Devices, Settings
from caduceus.spec import chip
from caduceus.spec.chip import Chip
from caduceus.spec.errors import UserError
from caduceus.spec.formats import ReadMode
from caduceus.spec.pcm_state import FIELDS, PcmState, load, save

REPOSITORY = Path(__file__).resolve().parent.parent
HERMES, TINY = Chip.find("hermes"), Chip.find("tiny")
DAY, MONTH = 86400.0, 30 * 86400.0
PINNED = {
    ("hermes_odp", 0.0): "86dd1fd4f960573ab2ad8efeb4cb5241560b65302ab3b7ca6eb3cebd67d41c43",
    ("hermes_odp", MONTH): "860fe239af2b027f6db432a437f2af7f1c8b6df3318d0f7fe13548974b56eb1a",
    ("generic", 0.0): "20636a20005c11bb622ed652d95de18128170956a38dfac17ed7bcdc7d440f3b",
    ("generic", MONTH): "57e03ade038cb70343661a7f50efd4d46e4bd2ac1ddba15b666ca1dbd8a0251a",
}
"""SHA-256 of the arrays of `_state`, by settings and age."""


def _targets(tiles: int = 3, described: chip.Chip = HERMES, most: int = 255) -> np.ndarray:
    """A target for one polarity of every cell; values without any library's random numbers."""
    rows, columns = described.array.rows, described.array.columns
    cells = np.arange(tiles * rows * columns).reshape(tiles, rows, columns)
    level = cells * 2654435761 % 4294967296 >> 8
    targets = np.zeros((tiles, rows, columns, 4), dtype=np.uint8)
    for place in (0, 2):
        targets[..., place] = np.where(level % 2 == place // 2, level // 2 % (most + 1), 0)
    return targets


def _state(name: str, age: float, seed: int = 11, tiles: int = 2, **changes: object) -> PcmState:
    wanted = settings.find(name).model_copy(update={"device_yield": 0.99} | changes)
    return make.state(HERMES, _targets(tiles), Devices(wanted, seed, age), ReadMode.FOUR_PHASE)


def _digest(state: PcmState) -> str:
    digest = hashlib.sha256()
    for name, field in FIELDS.items():
        digest.update(np.ascontiguousarray(getattr(state, name).astype(field.dtype)).tobytes())
    return digest.hexdigest()


def _differing(one: PcmState, other: PcmState) -> set[str]:
    return {name for name in FIELDS if not np.array_equal(getattr(one, name), getattr(other, name))}


@pytest.mark.parametrize(("name", "age"), PINNED)
def test_arrays_are_pinned(name: str, age: float) -> None:
    assert _digest(_state(name, age)) == PINNED[name, age]


def test_arrays_are_the_same_with_other_instructions() -> None:
    """In a process whose numpy may use none of the processor's newer instructions."""
    from numpy._core._multiarray_umath import __cpu_dispatch__, __cpu_features__

    there = [name for name in __cpu_dispatch__ if __cpu_features__.get(name)]
    program = (
        "from test_pcm_make import PINNED, _digest, _state\n"
        "from numpy._core._multiarray_umath import __cpu_features__\n"
        f"assert not any(__cpu_features__[name] for name in {there})\n"
        "for key in PINNED: print(_digest(_state(*key)))\n"
    )
    environment = os.environ | {
        "NPY_DISABLE_CPU_FEATURES": " ".join(there),
        "OPENBLAS_CORETYPE": "Prescott",
        "PYTHONPATH": os.pathsep.join(map(str, (REPOSITORY, REPOSITORY / "tests"))),
        "PYTHONHASHSEED": "5",
    }
    ran = subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.split() == list(PINNED.values())


def test_a_file_is_the_same_too(tmp_path: Path) -> None:
    files = []
    for index in range(2):
        save(_state("hermes_tdp", DAY), tmp_path / f"{index}.pcm")
        files.append((tmp_path / f"{index}.pcm").read_bytes())
    assert files[0] == files[1]
    assert load(tmp_path / "0.pcm", HERMES).seed == 11


def test_a_tile_does_not_depend_on_others() -> None:
    many, few = _state("hermes_tdp", DAY, tiles=3), _state("hermes_tdp", DAY, tiles=1)
    for name in FIELDS:
        assert np.array_equal(getattr(many, name)[0], getattr(few, name)[0]), name
    wanted = settings.find("hermes_tdp").model_copy(update={"device_yield": 0.99})
    alone = Ageing(Devices(wanted, 11, DAY)).tile(_targets(3)[2], 2)
    assert np.array_equal(many.codes[2], alone.codes)


def test_tiles_are_not_alike() -> None:
    targets = np.repeat(_targets(1), 2, axis=0)
    wanted = settings.find("hermes_tdp").model_copy(update={"device_yield": 0.9})
    state = make.state(HERMES, targets, Devices(wanted, 1, DAY), ReadMode.FOUR_PHASE)
    for name in FIELDS:
        first, second = getattr(state, name)
        assert (first != second).mean() > 0.1, name


@pytest.mark.parametrize("seed", [12, 11 + (1 << 32), (1 << 64) - 1, 0])
def test_other_seeds_give_other_devices(seed: int) -> None:
    one, other = _state("hermes_odp", DAY), _state("hermes_odp", DAY, seed)
    assert _differing(one, other) == set(FIELDS)
    assert (other.seed, other.chip) == (seed, "hermes")


def test_a_cell_does_not_depend_on_its_neighbours_targets() -> None:
    targets = _targets(1)
    changed = targets.copy()
    changed[0, 10, 20] = [200, 0, 0, 0]
    wanted = settings.find("hermes_tdp")
    before, after = (
        Ageing(Devices(wanted, 1, DAY)).tile(each[0], 0) for each in (targets, changed)
    )
    differs = (before.codes != after.codes).any(axis=-1)
    assert np.argwhere(differs).tolist() == [[10, 20]]


def test_devices_age_and_stay_the_same() -> None:
    """PcmWrite noise, drift exponents and broken devices stay; converters do, too."""
    young, old, older = (_state("hermes_odp", age, read_noise=False) for age in (0.0, DAY, MONTH))
    assert _differing(young, old) == {"codes"}
    only = {"drift": False, "read_noise": False}
    made = _state("hermes_odp", MONTH, **only)
    assert np.array_equal(made.codes, young.codes)
    stuck = (young.codes == 255) & (older.codes == 255)
    conductance = [
        np.where(stuck, 0, state.codes).reshape(2, 256, 256, 2, 2).sum(axis=-1, dtype=np.int64)
        for state in (young, old, older)
    ]
    # None gains, and an exponent seen after a day is the one seen after a month.
    assert (conductance[1] <= conductance[0]).all() and (conductance[2] <= conductance[1]).all()
    strong = conductance[2] > 100
    exponents = [
        np.log(conductance[0][strong] / later[strong]) / np.log((age + 200) / 200)
        for later, age in ((conductance[1], DAY), (conductance[2], MONTH))
    ]
    assert np.corrcoef(*exponents)[0, 1] > 0.95


def test_slow_noise_grows_with_age_on_the_same_devices() -> None:
    effects = {"drift": False, "programming_noise": False, "device_yield": 1.0}
    targets = _targets(2).astype(int)
    young, old = (_state("hermes_odp", age, **effects).codes - targets for age in (0.0, MONTH))
    assert np.corrcoef(young.reshape(-1), old.reshape(-1))[0, 1] > 0.9
    assert young.std() < old.std()


def test_the_read_mode_shares_out_the_noise() -> None:
    wanted = settings.find("hermes_tdp")
    one, four = (
        make.state(HERMES, _targets(1), Devices(wanted, 1, DAY), mode)
        for mode in (ReadMode.ONE_PHASE, ReadMode.FOUR_PHASE)
    )
    assert _differing(one, four) == {"noise"}
    np.testing.assert_allclose(one.noise, 2.0 * four.noise, atol=1.01)


def test_ideal_devices_are_as_asked_for() -> None:
    targets = _targets(2)
    state = make.state(
        HERMES, targets, Devices(settings.find("ideal"), 4, MONTH), ReadMode.ONE_PHASE
    )
    assert np.array_equal(state.codes, targets)
    assert not state.noise.any() and not state.offset_p.any() and not state.offset_n.any()
    assert (state.gain_p == HERMES.nominal_gain).all() and (state.gain_n == state.gain_p).all()


def test_small_arrays_have_states() -> None:
    targets = _targets(4, TINY)
    state = make.state(
        TINY, targets, Devices(settings.find("generic"), 1, DAY), ReadMode.FOUR_PHASE
    )
    assert state.codes.shape == (4, 16, 16, 4)
    assert "generic" in state.note and "86400 s" in state.note


@pytest.mark.parametrize(("share", "working"), [(0.5, 0.97), (0.0, 0.9), (1.0, 0.9), (0.3, 0.0)])
def test_stuck_devices(share: float, working: float) -> None:
    """Counts of each kind are binomial, by device of a cell, too; the others are as without."""
    wanted = Settings(format=1, model="ideal", device_yield=working, stuck_set_share=share)
    codes = (
        Ageing(Devices(wanted, 9, DAY)).tile(np.full((256, 256, 4), 100, dtype=np.uint8), 0).codes
    )
    assert set(np.unique(codes)) <= {0, 100, 255}
    for value, chance in ((255, (1 - working) * share), (0, (1 - working) * (1 - share))):
        for device in range(4):
            found = (codes[..., device] == value).mean()
            assert abs(found - chance) <= 4 * np.sqrt(chance * (1 - chance) / 65536) + 1e-12


def test_real_devices_may_be_stuck_too() -> None:
    whole, broken = (
        Ageing(
            Devices(settings.find("hermes_tdp").model_copy(update={"device_yield": value}), 1, DAY)
        )
        .tile(_targets(1)[0], 0)
        .codes
        for value in (1.0, 0.9)
    )
    changed = broken != whole
    assert set(np.unique(broken[changed])) == {0, 255}
    # Half of the devices are at 0 and may be stuck there, unseen.
    assert 0.05 < changed.mean() < 0.1


def test_a_lower_yield_breaks_more_of_the_same_devices() -> None:
    high, low = (
        Settings(format=1, model="ideal", device_yield=value, stuck_set_share=0.0)
        for value in (0.98, 0.9)
    )
    targets = np.full((256, 256, 4), 9, dtype=np.uint8)
    broken = [Ageing(Devices(each, 3, 0.0)).tile(targets, 0).codes == 0 for each in (high, low)]
    assert broken[0].sum() < broken[1].sum() and not (broken[0] & ~broken[1]).any()


@pytest.mark.parametrize("spread", [0.0709, 0.02, 0.3])
def test_gains_of_converters(spread: float) -> None:
    wanted = Settings(format=1, model="ideal", adc_gain_spread=spread)
    gains, _ = make.converters(HERMES, wanted, 5, 2, 1 << 16)
    relative = gains / HERMES.nominal_gain
    assert gains.dtype == np.uint32 and gains.min() > 0
    for which, values in zip("PN", relative, strict=True):
        expected = Moments.of(lambda z: 1 + spread * z.clip(-3, 3))
        expected.demand(values, f"gains of {which}")
        assert abs(values - 1).max() == pytest.approx(3 * spread, rel=1e-5)
        with pytest.raises(AssertionError):
            Moments.of(lambda z: 1 + 1.1 * spread * z.clip(-3, 3)).demand(values, which)
    assert abs(np.corrcoef(relative)[0, 1]) < 4 / 256


def test_published_spread_stays_within_21_percent() -> None:
    gains, _ = make.converters(HERMES, settings.find("hermes_tdp"), 1, 0, 1 << 16)
    assert abs(gains / HERMES.nominal_gain - 1).max() < 0.215


@pytest.mark.parametrize("deviation", [1.0, 0.25, 40.0])
def test_offsets_of_converters(deviation: float) -> None:
    wanted = Settings(format=1, model="ideal", adc_offset=deviation)
    _, offsets = make.converters(HERMES, wanted, 5, 2, 1 << 16)
    assert offsets.dtype == np.int16
    for which, values in zip("PN", offsets, strict=True):
        expected = Moments.of(lambda z: np.rint(256 * deviation * z).clip(-32767, 32767))
        expected.demand(values, f"offsets of {which}")
        with pytest.raises(AssertionError):
            Moments.of(lambda z: np.rint(256 * 1.1 * deviation * z)).demand(values, which)
    assert abs(np.corrcoef(offsets)[0, 1]) < 4 / 256


def test_gains_and_offsets_are_independent() -> None:
    wanted = Settings(format=1, model="ideal", adc_gain_spread=0.1, adc_offset=1.0)
    gains, offsets = make.converters(HERMES, wanted, 5, 2, 1 << 16)
    for gain in gains:
        for offset in offsets:
            assert abs(np.corrcoef(gain, offset)[0, 1]) < 4 / 256


def test_noise_follows_both_gains_of_a_column() -> None:
    equal, spread = (
        _state("hermes_tdp", DAY, adc_gain_spread=value, tiles=1) for value in (0.0, 0.0709)
    )
    gain = (spread.gain_p.astype(float) + spread.gain_n) / 2 / HERMES.nominal_gain
    np.testing.assert_allclose(spread.noise, gain * equal.noise, atol=1.1)


@pytest.mark.parametrize("seed", [-1, 1 << 64])
def test_a_seed_out_of_range_is_refused(seed: int) -> None:
    with pytest.raises(UserError, match=rf"^seed: got {seed}, expected 0 to 2\*\*64 - 1$"):
        _state("generic", 0.0, seed)


@pytest.mark.parametrize("age", [-1.0, float("nan"), float("inf"), 1.1e10])
def test_an_impossible_age_is_refused(age: float) -> None:
    with pytest.raises(UserError, match=r"^age: got .*, expected 0 to 1e\+10 seconds$"):
        _state("generic", age)


def test_targets_larger_than_the_devices_are_refused() -> None:
    targets = np.zeros((2, 16, 16, 4), dtype=np.uint8)
    targets[1, 3, 4, 2:] = [200, 56]
    arguments = Devices(settings.find("hermes_odp"), 1, 0.0), ReadMode.FOUR_PHASE
    sentence = "tile 1: a target code is 256: devices of model hermes_odp allow at most 255"
    with pytest.raises(UserError, match=f"^{re.escape(sentence)}$"):
        make.state(TINY, targets, *arguments)
    targets[1, 3, 4, 3] = 55
    make.state(TINY, targets, *arguments)
