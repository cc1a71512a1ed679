"""Names in tables and plots, and ages as people write them."""

import pytest

from caduceus.devices import ages
from caduceus.study.ages import AGES
from caduceus.study.labels import label, labels


def test_a_path_is_no_name():
    assert label("resnet9") == "resnet9"
    assert label("/home/me/nets/mine/network.yaml") == "mine"
    assert label("settings/quiet.yaml") == "quiet" and label("loud.yml") == "loud"
    assert label("network.yaml") == "network"


def test_two_of_one_name_keep_their_paths():
    assert labels(["a/x.yaml", "b/x.yaml", "b/y.yaml"]) == {
        "a/x.yaml": "a/x.yaml", "b/x.yaml": "b/x.yaml", "b/y.yaml": "y",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "seconds", "words"),
    [
        ("0", 0, "0 s"), ("25", 25, "25 s"), ("25s", 25, "25 s"), ("1.5", 1.5, "1.5 s"),
        ("30min", 1800, "30 min"), ("1h", 3600, "1 h"), (" 1 h ", 3600, "1 h"),
        ("1d", 86_400, "1 d"), ("24h", 86_400, "1 d"), ("30d", 2_592_000, "30 d"),
        ("2592000", 2_592_000, "30 d"), ("1e3", 1000, "1000 s"), ("0.5h", 1800, "30 min"),
    ],
)  # fmt: skip
def test_ages(text, seconds, words):
    assert ages.seconds(text) == seconds and ages.words(seconds) == words


@pytest.mark.parametrize("text", ["", "x", "1x", "h", "nan", "inf", "1 2", "1hh", "1 h 3"])
def test_what_is_no_age(text):
    with pytest.raises(ValueError):
        ages.seconds(text)


def test_ages_of_tables_are_named_as_they_are_given():
    assert AGES == {"25 s": 25, "1 h": 3600, "1 d": 86_400, "30 d": 30 * 86_400}
    assert [ages.seconds(name) for name in AGES] == list(AGES.values())
