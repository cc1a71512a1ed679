"""What is asked of the devices: which model, which effects, how they are corrected.

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
"""How many seeds of devices there are."""
OLDEST = 1e10
"""Seconds: more than three hundred years."""
PRESETS = "presets"
"""Folder of the settings that ship with the library."""
Share = Annotated[float, Field(ge=0, le=1)]


class Settings(Section):
    """Devices and converters of a run.

    Attributes:
        model: `ideal` has no noise and no drift, whatever the other keys say of them.
        programming_noise, drift, read_noise: whether the model's are there.
        device_yield: share of the devices that work. Of the others
        stuck_set_share: is the share that is stuck at SET; the rest is stuck at RESET.
        adc_gain_spread: relative standard deviation of a converter's gain (published after the
            chip's own trimming: 0.0709), limited to three of it.
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
        """Largest cell code that may be asked of these devices."""
        return self.device_model.full_code if self.device_model else formats.CELL_MAX


def demand_range(seed: int, age: float) -> None:
    """Refuse what no devices can have.

    Raises:
        UserError: seed or age are out of range.
    """
    if not 0 <= seed < SEEDS:
        raise UserError(f"seed: got {seed}, expected 0 to 2**64 - 1")
    if not 0 <= age <= OLDEST:
        raise UserError(f"age: got {age:g}, expected 0 to {OLDEST:g} seconds")


@dataclass(frozen=True)
class Devices:
    """PCM devices and converters of a run.

    >>> devices = caduceus.Devices.find("hermes_tdp", seed=7, age=3600)
    >>> print(devices)
    hermes_tdp devices, seed 7, 1 h old

    Attributes:
        settings: model and effects.
        seed: 0 to 2**64 - 1: which devices of that kind; decides all that is drawn, the read
            noise included.
        age: 0 to `OLDEST`, seconds since they were programmed.

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
            UserError: there are no such settings, they are bad, or a number is out of range.
        """
        return cls(find(name), seed, age)

    @classmethod
    def ideal(cls) -> "Devices":
        """As the program wants them."""
        return cls.find("ideal")

    @classmethod
    def given(cls, devices: "Devices | None") -> "Devices":
        """The devices themselves; ideal ones if there are none.

        Raises:
            UserError: they are something else, such as the name of some.
        """
        if devices is not None and not isinstance(devices, cls):
            raise UserError(
                f"devices: got {shown(devices)}, expected caduceus.Devices, as "
                "Devices.find('ideal') gives"
            )
        return devices or cls.ideal()

    @property
    def plain(self) -> bool:
        """Whether they are as the program wants them: ideal, none broken, nothing to correct."""
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
        UserError: there is none of that name (the sentence lists those there are), or it is bad.
    """
    if name.endswith((".yaml", ".yml")):
        return document.load(name, Settings, "settings of devices")
    if name not in available():
        raise unknown("PCM model", name, available())
    return document.load(_presets() / f"{name}.yaml", Settings, "settings of devices")
