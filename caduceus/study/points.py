"""One measurement of a sweep: the metric of a network on a chip with devices."""

import io
import time
from dataclasses import dataclass, replace
from functools import cache

from rich.console import Console

from caduceus.devices import settings
from caduceus.devices.ages import words
from caduceus.devices.settings import Devices
from caduceus.sim.golden import Golden
from caduceus.spec.chip import Chip
from caduceus.spec.errors import UserError
from caduceus.spec.formats import ReadMode
from caduceus.study import measure as measuring
from caduceus.study.labels import label
from caduceus.study.opened import Options, opened


class Files:
    """What points name, read once and as it was then.

    Attributes:
        settings, chip: by name or path, settings of devices and descriptions of chips.
        network: of a network by name or path, a chip and options, a hash of the network, its
            weights and data, and of the code that decides a result.
    """

    def __init__(self) -> None:
        self.settings = cache(settings.find)
        self.chip = cache(Chip.find)
        self.network = cache(
            lambda name, chip, options: measuring.network_fingerprint(
                opened(name, self.chip(chip), options)
            )
        )


@dataclass(frozen=True)
class Point:
    """A measurement to make.

    Attributes:
        network, chip: names, or paths of descriptions.
        read_mode: `1-phase` or `4-phase`.
        pcm: name or path of settings of devices.
        compensate: whether drift is compensated; None as the settings say.
        seed, age: of the devices, see `caduceus.devices.settings.Devices`.
        count: images or characters, from the first one; None for all.
        data, calibrate, per_core: as in `Options`.

    Raises:
        UserError: a number is out of range.
    """

    network: str
    chip: str
    read_mode: str
    pcm: str
    compensate: bool | None
    seed: int
    age: float
    count: int | None = None
    data: str | None = None
    calibrate: str | None = None
    per_core: bool = False

    @property
    def options(self) -> Options:
        """Those of its network."""
        return Options(self.data, self.calibrate, self.per_core)

    def __post_init__(self) -> None:
        settings.demand_range(self.seed, self.age)
        if self.count is not None and self.count < 1:
            raise UserError(f"images: got {self.count}, expected 1 or more")

    def devices(self, files: Files | None = None) -> Devices:
        """The devices that are meant.

        Raises:
            UserError: the settings do not exist.
        """
        found = (files or Files()).settings(self.pcm)
        if self.compensate is not None:
            found = found.model_copy(update={"compensate": self.compensate})
        return Devices(found, self.seed, self.age)

    def plain(self, files: Files | None = None) -> "Point":
        """The same measurement, with seed, age and compensation at one value where none matters.

        Devices without noise, drift, faults and spread are all alike, whatever the seed; those
        without noise and drift stay as they are; and without drift there is nothing to compensate.

        Raises:
            UserError: the settings do not exist.
        """
        found = self.devices(files).settings
        real = found.device_model is not None
        drifts = real and found.drift
        ages = drifts or (real and found.read_noise)
        differ = ages or (real and found.programming_noise) or found.device_yield < 1
        differ = differ or found.adc_gain_spread > 0 or found.adc_offset > 0
        return replace(
            self,
            compensate=drifts and found.compensate,
            seed=self.seed if differ else 0,
            age=float(self.age) if ages else 0.0,
        )

    def __str__(self) -> str:
        request, pcm = self.devices(), label(self.pcm)
        if request.settings.device_model is None:
            devices = pcm if self.seed == 0 else f"{pcm}, seed {self.seed}"
        else:
            corrected = "" if request.settings.compensate else "not "
            devices = f"{pcm}, seed {self.seed}, {words(self.age)} old, {corrected}compensated"
        data = f" with {self.data}" if self.data else ""
        scaled = ", scaled per core" if self.per_core else ""
        return (
            f"{label(self.network)}{data} on {label(self.chip)}, {self.read_mode}, "
            f"{devices}{scaled}"
        )


@dataclass(frozen=True)
class Measured:
    """The result of a measurement.

    Attributes:
        metric: `accuracy` (0 to 1, more is better), `bpc` (bits per character, less is better) or
            `rmse` (root mean square error in real units, less is better).
        value: on the chip's arithmetic with these devices.
        reference: in floating point on the whole test set, as training measured it; None if the
            network does not give it.
        count: images or characters.
        seconds: wall-clock time, writing and calibrating the devices included.
    """

    metric: str
    value: float
    reference: float | None
    count: int
    seconds: float


def key(point: Point, files: Files | None = None) -> str:
    """Hash of all that the result depends on: network, chip, devices, and code.

    Names and paths do not count, what is found there does.

    Raises:
        UserError: something named does not exist, or is bad.
    """
    files = files or Files()
    point = point.plain(files)
    found = point.devices(files).settings
    if point.age == 0:
        # There is no drift yet.
        found = found.model_copy(update={"compensate": False})
    what = (files.chip(point.chip), point.read_mode, found, point.seed, point.age, point.count)
    network = files.network(point.network, point.chip, point.options)
    return measuring.fingerprint(f"{what!r} {network}", ())


def check(point: Point) -> None:
    """Refuse what cannot be measured, without measuring; whatever the seed and age.

    Raises:
        UserError: something named does not exist, the test set is not there or smaller, or the
            network does not fit.
    """
    chip = Chip.find(point.chip)
    network, devices = opened(point.network, chip, point.options), point.devices()
    measuring.check(network, point.count)
    measuring.compiled(network, chip, ReadMode(point.read_mode), devices)


def measure(point: Point) -> Measured:
    """Run the golden model.

    Raises:
        UserError: something named does not exist or does not fit, or the test set is not there.
    """
    started = time.monotonic()
    chip = Chip.find(point.chip)
    network, devices = opened(point.network, chip, point.options), point.devices()
    program = measuring.compiled(network, chip, ReadMode(point.read_mode), devices)
    # Whoever runs many points shows how many are done, not how far one is.
    silent = Console(file=io.StringIO())
    report = measuring.measure(network, Golden(program, devices, chip), point.count, silent)
    metric, value, reference = (report[key] for key in ("metric", "value", "float"))
    return Measured(metric, value, reference, report["count"], time.monotonic() - started)


def measure_as(point: Point, expected: str) -> Measured:
    """`measure`, on a machine that may not have the same files.

    Args:
        point: what to measure.
        expected: its `key` at the command.

    Raises:
        UserError: the key is another one here, or as `measure`, with the point.
    """
    if key(point) != expected:
        raise UserError(
            f"{point}: code, networks or settings of a worker differ from those of this command: "
            "expected the same files on both sides for the whole run"
        )
    try:
        return measure(point)
    except UserError as error:
        raise UserError(f"{point}: {error}") from None
