"""Drift compensation of random tiles is never much worse than none, whatever the devices are."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from numpy.typing import NDArray

from caduceus.compiler.quantise import device_codes
from caduceus.devices import make, settings
from caduceus.devices.ageing import InputStatistics
from caduceus.devices.settings import Devices
from caduceus.golden.fast.tile import Tile
from caduceus.host import compensate
from caduceus.host.calibrate import INDEX
from caduceus.host.compensate import DriftFactor, compensated, most_factor, settled
from caduceus.sim.calibration import drift_factor
from caduceus.spec.chip import Chip
from caduceus.spec.formats import INT8_MAX, ReadMode
from caduceus.spec.pcm_state import PcmState
from caduceus.spec.program import TileConfig

KINDS = ("ordinary", "weak", "sparse", "alternating", "equal", "silent")
MONTH = 30 * 86400.0
ROWS, COLUMNS = 64, 16
LARGEST = 4000
"""Sum of a column's codes, of either sign: 314 counts of `phase_limit` 422 at full length."""
WORSE = 12.0
"""INT8 steps by which the mean error of a tile's results may grow; see docs/calibration.md."""
CHIP = Chip.find("tiny").model_copy(
    update={"array": Chip.find("tiny").array.model_copy(update={"rows": ROWS, "columns": COLUMNS})}
)


@dataclass(frozen=True)
class Case:
    """Tiles of a chip, just programmed and aged, and what they are used for."""

    configs: list[TileConfig]
    fresh: PcmState
    aged: PcmState
    x: list[NDArray[np.int8]]
    age: float
    about: str


def _weights(random: np.random.Generator, kind: str, rows: int, columns: int) -> NDArray[np.int64]:
    """Cell codes, int64 [ROWS, COLUMNS], 0 beyond rows and columns."""
    most = int(np.exp(random.uniform(0, np.log(12 if kind == "weak" else 500))))
    codes = random.integers(-most, most + 1, (rows, columns))
    if kind == "sparse":
        codes *= random.random(codes.shape) < 0.1
    if kind == "alternating":
        codes = np.abs(codes) * np.where(np.arange(rows) % 2, 1, -1)[:, np.newaxis]
    if kind == "equal":
        codes[:] = most
    # A saturated converter shows no drift, in use as in the test: no column gets so much charge.
    codes = codes * min(1.0, LARGEST / max(1, np.abs(codes).sum(axis=0).max()))
    codes = np.rint(codes).astype(np.int64)
    if kind == "silent":
        codes[:] = 0
    found = np.zeros((ROWS, COLUMNS), np.int64)
    found[:rows, :columns] = codes
    return found


def _case(seed: int) -> Case:
    random = np.random.default_rng(seed)
    kinds = random.choice(KINDS, random.integers(1, 5))
    sizes = [(int(random.choice([1, 4, 16, 64])), int(random.choice([1, 4, 16]))) for _ in kinds]
    changes = {
        "read_noise": bool(random.integers(2)),
        "programming_noise": bool(random.integers(2)),
        "adc_offset": 0.0, "adc_gain_spread": 0.0, "calibrate": False,
    }  # fmt: skip
    if random.random() < 0.4:
        changes["device_yield"] = float(random.choice([0.0, 0.5, 0.9, 0.99]))
        changes["stuck_set_share"] = float(random.choice([0.0, 0.5, 1.0]))
    model = str(random.choice(["hermes_tdp", "generic"]))
    chosen = settings.find(model).model_copy(update=changes)
    mode = list(ReadMode)[random.integers(2)]
    age = float(np.exp(random.uniform(np.log(0.1), np.log(MONTH))))
    codes = np.stack(
        [
            device_codes(_weights(random, kind, *size))
            for kind, size in zip(kinds, sizes, strict=True)
        ]
    )
    one_sign = bool(random.integers(2))
    inputs = [InputStatistics(np.full(ROWS, 0.25), one_sign)] * len(kinds)
    number = int(random.integers(1 << 63))
    fresh, aged = (
        make.state(CHIP, codes, Devices(chosen, number, each), mode, inputs) for each in (0.0, age)
    )
    configs, x = [], []
    for index, (rows, columns) in enumerate(sizes):
        vectors = random.integers(0 if one_sign else -INT8_MAX, INT8_MAX + 1, (32, rows))
        x.append((vectors * (random.random(vectors.shape) > 0.3)).astype(np.int8))
        constants = np.tile(np.array([1, 1, 0, 1, 0], np.float16), (columns, 1))
        config = TileConfig(mode, rows, columns, constants.view(np.uint16))
        p, n = Tile(CHIP, fresh, index).counts(config, x[-1])
        largest = max(1, int(np.abs(p.astype(int) - n).max()))
        constants[:, INDEX["scale"]] = random.uniform(60, 126) / largest
        configs.append(replace(config, constants=constants.view(np.uint16)))
    about = f"seed {seed}: {kinds}, {sizes}, {model} {changes}, {mode}, {age:.3g} s"
    return Case(configs, fresh, aged, x, age, about)


def _factors(case: Case) -> list[DriftFactor]:
    most = most_factor(case.age)
    return settled(
        [
            drift_factor(Tile(CHIP, case.fresh, index), Tile(CHIP, case.aged, index), config, most)
            for index, config in enumerate(case.configs)
        ]
    )


def _errors(case: Case, index: int, *factors: float) -> list[float]:
    """Mean error of a tile's results in INT8 steps, against those soon after programming."""
    config, x = case.configs[index], case.x[index]
    wanted = Tile(CHIP, case.fresh, index).run(config, x).astype(int)
    aged = Tile(CHIP, case.aged, index)
    found = (aged.run(compensated(config, each), x) for each in factors)
    return [float(np.abs(each - wanted).mean()) for each in found]


def _check(seeds: range) -> None:
    gained = old = tiles = 0.0
    replaced = 0
    for seed in seeds:
        case = _case(seed)
        for index, found in enumerate(_factors(case)):
            constants = compensated(case.configs[index], found.used).constants
            assert np.isfinite(constants.view(np.float16)).all(), case.about
            measured = 1.0 if found.measured is None else found.measured
            none, used, believed = _errors(case, index, 1.0, found.used, measured)
            assert used <= none + WORSE, f"{case.about}: tile {index}: {found}"
            most = most_factor(case.age)
            assert compensate.LEAST_FACTOR <= found.used <= most, case.about
            assert found.reason or found.used == found.measured, case.about
            replaced += bool(found.reason)
            gained, old, tiles = gained + none - used, old + none - believed, tiles + 1
    # It means something: factors are replaced, errors shrink, and measured factors do worse.
    assert 0.2 * tiles < replaced < 0.8 * tiles
    assert gained > 0.2 * tiles and gained > old + 0.2 * tiles


def test_compensation_is_never_much_worse_than_none() -> None:
    _check(range(100))


@pytest.mark.regress
def test_compensation_is_never_much_worse_than_none_in_many_tiles() -> None:
    _check(range(100, 2500))
