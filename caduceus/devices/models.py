"""Published device models: programming noise, drift and read noise as functions of conductance.

The fits are those of IBM's Analog Hardware Acceleration Kit (MIT license): `pcm.py` (generic PCM
devices, 25 uS) and `hermes.py` (fitted to the 64-core chip, with one and with two devices per
polarity). With x = g / g_max, g the conductance of a polarity of a cell:

    programming   g_prog = max(0, g_target + sigma_prog(x_target) N)
    drift         g(t) = g_prog ((t + t_0) / t_0)^-nu
                  nu = |mean_nu(x_target) + sigma_nu(x_target) N|
    read noise    sigma_read = g(t) Q(x_prog) sqrt(ln((t + t_0 + t_read) / (2 t_read)))

t is the time since programming. x below 1e-7 counts as 1e-7 in a logarithm. As in the published
code (version 1.1.0), a target's x gives the drift, and a programmed conductance's the read noise,
also where it is above 1.
"""

from dataclasses import dataclass
from math import inf

from caduceus.devices.exact import ln, power

SMALLEST = 1e-7
"""Smallest x that a logarithm is taken of (as the published code has it)."""


@dataclass(frozen=True)
class Fit:
    """`clip(slope * ln x + intercept, low, high)` below `threshold`, a polynomial in x from there.

    Attributes:
        polynomial: coefficients, constant first.
    """

    slope: float
    intercept: float
    low: float
    high: float
    threshold: float = inf
    polynomial: tuple[float, ...] = ()

    def __call__(self, x: float) -> float:
        """The fit's value at x, 0 or more."""
        if x < self.threshold:
            line = self.slope * ln(max(x, SMALLEST)) + self.intercept
            return min(max(line, self.low), self.high)
        return _polynomial(self.polynomial, x)


@dataclass(frozen=True)
class PowerFit:
    """`min(high, factor / max(smallest, x^exponent))`."""

    factor: float
    exponent: float
    smallest: float
    high: float

    def __call__(self, x: float) -> float:
        """The fit's value at x, 0 or more."""
        return min(self.high, self.factor / max(self.smallest, power(x, self.exponent)))


@dataclass(frozen=True)
class DeviceModel:
    """A device model.

    Attributes:
        name: of the model.
        devices: programmed devices per polarity: 1 or 2.
        full_code: conductance code of a polarity that stands for `g_max`; no target is above it.
        g_max: conductance in uS at which x is 1.
        t_0: seconds between programming and the first drift measurement.
        t_read: duration of a read in seconds.
        programming: coefficients of sigma_prog in uS, constant first.
        drift_mean, drift_sigma, read: of the equations above.
    """

    name: str
    devices: int
    full_code: int
    g_max: float
    t_0: float
    t_read: float
    programming: tuple[float, ...]
    drift_mean: Fit
    drift_sigma: Fit
    read: Fit | PowerFit

    def programming_sigma(self, x: float) -> float:
        """Standard deviation of a programmed conductance, in uS, at the target x."""
        return _polynomial(self.programming, x)


def _polynomial(coefficients: tuple[float, ...], x: float) -> float:
    value = 0.0
    for coefficient in reversed(coefficients):
        value = value * x + coefficient
    return value


_HERMES_DRIFT = Fit(-0.0387, -0.0182, 0.0720, 0.13, 0.0945, (0.0736, -0.0126, -0.0436))

HERMES_ODP = DeviceModel(
    name="hermes_odp",
    devices=1,
    # 80 counts of the verify read, the published largest target of one device.
    full_code=255,
    g_max=10.35,
    t_0=200.0,
    t_read=512e-9,
    programming=(0.15781817, 2.32443916, -2.16310839, 0.68841818),
    drift_mean=_HERMES_DRIFT,
    drift_sigma=Fit(-0.0120, -0.0023, 0.0124, 0.04, 0.3039, (0.0104, 0.0116, -0.0165)),
    read=Fit(-0.0078, 0.0038, 0.0179, 0.04, 0.1591, (0.0088, 0.0768, -0.1352, 0.0664)),
)
HERMES_TDP = DeviceModel(
    name="hermes_tdp",
    devices=2,
    # 160 counts, the published largest target of two devices.
    full_code=510,
    g_max=20.7,
    t_0=300.0,
    t_read=512e-9,
    programming=(0.16603222, 4.71806468, -8.48101252, 4.68961419),
    drift_mean=_HERMES_DRIFT,
    drift_sigma=Fit(-0.0117, -0.0057, 0.0091, 0.04, 0.3055, (0.0073, 0.0093, -0.0118)),
    read=Fit(-0.0117, -0.0069, 0.015, 0.04, 0.16, (0.0123, 0.0211, -0.0280, 0.0069)),
)
GENERIC = DeviceModel(
    name="generic",
    devices=2,
    # Our choice: its full conductance takes the whole range of codes.
    full_code=510,
    g_max=25.0,
    t_0=20.0,
    t_read=250e-9,
    programming=(0.26348, 1.9650, -1.1731),
    drift_mean=Fit(-0.0155, 0.0244, 0.049, 0.1),
    drift_sigma=Fit(-0.0125, -0.0059, 0.008, 0.045),
    read=PowerFit(0.0088, 0.65, 1e-3, 0.2),
)
MODELS: dict[str, DeviceModel] = {m.name: m for m in (HERMES_ODP, HERMES_TDP, GENERIC)}
"""By name; `ideal`, which has no equations, is not among them."""
