"""Error of one tile's matrix-vector multiplications, as the published chip was characterized.

Published (Le Gallo et al. 2023): a 256x256 matrix of uniformly random weights of which 30 % are 0,
2,048 uniformly random INT8 vectors of which 30 % are 0, and how many bits uniformly quantised
weights need for the same error, inputs and results having 8 bits: about 3 with one device per
polarity (ODP), between 3 and 4 with two (TDP).

All errors are standard deviations of (results - exact results), after the one factor that makes it
smallest (least squares), as shares of the standard deviation of the exact results. The linear part
is that of the matrix that fits the results best: what became of the weights. The rest, noise and
what converters do, is the residual.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log, sqrt

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from caduceus.compiler.network import compile_network
from caduceus.devices import settings
from caduceus.devices.settings import Devices, Settings
from caduceus.golden.fast.tile import Tile
from caduceus.sim.deploy import deployed
from caduceus.sim.published import ZEROS
from caduceus.spec import formats
from caduceus.spec.chip import Chip
from caduceus.spec.formats import PHASES, ReadMode
from caduceus.spec.graph import Graph, Input, Layer
from caduceus.spec.network import Network, Weights
from caduceus.spec.program_codes import computing
from caduceus.study.ages import AGES
from caduceus.study.average import mean_deviation

VECTORS = 2048
MODELS = ("ideal", "hermes_odp", "hermes_tdp", "generic")
PUBLISHED = {"hermes_odp": "about 3", "hermes_tdp": "3 to 4"}
"""Equivalent bits."""
BITS = range(2, 11)
"""Widths that an error is compared with."""
_SEED = 2048


@dataclass(frozen=True)
class Task:
    """Weights and inputs of the measurement.

    Attributes:
        weight: float64 [rows, columns], -1 to 1.
        x: int8 [n, rows].
        exact: float64 [n, columns], their product.
    """

    weight: NDArray[np.float64]
    x: NDArray[np.int8]
    exact: NDArray[np.float64]

    @property
    def step(self) -> float:
        """Value of one INT8 step of the results: the largest has 127."""
        return float(np.abs(self.exact).max()) / formats.INT8_MAX


@dataclass(frozen=True)
class MvmError:
    """How far results are from exact; see the module for what the shares are of.

    Attributes:
        total, linear, residual: shares; the squares of the latter two add up to that of the first.
        bits: of uniformly quantised weights with the same total error.
        gmax: code that the largest weight was mapped to.
    """

    total: float
    linear: float
    residual: float
    bits: float
    gmax: int


def task(chip: Chip, vectors: int = VECTORS) -> Task:
    """The published weights and inputs in the size of the chip's array; always the same."""
    random = np.random.default_rng(_SEED)
    rows, columns = chip.array.rows, chip.array.columns
    weight = random.uniform(-1, 1, (rows, columns))
    weight[random.random(weight.shape) < ZEROS] = 0
    x = random.integers(-formats.INT8_MAX, formats.INT8_MAX + 1, (vectors, rows))
    x[random.random(x.shape) < ZEROS] = 0
    return Task(weight, x.astype(np.int8), x @ weight)


def largest_code(chip: Chip, mode: ReadMode, work: Task, devices: Settings) -> int:
    """Code for the largest weight: as large as devices allow and no ideal converter saturates."""
    x, weight = work.x.astype(np.float64), work.weight / np.abs(work.weight).max()
    most = 0.0
    for phase in PHASES[mode]:
        driven = np.where(((x > 0) & phase.drive_positive) | ((x < 0) & phase.drive_negative), x, 0)
        selected = ((weight > 0) & phase.select_plus) | ((weight < 0) & phase.select_minus)
        most = max(most, float(np.abs(driven @ np.where(selected, weight, 0)).max()))
    # Counts of that window with the largest weight at code 1.
    counts = most * chip.nominal_gain / 2**formats.GAIN_FRACTION
    return max(1, min(devices.largest_code, int((chip.adc.phase_limit - 1) / counts)))


def results(
    chip: Chip, mode: ReadMode, work: Task, request: Devices, gmax: int
) -> NDArray[np.float64]:
    """Results of a tile with these devices, calibrated if their settings say so, [n, columns].

    Raises:
        UserError: seed or age are out of range, or a correction does not fit.
    """
    rows, columns = work.weight.shape
    layer = Layer(
        name="mvm", op="dense", outputs=columns, relu=False, gmax=gmax, output_scale=work.step
    )
    graph = Graph(
        format=2, name="mvm", dataset="random", input=Input(shape=(rows,), scale=1.0),
        weights="none", scaling="core", nodes=(layer,),
    )  # fmt: skip
    bias = np.zeros(columns, dtype=np.float32)
    network = Network(graph, {"mvm": Weights(work.weight.astype(np.float32), bias)})
    on = deployed(compile_network(network, chip, mode), chip, request)
    (tile,) = computing(on.program)
    given = Tile(chip, on.state).run(tile.config, work.x)
    return given.astype(np.float64) * work.step


