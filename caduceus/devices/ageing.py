"""Conductance codes of aged devices, from target codes: the arrays of a PCM state.

A model gives the conductance of one polarity of a cell. Its code, 0 to 510, is split into the codes
of the polarity's two devices: the first is filled before the second, as in the targets. Where a
model has one device, its conductance beyond 255 (80 counts, the published largest
target, which 90 % of the devices exceed when SET) goes to the second's code.

Read noise comes from fluctuations of all time scales (their power goes with the logarithm of the
time span). Those slower than `RUN_SECONDS` do not change within a run: they are drawn here, into
the codes. Those faster are drawn for every read, see `spec.read_noise`; a column's noise code is
their standard deviation for inputs of a given power (our choice: one deviation per column).
"""

from dataclasses import dataclass
from enum import IntEnum
from functools import cache
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from caduceus.devices.exact import Stream, decay, ln, tabulated
from caduceus.devices.models import DeviceModel
from caduceus.devices.settings import Devices
from caduceus.spec import formats
from caduceus.spec.errors import UserError

RUN_SECONDS = 1.0
"""Fluctuations slower than this stay the same during a run (our choice)."""
INPUT_POWER = 0.7 / 3
"""Mean square of inputs as shares of the largest: uniform, 30 % of them 0, as the published
characterization of the chip has them. Used where the inputs are unknown."""
HALF_NORMAL = 0.3408
"""Variance of the larger of 0 and a standard normal number: 1/2 - 1/(2 pi)."""
_POLARITIES = 2
_POWER_BITS = 16
"""Bits after the point of squares that are added up as integers, so in any order."""


class Purpose(IntEnum):
    """Purpose of a stream of random numbers: part of its key, so never renumbered."""

    PROGRAMMING = 0
    DRIFT = 1
    SLOW_NOISE = 2
    YIELD = 3
    GAIN = 4
    OFFSET = 5


@dataclass(frozen=True)
class InputStatistics:
    """Statistics of a tile's input vectors.

    Attributes:
        power: float64 [rows], mean square of each row's input as a share of the largest.
        one_sign: whether no value is positive, or none negative.
    """

    power: NDArray[np.float64]
    one_sign: bool = False


@dataclass(frozen=True)
class TileDevices:
    """One tile's devices at their age.

    Attributes:
        codes: uint8 [rows, columns, 4], in the order of `formats.DEVICES`.
        variance: float64 [rows, columns], of a cell's conductance code from read to read.
    """

    codes: NDArray[np.uint8]
    variance: NDArray[np.float64]


