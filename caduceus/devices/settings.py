"""Settings of the devices: model, effects, corrections.

A file of settings is YAML with these keys; the four that ship are in `presets` beside this module.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from caduceus.devices import ages
from caduceus.devices.models import MODELS, DeviceModel
from caduceus.spec import document, formats
from caduceus.spec.document import Section
from caduceus.spec.errors import UserError, shown
from caduceus.spec.shipped import catalogue, shipped_folder, unknown

SEEDS = 1 << 64
"""Number of device seeds."""
PRESETS = "presets"
"""Folder of the settings that ship with the library."""
Share = Annotated[float, Field(ge=0, le=1)]


class Settings(Section):
    """Devices and converters of a run.

    Attributes:
        model: `ideal` has no noise and no drift, independent of the next three keys.
        programming_noise, drift, read_noise: whether the model's effect is on.
        device_yield: share of the devices that work.
        stuck_set_share: share of the broken devices that are stuck at SET; the others are stuck at
            RESET.
        adc_gain_spread: relative standard deviation of a converter's gain (published after the
            chip's own trimming: 0.0709), limited to three deviations.
        adc_offset: standard deviation of a converter's offset in counts.
        calibrate: whether the host measures gains and offsets, and corrects them in the LDPU.
        compensate: whether the host measures each tile's loss by drift, and rescales its results.
    """

    format: Literal[1]
    model: Literal["ideal", "generic", "hermes_odp", "hermes_tdp"]
    programming_noise: bool = True
    drift: bool = True
    read_noise: bool = True
    device_yield: Share = 1.0
    stuck_set_share: Share = 0.5
    adc_gain_spread: Annotated[float, Field(ge=0, le=0.3)] = 0.0
    adc_offset: Annotated[float, Field(ge=0, le=40)] = 0.0
    calibrate: bool = False
    compensate: bool = False

    @property
    def device_model(self) -> DeviceModel | None:
        """The equations; None for ideal devices."""
        return MODELS.get(self.model)

    @property
    def largest_code(self) -> int:
        """Largest target code of a cell with these devices."""
        return self.device_model.full_code if self.device_model else formats.CELL_MAX


def demand_range(seed: int, age: float) -> None:
    """Refuse a seed or an age out of range.

    Raises:
        UserError: seed or age are out of range.
    """
    if not 0 <= seed < SEEDS:
        raise UserError(f"seed: got {shown(seed)}, expected 0 to 2**64 - 1")
    if not 0 <= age <= ages.OLDEST:
        value = f"{age:g}" if isinstance(age, float) else shown(age)
        raise UserError(f"age: got {value}, expected 0 to {ages.OLDEST:g} seconds")


@dataclass(frozen=True)
class Devices:
    """PCM devices and converters of a run.

    >>> devices = caduceus.Devices.find("hermes_tdp", seed=7, age=3600)
    >>> print(devices)
    hermes_tdp devices, seed 7, 1 h old

    Attributes:
        settings: model and effects.
        seed: 0 to 2**64 - 1; decides all random numbers, the read noise included.
        age: 0 to `ages.OLDEST`, seconds since they were programmed.

    Raises:
        UserError: seed or age are out of range.
    """

    settings: Settings
    seed: int = 0
    age: float = 0.0

    def __post_init__(self) -> None:
        demand_range(self.seed, self.age)

    @classmethod
    def find(cls, name: str, *, seed: int = 0, age: float = 0.0) -> "Devices":
        """Devices with the settings called `name`, or of a settings file (.yaml).

        Raises:
            UserError: the settings are unknown or bad, or a number is out of range.
        """
        return cls(find(name), seed, age)

    @classmethod
    def ideal(cls) -> "Devices":
        """Ideal devices."""
        return cls.find("ideal")

    @classmethod
    def given(cls, devices: "Devices | None") -> "Devices":
        """`devices`, or ideal ones if None.

        Raises:
            UserError: `devices` is of another type, for example a name.
        """
        if devices is not None and not isinstance(devices, cls):
            raise UserError(
                f"devices: got {shown(devices)}, expected caduceus.Devices, as "
                "Devices.find('ideal') gives"
            )
        return devices or cls.ideal()

    @property
    def plain(self) -> bool:
        """Whether they are ideal: no broken device, no converter spread, no correction."""
        settings = self.settings
        return (
            settings.device_model is None
            and settings.device_yield == 1
            and not settings.adc_gain_spread
            and not settings.adc_offset
            and not settings.calibrate
        )

    def __str__(self) -> str:
        if self.plain:
            return "ideal devices"
        return f"{self.settings.model} devices, seed {self.seed}, {ages.words(self.age)} old"


def _presets() -> Path:
    return shipped_folder(__package__) / PRESETS


def available() -> list[str]:
    """Names of the settings that ship with the project."""
    return [path.stem for path in catalogue(_presets(), "*.yaml", "settings of devices")]


def find(name: str) -> Settings:
    """The settings called `name`, or of the file `name` if it ends in .yaml.

    Raises:
        UserError: the name is unknown (the sentence lists the known ones), or the file is bad.
    """
    if name.endswith((".yaml", ".yml")):
        return document.load(name, Settings, "settings of devices")
    if name not in available():
        raise unknown("PCM model", name, available())
    return document.load(_presets() / f"{name}.yaml", Settings, "settings of devices")
