"""Verilator: choose one that is new enough, or compile one into the user's cache, once."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from provision import source, wheel
from provision.places import OLDEST_VERILATOR, Places
from provision.process import ask, require_plain_path, require_space, run, variables_without
from provision.report import DiskFullError, Progress, SetupError, minutes, say

BUILD_MB = 900
"""Space for the compilation: 500 MB of objects, 60 MB of source and lists, and some to spare."""

KEPT = ("bin", "include", "LICENSE")
"""What running Verilator needs of its source tree after the compilation."""

BUILD_VARIABLES = variables_without(
    "VERILATOR_ROOT", "MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES"
)
"""Variables of a compilation: nothing of the make that runs the set-up may reach its makefiles."""

OPTIMISATION = "-O1"
"""Of Verilator's program, in place of its own -O3: a quarter less time to compile it, and what it
then takes for a tile is the same, within what can be measured."""

PROBE = """module probe;
  logic clock = 0;
  always #1 clock = !clock;
  initial begin #9 $display("probe %0d", $time); $finish; end
endmodule
"""
"""A design that needs the compiler, the run-time library and timing, to prove a fresh build."""


@dataclass(frozen=True)
class Choice:
    """A Verilator that can be used, or how to get one.

    Attributes:
        kind: "path" (the user's own), "cache" (compiled before), "package" (the system's), "wheel"
            (PyPI's), "build".
        program: The program, where it is there already.
    """

    kind: str
    program: Path | None = None


def parse_version(text: str) -> tuple[int, int] | None:
    """Return the release in the output of `verilator --version`, as (5, 36) for 5.036, or None."""
    found = re.match(r"Verilator (\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else None


def spell(version: tuple[int, int]) -> str:
    """Write a release as Verilator does: 5.036."""
    return f"{version[0]}.{version[1]:03d}"


def version_of(program: Path) -> tuple[int, int] | None:
    """Return the release of an installed Verilator, or None when it does not run."""
    # The script refuses to run with a VERILATOR_ROOT that belongs to another one.
    return parse_version(ask([program, "--version"], variables_without("VERILATOR_ROOT")))


def new_enough(version: tuple[int, ...] | None) -> bool:
    """Whether cocotb can use that release."""
    return version is not None and version >= OLDEST_VERILATOR


def on_path(places: Places) -> Path | None:
    """Return the first Verilator on PATH other than the link that a set-up made in `.venv`."""
    ours = (places.venv / "bin").resolve()
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    others = [folder for folder in folders if folder and Path(folder).resolve() != ours]
    found = shutil.which("verilator", path=os.pathsep.join(others))
    return Path(found) if found else None


def in_cache(places: Places) -> Path | None:
    """Return the newest Verilator compiled earlier that is new enough and runs."""
    found = [
        (version, program)
        for program in places.cache.glob("verilator-*/bin/verilator")
        if (version := version_of(program)) is not None and new_enough(version)
    ]
    return max(found)[1] if found else None


def choose(places: Places, packaged: Callable[[], str], wheels: bool = True) -> Choice:
    """Decide which Verilator to use.

    The first of: on PATH, in the cache, the system's package, PyPI's wheel, a new build.

    Args:
        places: The clone and the cache.
        packaged: Returns the Debian version the system would install, or an empty string; asked
            only when neither of the first two is there.
        wheels: Whether PyPI's wheel may be the choice, where it fits.
    """
    own = on_path(places)
    if own and new_enough(version_of(own)):
        return Choice("path", own)
    cached = in_cache(places)
    if cached:
        return Choice("cache", cached)
    offered = re.match(r"(?:\d+:)?(\d+)\.(\d+)", packaged())
    if offered and new_enough((int(offered[1]), int(offered[2]))):
        return Choice("package")
    return Choice("wheel" if wheels and wheel.fits() else "build")


def use(places: Places, choice: Choice) -> None:
    """Make the chosen Verilator the first that the programs of `.venv` find.

    A cached one is linked into `.venv/bin`, from where its script finds its own files; the wheel's
    is there; one on PATH is left to PATH, since a wrapper need not work through a link.
    """
    link = places.venv / "bin" / "verilator"
    if choice.program == link:
        return
    if choice.kind != "cache":
        link.unlink(missing_ok=True)
        return
    if link.is_symlink() and link.readlink() == choice.program:
        return
    link.unlink(missing_ok=True)
    link.symlink_to(choice.program)


def in_use(places: Places) -> str:
    """Say which Verilator the programs of `.venv` find: its path, and of the wheel its origin too.

    No program is run for it. There may be none, which is an empty string.
    """
    link = places.venv / "bin" / "verilator"
    if link.is_file() and not link.is_symlink():
        return f"{link} {wheel.origin()}"
    return str((link.resolve() if link.exists() else on_path(places)) or "")


def build(places: Places) -> Path:
    """Compile Verilator into the cache and return its program. The caller holds the cache's lock.

    Everything happens in a folder of its own that is renamed into place at the end, so an
    interrupted build leaves nothing that looks like a Verilator.

    Raises:
        SetupError: No source could be fetched, or it does not compile here.
    """
    require_plain_path(places.cache, "the cache", "set XDG_CACHE_HOME to a folder without one")
    for left_over in places.cache.glob("build-*"):
        shutil.rmtree(left_over, ignore_errors=True)
    require_space(places.cache, BUILD_MB, "compiling Verilator")
    say(f"no Verilator {spell(OLDEST_VERILATOR)} or newer here: compiling one, once for this user")
    with tempfile.TemporaryDirectory(prefix="build-", dir=places.cache) as name:
        tree = _fetch(Path(name), places.log)
        progress = Progress("files compiled")
        try:
            _compile(tree, places.log, progress)
        finally:
            took = progress.close()
        staged = Path(name, "staged")
        staged.mkdir()
        for part in KEPT:
            if (tree / part).exists():
                (tree / part).rename(staged / part)
        version = _prove(staged / "bin" / "verilator", Path(name), places.log)
        home = places.cache / f"verilator-{spell(version)}"
        if home.exists():
            # Only one that does not run: a working one would have been chosen.
            shutil.rmtree(home)
        staged.rename(home)
    say(f"Verilator {spell(version)} compiled in {minutes(took)}, kept in {home}")
    return home / "bin" / "verilator"


def _fetch(folder: Path, log: Path) -> Path:
    """Return a source tree from the first place that has one."""
    for number, fetch in enumerate(source.SOURCES):
        place = folder / f"source-{number}"
        place.mkdir()
        try:
            return fetch(place, log)
        except DiskFullError:
            raise
        except SetupError as error:
            say(f"no source there: {error}")
    raise SetupError(
        "Verilator's source is to be had neither from this machine's Debian mirror nor with git: "
        f"check the network, or install Verilator {spell(OLDEST_VERILATOR)} or newer yourself, "
        f"and run make again (details in {log})."
    )


def _compile(tree: Path, log: Path, progress: Progress) -> None:
    """Configure a source tree and compile its optimised program, nothing else."""
    if not (tree / "configure").exists():
        run(["autoconf"], "configuring Verilator", log, tree, BUILD_VARIABLES, tree)
    run(["./configure"], "configuring Verilator", log, tree, BUILD_VARIABLES, tree)
    makefile = tree / "src" / "Makefile_obj"
    text = makefile.read_text()
    total = count_objects(text)
    makefile.write_text(optimised(text))
    objects = tree / "src" / "obj_opt"
    command = ["make", "-C", tree / "src", f"-j{len(os.sched_getaffinity(0))}", "opt"]

    def look(_: str) -> None:
        progress.show(sum(1 for _ in objects.glob("*.o")), total)

    run(command, "compiling Verilator", log, tree, BUILD_VARIABLES, tree, look)
    run(["strip", tree / "bin" / "verilator_bin"], "compiling Verilator", log, tree)


def count_objects(makefile: str) -> int:
    """Count the files of the optimised program, in the text of its makefile; 0 if unclear."""
    lists = re.findall(r"^RAW_OBJS\w* = \\\n((?:.*\\\n)*.*\n)", makefile, re.MULTILINE)
    return sum(len(re.findall(r"\S+\.o\b", text)) for text in lists)


def optimised(makefile: str) -> str:
    """Return the makefile of the optimised program with `OPTIMISATION` in place; else as it is."""
    return re.sub(r"(^\s*CPPFLAGS \+=\s+)-O3$", rf"\g<1>{OPTIMISATION}", makefile, flags=re.M)


def _prove(program: Path, folder: Path, log: Path) -> tuple[int, int]:
    """Build and run a small design with a freshly compiled Verilator, and return its release."""
    version = version_of(program)
    if version is None or not new_enough(version):
        raise SetupError(f"The Verilator just compiled does not run: see {log} and run make again.")
    place = folder / "probe"
    place.mkdir()
    (place / "probe.sv").write_text(PROBE)
    step = "trying the new Verilator"
    run([program, "--binary", "probe.sv"], step, log, place, BUILD_VARIABLES, place)
    output = run([place / "obj_dir" / "Vprobe"], step, log, place)
    if "probe 9" not in output:
        raise SetupError(f"The Verilator just compiled does not simulate: see {log}.")
    return version