def errors(work: Task, given: NDArray[np.float64]) -> tuple[float, float, float]:
    """Total, linear and residual share, of results [n, columns]."""
    total = share(work.exact, given)
    fitted, *_ = np.linalg.lstsq(work.x.astype(np.float64), given, rcond=None)
    vectors, rows = work.x.shape
    rest = given - work.x @ fitted
    # A matrix that fits also follows the noise: with n vectors, all but (n - rows) / n is left.
    variance = float((rest**2).sum()) / (vectors - rows) / given.shape[1]
    factor = _factor(work.exact, given)
    residual = min(total, factor * sqrt(variance) / float(work.exact.std()))
    return total, sqrt(total**2 - residual**2), residual


def share(exact: NDArray[np.float64], given: NDArray[np.float64]) -> float:
    """Standard deviation of the error as a share of that of the exact results."""
    return float((_factor(exact, given) * given - exact).std() / exact.std())


def _factor(exact: NDArray[np.float64], given: NDArray[np.float64]) -> float:
    """The factor of `given` with the least squared error."""
    return float((given * exact).sum() / (given * given).sum())


def quantised(work: Task, bits: int) -> NDArray[np.float64]:
    """Results with weights in 2^bits - 1 levels, as far apart as each other, and 8-bit results."""
    most = 2 ** (bits - 1) - 1
    largest = np.abs(work.weight).max()
    weight = np.rint(work.weight / largest * most) * (largest / most)
    steps = np.rint(work.x @ weight / work.step)
    return steps.clip(-formats.INT8_MAX, formats.INT8_MAX) * work.step


def equivalent_bits(error: float, widths: Sequence[int], shares: Sequence[float]) -> float:
    """How many bits have this error: between two widths by the logarithm of their errors.

    Args:
        error: the share.
        widths: bits, rising.
        shares: error with each width, falling.

    Returns:
        the first width if the error is larger than its, the last if it is smaller than its.
    """
    logs = [log(share) for share in shares]
    # Errors fall with the bits; interpolation wants them to rise.
    return float(np.interp(-log(error), [-each for each in logs], list(widths)))


def measure(
    chip: Chip, mode: ReadMode, request: Devices, work: Task, shares: Sequence[float]
) -> MvmError:
    """The errors of one tile with one set of devices."""
    gmax = largest_code(chip, mode, work, request.settings)
    found = errors(work, results(chip, mode, work, request, gmax))
    return MvmError(*found, equivalent_bits(found[0], BITS, shares), gmax)


def run(chip: Chip, mode: ReadMode, seeds: Sequence[int], console: Console) -> Table:
    """Measure all models at all ages, and print the table.

    Raises:
        UserError: a correction does not fit.
    """
    work = task(chip)
    shares = [share(work.exact, quantised(work, bits)) for bits in BITS]
    rows, columns = work.weight.shape
    table = Table(
        title=f"MVM error of one {rows}x{columns} tile, {mode} reads",
        caption=f"{VECTORS} vectors, {len(seeds)} seeds; errors as shares of the exact results' "
        "standard deviation; bits: of uniformly quantised weights with the same error",
    )
    for name in ("devices", "age"):
        table.add_column(name)
    for name in ("gmax", "error", "linear", "residual", "bits", "published"):
        table.add_column(name, justify="right")
    for model in MODELS:
        found = settings.find(model)
        ideal = found.device_model is None
        for age, seconds in AGES.items() if not ideal else [("", 0.0)]:
            got = [
                measure(chip, mode, Devices(found, seed, seconds), work, shares)
                for seed in (seeds if not ideal else [0])
            ]
            total, linear, residual, bits = (
                mean_deviation([getattr(each, name) for each in got])[0]
                for name in ("total", "linear", "residual", "bits")
            )
            table.add_row(
                model, age, str(got[0].gmax), f"{total:.2%}", f"{linear:.2%}", f"{residual:.2%}",
                f"{bits:.2f}", PUBLISHED.get(model, ""),
                end_section=seconds == max(AGES.values()) or ideal,
            )  # fmt: skip
    console.print(table)
    each = ", ".join(f"{bits} bits {share:.2%}" for bits, share in zip(BITS, shares, strict=True))
    console.print(f"errors of uniformly quantised weights: {each}", highlight=False)
    return table
