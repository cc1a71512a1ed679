"""Files of commands that simulate: one run at a time, and what cannot be written is reported."""

import fcntl
import io
import threading
from pathlib import Path

import pytest
from rich.console import Console

from caduceus.sim.paths import absolute
from caduceus.sim.run_files import demand_own, empty, forget, only_run, working_files
from caduceus.spec.errors import UserError
from caduceus.spec.files import write_whole


def test_a_second_run_says_that_it_waits(tmp_path: Path):
    folder, out = tmp_path / "a" / "b", io.StringIO()
    with only_run(folder, Console(file=out)):
        pass
    assert out.getvalue() == ""
    entered = threading.Event()

    def second() -> None:
        with only_run(folder, Console(file=out)):
            entered.set()

    with (folder / "lock").open("w") as first:
        fcntl.flock(first, fcntl.LOCK_EX)
        thread = threading.Thread(target=second)
        thread.start()
        assert not entered.wait(0.5)
        assert out.getvalue() == "waiting for another run\n"
    thread.join(10)
    assert entered.is_set()


def test_a_folder_that_cannot_be_made_is_reported(tmp_path: Path):
    (tmp_path / "file").touch()
    with (
        pytest.raises(UserError, match=r"file/a: cannot make or read a file of the run: Not a dir"),
        only_run(tmp_path / "file" / "a", Console(quiet=True)),
    ):
        pytest.fail("there is no such folder")


def test_a_folder_is_emptied_and_what_is_none_is_reported(tmp_path: Path):
    folder = tmp_path / "a" / "run"
    for _ in range(2):
        empty(folder)
        assert folder.is_dir() and not any(folder.iterdir())
        (folder / "old").touch()
    (tmp_path / "file").touch()
    with (
        pytest.raises(UserError, match=r"file: cannot make or read a file of the run: Not a dir"),
        working_files(tmp_path),
    ):
        empty(tmp_path / "file")


def test_what_fails_within_a_run_is_not_about_its_files(tmp_path: Path):
    with pytest.raises(FileNotFoundError), only_run(tmp_path, Console(quiet=True)):
        (tmp_path / "none").read_text()


def test_a_working_file_that_cannot_be_made_is_reported(tmp_path: Path):
    with (
        pytest.raises(UserError, match=r"none/x: cannot make or read a file of the run: No such"),
        working_files(tmp_path),
    ):
        (tmp_path / "none" / "x").write_text("")


def test_an_old_result_is_gone_and_a_new_one_can_be_written(tmp_path: Path):
    output, beside = tmp_path / "result.json", tmp_path / "result.png"
    output.touch()
    beside.touch()
    forget(output, beside)
    assert list(tmp_path.iterdir()) == []
    forget(tmp_path / "new" / "result.json")
    assert list((tmp_path / "new").iterdir()) == []


def test_a_result_that_cannot_be_written_is_reported(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"^/dev/null: cannot write the result: it is no regular"):
        forget(Path("/dev/null"))
    for place in (tmp_path / "file" / "x.json", Path("/proc/x.json")):
        with pytest.raises(UserError, match=rf"^{place}: cannot write the result: "):
            forget(place)


def test_a_links_result_goes_and_comes_where_it_leads(tmp_path: Path):
    link, target = tmp_path / "result.json", tmp_path / "there" / "mine.json"
    link.symlink_to(target)
    forget(link)
    for content in ("old", "new"):
        write_whole(link, content, "result")
        assert (link.readlink(), target.read_text()) == (target, content)
        forget(link)
        assert link.is_symlink() and not target.exists()


def test_a_link_to_where_nothing_can_be_written_is_reported(tmp_path: Path):
    (tmp_path / "proc").symlink_to("/proc/x.json")
    with pytest.raises(UserError, match=r"/proc: cannot write the result: "):
        forget(tmp_path / "proc")
    (tmp_path / "round").symlink_to(tmp_path / "round")
    for write in (forget, lambda path: write_whole(path, "", "result")):
        with pytest.raises(UserError, match=r"/round: cannot write the result: it links to itself"):
            write(tmp_path / "round")


def test_a_folder_of_something_else_is_refused(tmp_path: Path):
    demand_own(tmp_path / "none", "build", "lock")
    demand_own(tmp_path, "build", "lock")
    (tmp_path / "mine").mkdir()
    with pytest.raises(UserError, match=rf"^{tmp_path}: the folder is not empty: .*earlier build$"):
        demand_own(tmp_path, "build", "lock", "a-*/lock")
    with only_run(tmp_path / "a-b", Console(quiet=True), "one.lock"):
        pass
    demand_own(tmp_path, "build", "a-*/one.lock")
    with pytest.raises(UserError, match="the folder is not empty"):
        demand_own(tmp_path / "a-b", "check", "other.lock")


def test_what_is_no_folder_is_reported(tmp_path: Path):
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "none")
    (tmp_path / "round").symlink_to(tmp_path / "round")
    for name, what in (("file", "file"), ("link", "link that leads to no folder"),
                       ("round", "link that leads to no folder")):  # fmt: skip
        with pytest.raises(UserError, match=rf"/{name}: is a {what}: expected a folder"):
            demand_own(tmp_path / name, "build", "lock")
    with pytest.raises(UserError, match=r"x\.json: cannot write the result: Not a directory$"):
        forget(tmp_path / "file" / "x.json")


def test_paths_are_made_whole_and_names_are_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    assert absolute("mine.yaml") == str(tmp_path.resolve() / "mine.yaml")
    assert absolute("hermes") == "hermes"
