"""Chip descriptions: what is accepted, and one sentence for each thing that is not."""

from pathlib import Path

import pytest
import yaml

from caduceus.spec import chip
from caduceus.spec.chip import Chip
from caduceus.spec.errors import UserError
from caduceus.spec.shipped import shipped_folder


@pytest.fixture
def document() -> dict:
    return yaml.safe_load((shipped_folder(chip.CHIPS) / "tiny.yaml").read_text())


def load(folder: Path, document: object) -> chip.Chip:
    path = folder / "mine.yaml"
    path.write_text(document if isinstance(document, str) else yaml.safe_dump(document))
    return Chip.load(path)


def test_every_shipped_chip_loads_under_its_own_name():
    assert {"hermes", "tiny"} <= set(Chip.available())
    for name in Chip.available():
        assert Chip.find(name).name == name


def test_hermes_is_as_published():
    hermes = Chip.find("hermes")
    assert (hermes.grid.rows, hermes.grid.columns) == (8, 8)
    assert (hermes.array.rows, hermes.array.columns) == (256, 256)
    assert 128 + hermes.mvm.overhead_1phase == 133
    assert 4 * (128 + hermes.mvm.overhead_4phase) == 520
    # A full cell in a full pulse is 40 counts, to the resolution of the gain code.
    assert round(127 * 510 * hermes.nominal_gain / 2**32, 3) == 40


def test_a_description_cannot_be_changed():
    with pytest.raises(ValueError, match="frozen"):
        Chip.find("tiny").name = "other"


def test_a_path_is_taken_as_it_is(tmp_path, document):
    document["name"] = "mine"
    load(tmp_path, document)
    assert Chip.find(str(tmp_path / "mine.yaml")).name == "mine"


def test_an_unknown_name_lists_those_there_are():
    with pytest.raises(
        UserError, match=r"^unknown chip 'herpes': did you mean hermes\? expected one of .*tiny"
    ):
        Chip.find("herpes")


@pytest.mark.parametrize(
    ("section", "key", "value", "sentence"),
    [
        ("array", "rows", 0, r"array\.rows: got 0, expected greater than or equal to 4"),
        ("array", "rows", "many", r"array\.rows: got 'many', expected a valid integer"),
        ("array", "rows", 16.0, r"array\.rows: got 16\.0, expected a valid integer"),
        ("array", "rows", True, r"array\.rows: got True, expected a valid integer"),
        ("array", "rosw", 16, r"array\.rosw: unknown key: expected one of rows, columns"),
        ("array", "rows", 260, r"array\.rows: got 260, expected at most 259, so that every column"),
        ("adc", "phase_limit", 4096, r"adc\.phase_limit: got 4096, expected .* 4095"),
        ("adc", "cell_counts", 251, r"adc\.cell_counts: got 251, expected .* 250"),
        ("ldpu", "lanes", 3, r"ldpu\.lanes: got 3, expected a power of two"),
        ("ldpu", "lanes", 32, r"ldpu\.lanes: got 32, expected a divisor of array\.columns \(16\)"),
        ("link", "units", 3, r"link\.units: got 3, expected a power of two"),
        ("link", "units", 32, r"link\.units: got 32, expected a divisor of array\.rows \(16\)"),
        ("link", "partial_sums", "int9", r"link\.partial_sums: got 'int9', expected 'int8' or 'bi"),
        ("gdpu", "slices", 1, r"gdpu\.slices: got 1, expected the same as grid\.columns \(2\)"),
        ("gdpu", "units", 5, r"gdpu\.units: got 5, expected at most a quarter of .* \(16\)"),
        ("adjacency", "vertical", [2], r"adjacency\.vertical: got \[2\], expected distinct .* 2"),
        ("adjacency", "horizontal", [1, 1], r"adjacency\.horizontal: got \[1, 1\], expected"),
        ("adjacency", "horizontal", 1, r"adjacency\.horizontal: got 1, expected a list"),
    ],
)
def test_a_bad_value_names_file_key_value_and_what_is_allowed(
    tmp_path, document, section, key, value, sentence
):
    document[section][key] = value
    with pytest.raises(UserError, match=rf"^{tmp_path}/mine\.yaml: {sentence}"):
        load(tmp_path, document)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"format": 2}, r"format: got 2, expected 1"),
        ({"name": "Not A Name"}, r"name: got 'Not A Name', expected"),
        ({"extra": 1}, r"extra: unknown key: expected one of format, name, grid"),
        ({"array": None}, r"array: got nothing, expected a mapping of keys"),
    ],
)
def test_a_bad_section_is_reported(tmp_path, document, change, sentence):
    with pytest.raises(UserError, match=sentence):
        load(tmp_path, {**document, **change})


def test_a_mistyped_key_is_reported_before_the_missing_one(tmp_path, document):
    document["adc"]["phse_limit"] = document["adc"].pop("phase_limit")
    with pytest.raises(UserError, match=r"adc\.phse_limit: unknown key: expected one of cell_c"):
        load(tmp_path, document)


def test_a_missing_key_is_reported(tmp_path, document):
    del document["array"]["rows"]
    with pytest.raises(UserError, match=r"array\.rows is missing"):
        load(tmp_path, document)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a: [1", r"mine\.yaml: line 2: not YAML: "),
        ("a:\n\tb: 1", r"mine\.yaml: line 2: not YAML: got a tab, expected spaces$"),
        ("a: `b`", r"mine\.yaml: line 1: not YAML: found character .*that cannot start"),
        ("name: a\nname: b", r"line 2: key 'name' occurs twice"),
        ("- 1", r"chip description: got \[1\], expected a mapping of keys"),
        ("", r"chip description: got nothing, expected a mapping of keys"),
        ("[" * 5000, r"line 1: nested lists and mappings: expected at most 16 levels"),
        ("a: &a [*a]", r"line 1: got '&a', expected no anchor"),
    ],
)
def test_what_is_not_a_description_is_reported(tmp_path, text, sentence):
    with pytest.raises(UserError, match=sentence):
        load(tmp_path, text)


def test_a_file_that_cannot_be_read_is_reported(tmp_path):
    with pytest.raises(UserError, match=r"cannot read the chip description: No such file"):
        Chip.load(tmp_path / "none.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match=r"not UTF-8 text"):
        Chip.load(tmp_path / "binary.yaml")
