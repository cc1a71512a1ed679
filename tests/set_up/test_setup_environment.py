"""The virtual environment and its stamp."""

from __future__ import annotations

import pytest
from provision import environment
from provision.places import Places
from provision.report import SetupError

TWICE = 2


def steps(calls):
    known = {
        "venv": "venv",
        str(environment.PIP): "pip",
        "requirements.lock": "lock",
        "-V": "yosys",
        "--editable": "project",
        "caduceus.golden.fast": "loops",
    }
    return [known[next(word for word in words if word in known)] for words in calls]


def test_environment_is_made_once(places, fake_pip):
    assert not environment.is_current(places, environment.read_stamp(places.stamp))
    environment.make_current(places)
    assert environment.is_current(places, environment.read_stamp(places.stamp))
    assert steps(fake_pip) == ["venv", "pip", "lock", "yosys", "project", "loops"]


def test_every_package_is_checked_against_its_hash(places, fake_pip):
    environment.make_current(places)
    for name in (str(environment.PIP), places.lock_file.name):
        (words,) = (words for words in fake_pip if name in words)
        assert "--require-hashes" in words


def test_only_what_changed_is_installed_again(places, fake_pip):
    environment.make_current(places)
    fake_pip.clear()
    places.project_file.write_text("[project]\nname = 'other'\n")
    assert not environment.is_current(places, environment.read_stamp(places.stamp))
    environment.make_current(places)
    places.lock_file.write_text("numpy==2.0\n")
    assert not environment.is_current(places, environment.read_stamp(places.stamp))
    environment.make_current(places)
    assert steps(fake_pip) == ["project", "loops", "pip", "lock", "yosys", "project", "loops"]


def test_interrupted_environment_is_made_again(places, fake_pip, monkeypatch):
    install = environment._install_project

    def interrupt(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(environment, "_install_project", interrupt)
    with pytest.raises(KeyboardInterrupt):
        environment.make_current(places)
    (places.venv / "half").touch()
    assert not environment.is_current(places, environment.read_stamp(places.stamp))
    monkeypatch.setattr(environment, "_install_project", install)
    environment.make_current(places)
    assert not (places.venv / "half").exists()
    assert environment.is_current(places, environment.read_stamp(places.stamp))


def test_interrupted_update_makes_the_environment_again(places, fake_pip, monkeypatch):
    environment.make_current(places)
    places.lock_file.write_text("numpy==2.0\n")
    with monkeypatch.context() as patch:
        patch.setattr(environment, "_install_locked", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            environment.make_current(places)
    fake_pip.clear()
    environment.make_current(places)
    assert steps(fake_pip) == ["venv", "pip", "lock", "yosys", "project", "loops"]


def test_environment_is_not_current_without_its_interpreter_or_elsewhere(
    places, fake_pip, tmp_path
):
    environment.make_current(places)
    stamp = environment.read_stamp(places.stamp)
    moved = places.root.rename(tmp_path / "moved")
    elsewhere = Places(root=moved, cache=places.cache)
    assert environment.read_stamp(elsewhere.stamp) == stamp
    assert not environment.is_current(elsewhere, stamp)
    moved.rename(places.root)
    assert environment.is_current(places, stamp)
    (places.venv / "bin" / "python").unlink()
    assert not environment.is_current(places, stamp)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"base": 1}', '{"extras": [], "odd": 1}'])
def test_stamp_that_makes_no_sense_is_none(tmp_path, text):
    path = tmp_path / "stamp.json"
    path.write_text(text)
    assert environment.read_stamp(path) is None


def test_stamp_is_read_as_written(tmp_path):
    stamp = environment.Stamp("base", "lock", "project", "/bin/verilator", ("train",))
    environment.write_stamp(tmp_path / "stamp.json", stamp)
    assert environment.read_stamp(tmp_path / "stamp.json") == stamp
    assert [path.name for path in tmp_path.iterdir()] == ["stamp.json"]


def test_missing_lock_file_is_said(places):
    places.lock_file.unlink()
    with pytest.raises(SetupError, match=r"git checkout requirements\.lock"):
        environment.wanted_stamp(places)


def test_python_without_shared_library_is_refused_before_the_stamp(places, fake_pip, monkeypatch):
    monkeypatch.setattr(environment, "ask", lambda *_: "")
    with pytest.raises(SetupError, match="no shared library of the Python"):
        environment.make_current(places)
    assert environment.read_stamp(places.stamp) is None


def test_extra_is_installed_once(places, fake_pip):
    environment.make_current(places)
    fake_pip.clear()
    for _ in range(TWICE):
        environment.install_extra(places, "train", ["torch==0"])
    assert len(fake_pip) == 1
    assert fake_pip[0][-1] == "torch==0"
