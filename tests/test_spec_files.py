"""Files are written whole or not at all."""

from pathlib import Path

import pytest

from caduceus.spec.errors import UserError
from caduceus.spec.files import write_whole


def test_nothing_is_left_of_what_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(UserError, match="folder: cannot write the thing: it is no regular file"):
        write_whole(tmp_path / "folder", "text", "thing")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


@pytest.mark.parametrize("end", [KeyboardInterrupt, OSError(28, "No space left on device")])
def test_nothing_is_left_of_what_is_cut_off(tmp_path: Path, monkeypatch, end) -> None:
    def stopped(*_: object) -> None:
        assert len(list(tmp_path.iterdir())) == 1, "a temporary file is there"
        raise end

    monkeypatch.setattr(Path, "replace", stopped)
    with pytest.raises((KeyboardInterrupt, UserError)):
        write_whole(tmp_path / "file", "text", "thing")
    assert not list(tmp_path.iterdir())


def test_a_name_that_is_too_long_is_reported_as_such(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"a: cannot write the thing: File name too long$"):
        write_whole(tmp_path / ("a" * 300), "text", "thing")


@pytest.mark.parametrize("there", [True, False])
def test_a_link_stays_and_what_it_leads_to_is_written(tmp_path: Path, there: bool) -> None:
    target, link = tmp_path / "deep" / "target", tmp_path / "link"
    if there:
        target.parent.mkdir()
        target.write_text("earlier")
    link.symlink_to(target)
    write_whole(link, "text", "thing")
    assert link.is_symlink() and target.read_text() == "text"