class Ageing:
    """Devices of a model at their age; `programming` as in `make.state`."""

    def __init__(self, devices: Devices, programming: int = 0) -> None:
        self._settings, self._seed, self._age = devices.settings, devices.seed, devices.age
        self._programming = programming
        model = self._settings.device_model
        self._tables = None if model is None else _tables(model)

    def tile(self, targets: NDArray[np.uint8], number: int) -> TileDevices:
        """The devices of a tile programmed to target codes, uint8 [rows, columns, 4].

        `number` is the tile's in the state; with the seed it decides every random number.

        Raises:
            UserError: a target is above the model's largest code.
        """
        pairs = targets.reshape(*targets.shape[:2], _POLARITIES, -1)
        wanted = pairs.sum(axis=-1, dtype=np.int64)
        variance = np.zeros(targets.shape[:2])
        if self._tables is None:
            codes = targets.copy()
        else:
            most = self._tables.model.full_code
            if int(wanted.max(initial=0)) > most:
                raise UserError(
                    f"tile {number}: a target code is {int(wanted.max())}: devices of model "
                    f"{self._tables.model.name} allow at most {most}"
                )
            now, variance = self._now(wanted, number)
            codes = _split(np.rint(now).clip(0, formats.CELL_MAX).astype(np.int64))
        return TileDevices(self._broken(codes, number), variance)

    def _now(
        self, wanted: NDArray[np.int64], number: int
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Codes of both polarities, not rounded, [rows, columns, 2], and the cells' variance."""
        tables, settings = self._tables, self._settings
        made = wanted.astype(np.float64)
        if settings.programming_noise:
            normal = self._stream(Purpose.PROGRAMMING, number).normal(wanted.shape)
            made = np.maximum(made + tables.programming[wanted] * normal, 0)
        now = made
        if settings.drift and self._age > 0:
            normal = self._stream(Purpose.DRIFT, number).normal(wanted.shape)
            exponent = np.abs(tables.drift_mean[wanted] + tables.drift_sigma[wanted] * normal)
            since = tabulated([ln((self._age + tables.model.t_0) / tables.model.t_0)])[0]
            now = made * decay(exponent * since)
        if not settings.read_noise:
            return now, np.zeros(wanted.shape[:2])
        slow, fast = (tabulated([share])[0] for share in _deviations(tables.model, self._age))
        relative = tables.read[np.rint(made).clip(0, formats.CELL_MAX).astype(np.int64)]
        normal = self._stream(Purpose.SLOW_NOISE, number).normal(wanted.shape)
        sigma = now * relative
        # Sums of two terms: there is only one order.
        variance = np.square(sigma * fast).sum(axis=-1)
        return np.maximum(now + sigma * slow * normal, 0), variance

    def _stream(self, purpose: Purpose, number: int) -> Stream:
        """Random numbers of a tile that are drawn anew with every programming."""
        return Stream(self._seed, purpose, number, self._programming)

    def _broken(self, codes: NDArray[np.uint8], number: int) -> NDArray[np.uint8]:
        """The same codes with broken devices."""
        settings = self._settings
        if settings.device_yield == 1:
            return codes
        chance = Stream(self._seed, Purpose.YIELD, number).uniform(codes.shape)
        faulty = 1 - settings.device_yield
        stuck_set = chance < faulty * settings.stuck_set_share
        stuck_reset = ~stuck_set & (chance < faulty)
        return np.where(stuck_set, formats.DEVICE_MAX, np.where(stuck_reset, 0, codes)).astype(
            np.uint8
        )


def _deviations(model: DeviceModel, age: float) -> tuple[float, float]:
    """What the slow and the fast part of the read noise multiply Q(x) by."""
    span = max((age + model.t_0 + model.t_read) / (2 * model.t_read), 1.0)
    fast = min(span, (RUN_SECONDS + model.t_read) / (2 * model.t_read))
    return sqrt(ln(span) - ln(fast)), sqrt(ln(fast))


def _split(codes: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Codes of the polarities, [rows, columns, 2], as those of four devices."""
    first = np.minimum(codes, formats.DEVICE_MAX)
    both = np.stack([first, codes - first], axis=-1)
    return both.reshape(*codes.shape[:2], -1).astype(np.uint8)


class _Tables:
    """A model's equations at every code, in codes.

    A programmed conductance may be larger than `g_max`: the polynomials go on, as in the published
    code. Targets are not, so tables that are looked up by target are used up to `full_code`.
    """

    def __init__(self, model: DeviceModel) -> None:
        self.model = model
        per_us = model.full_code / model.g_max
        x = [code / model.full_code for code in range(formats.CELL_MAX + 1)]
        self.programming = tabulated([model.programming_sigma(each) * per_us for each in x])
        self.drift_mean = tabulated([model.drift_mean(each) for each in x])
        self.drift_sigma = tabulated([model.drift_sigma(each) for each in x])
        self.read = tabulated([model.read(each) for each in x])


@cache
def _tables(model: DeviceModel) -> _Tables:
    return _Tables(model)


def column_noise(
    variance: NDArray[np.float64],
    inputs: InputStatistics | None,
    gain: NDArray[np.float64],
    windows: int,
) -> NDArray[np.uint16]:
    """Noise codes of a tile's columns, uint16 [columns].

    The variance of P - N over an MVM is shared out evenly between its windows. In 4-phase reads of
    inputs of one sign, two of them have no pulse: they count from 0 up only, which leaves them
    `HALF_NORMAL` of a window's variance, so the others get more.

    Args:
        variance: of the cells' codes from read to read, [rows, columns].
        inputs: of the tile; None for `INPUT_POWER` in all rows, of both signs.
        gain: ADC gain codes, the mean of P's and N's, [columns].
        windows: of an MVM: 1 or 4.
    """
    if inputs is None:
        inputs = InputStatistics(np.full(len(variance), INPUT_POWER))
    shared = windows
    if inputs.one_sign and windows > 1:
        shared = windows / 2 * (1 + HALF_NORMAL)
    scale = 2.0**_POWER_BITS
    weights = np.rint(inputs.power * scale).astype(np.int64)
    squares = np.rint(variance * scale).astype(np.int64)
    total = (weights[:, np.newaxis] * squares).sum(axis=0) / (scale * scale)
    counts = np.sqrt(total / shared) * (gain * (formats.INT8_MAX * 2.0**-formats.GAIN_FRACTION))
    codes = np.rint(counts * 2**formats.NOISE_FRACTION)
    return codes.clip(0, (1 << formats.NOISE_BITS) - 1).astype(np.uint16)
