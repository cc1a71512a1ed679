"""Settings of devices: what ships, and every mistake in one sentence."""

import re
from pathlib import Path

import pytest

from caduceus.devices import ages, settings
from caduceus.devices.models import MODELS
from caduceus.spec.errors import UserError

KEYS = (
    "format, model, programming_noise, drift, read_noise, device_yield, stuck_set_share, "
    "adc_gain_spread, adc_offset, calibrate, compensate"
)


def _written(folder: Path, **keys: str) -> str:
    """A file of settings: `format` and `model`, unless given otherwise, and these keys."""
    path = folder / "mine.yaml"
    entries = {"format": "1", "model": "hermes_odp"} | keys
    path.write_text("".join(f"{key}: {value}\n" for key, value in entries.items() if value))
    return str(path)


def test_what_ships() -> None:
    assert settings.available() == ["generic", "hermes_odp", "hermes_tdp", "ideal"]
    for name in settings.available():
        found = settings.find(name)
        assert found.model == name
        assert found.device_model is MODELS.get(name)
    assert {name: settings.find(name).largest_code for name in settings.available()} == {
        "generic": 510, "hermes_odp": 255, "hermes_tdp": 510, "ideal": 510,
    }  # fmt: skip
    ideal = settings.find("ideal")
    assert not (ideal.calibrate or ideal.compensate or ideal.adc_offset or ideal.adc_gain_spread)
    assert settings.find("hermes_tdp").adc_gain_spread == 0.0709


def test_the_manual_has_every_key_and_default() -> None:
    page = Path(__file__).resolve().parent.parent / "docs" / "devices.md"
    rows = re.findall(r"^\| `(\w+)` \| [^|]+ \| ([^|]+) \|", page.read_text("utf-8"), flags=re.M)
    fields = settings.Settings.model_fields
    assert [key for key, _ in rows] == list(fields)
    for key, reported in rows:
        field = fields[key]
        default = (
            "required" if field.is_required() else f"{field.default}".lower().removesuffix(".0")
        )
        assert reported.split(";")[0] == default, key


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    found = settings.find(_written(tmp_path, drift="false", device_yield="0.5", adc_offset="2"))
    assert (found.model, found.drift, found.device_yield) == ("hermes_odp", False, 0.5)
    assert (found.programming_noise, found.adc_offset, found.stuck_set_share) == (True, 2.0, 0.5)


@pytest.mark.parametrize(
    ("key", "value", "allowed"),
    [
        ("format", "2", "format: got 2, expected 1"),
        ("format", "", "format is missing"),
        ("model", "", "model is missing"),
        (
            "model", "hermes",
            "model: got 'hermes', expected 'ideal', 'generic', 'hermes_odp' or 'hermes_tdp'",
        ),
        ("model", "[ideal]", "model: got ['ideal'], expected 'ideal', 'generic', "
         "'hermes_odp' or 'hermes_tdp'"),
        ("moddel", "ideal", f"moddel: unknown key: expected one of {KEYS}"),
        ("seed", "1", f"seed: unknown key: expected one of {KEYS}"),
        ("drift", "1", "drift: got 1, expected a valid boolean"),
        ("read_noise", "'yes'", "read_noise: got 'yes', expected a valid boolean"),
        ("programming_noise", "0.5", "programming_noise: got 0.5, expected a valid boolean"),
        ("calibrate", "null", "calibrate: got nothing, expected a valid boolean"),
        ("compensate", "1.0", "compensate: got 1.0, expected a valid boolean"),
        ("device_yield", "1.5", "device_yield: got 1.5, expected less than or equal to 1"),
        ("device_yield", "-0.1", "device_yield: got -0.1, expected greater than or equal to 0"),
        ("device_yield", ".nan", "device_yield: got nan, expected a finite number"),
        ("device_yield", "true", "device_yield: got True, expected a valid number"),
        ("device_yield", "'0.9'", "device_yield: got '0.9', expected a valid number"),
        ("device_yield", "1e-05", "device_yield: got '1e-05', expected a valid number; with an "
         "exponent it has a point and a sign, as in 1.0e-5"),
        ("stuck_set_share", "2", "stuck_set_share: got 2, expected less than or equal to 1"),
        ("adc_gain_spread", "0.31",
         "adc_gain_spread: got 0.31, expected less than or equal to 0.3"),
        ("adc_gain_spread", "-1", "adc_gain_spread: got -1, expected greater than or equal to 0"),
        ("adc_gain_spread", ".nan", "adc_gain_spread: got nan, expected a finite number"),
        ("adc_offset", ".inf", "adc_offset: got inf, expected a finite number"),
        ("adc_offset", "-.inf", "adc_offset: got -inf, expected a finite number"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_sentence(tmp_path: Path, key: str, value: str, allowed: str) -> None:
    path = _written(tmp_path, **{key: value})
    with pytest.raises(UserError) as raised:
        settings.find(path)
    assert str(raised.value) == f"{path}: {allowed}"


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        (
            "hermes",
            "unknown PCM model 'hermes': did you mean hermes_tdp? expected one of "
            "generic, hermes_odp, hermes_tdp, ideal, or a file (.yaml)",
        ),
        (
            "nowhere.yaml",
            "nowhere.yaml: cannot read the settings of devices: No such file or directory",
        ),
    ],
)  # fmt: skip
def test_an_unknown_name_is_one_sentence(name: str, sentence: str) -> None:
    with pytest.raises(UserError) as raised:
        settings.find(name)
    assert str(raised.value) == sentence


@pytest.mark.parametrize("content", ["", "[1, 2]", "format: 1\nformat: 1\n", "a: [", "\x00"])
def test_a_file_of_something_else_is_one_sentence(tmp_path: Path, content: str) -> None:
    path = tmp_path / "bad.yml"
    path.write_text(content)
    with pytest.raises(UserError, match=r"^.*bad\.yml: [^\n]+$"):
        settings.find(str(path))


@pytest.mark.parametrize(
    ("number", "sentence"),
    [
        ({"seed": -1}, "seed: got -1, expected 0 to 2**64 - 1"),
        ({"seed": 1 << 64}, f"seed: got {1 << 64}, expected 0 to 2**64 - 1"),
        ({"age": -0.5}, "age: got -0.5, expected 0 to 1e+10 seconds"),
        ({"age": 1.1e10}, "age: got 1.1e+10, expected 0 to 1e+10 seconds"),
        ({"age": float("nan")}, "age: got nan, expected 0 to 1e+10 seconds"),
    ],
)
def test_devices_that_cannot_be_are_refused(number: dict[str, float], sentence: str) -> None:
    for name in ("ideal", "hermes_tdp"):
        with pytest.raises(UserError, match=f"^{re.escape(sentence)}$"):
            settings.Devices.find(name, **number)
    settings.Devices.find("generic", seed=(1 << 64) - 1, age=ages.OLDEST)
