"""Where Verilator's source comes from: a newer suite of this machine's Debian mirror, else git."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from provision.places import OLDEST_VERILATOR, VERILATOR_TAG, VERILATOR_UPSTREAM
from provision.process import ask, run
from provision.report import DiskFullError, SetupError, say

OS_RELEASE = Path("/etc/os-release")
"""Where a Linux system says what it is."""

NEWER_SUITES = ("stable-backports", "testing", "unstable")
"""Tried in turn, by names that never go out of date; the first has by far the shortest list."""

MIRROR_FIELDS = ("RELEASE", "COMPONENT", "ORIGIN", "LABEL", "SIGNED_BY", "REPO_URI")
"""Fields that `apt-get indextargets` prints of each list that this machine is set to fetch."""


@dataclass(frozen=True)
class Mirror:
    """A Debian mirror from this machine's apt configuration.

    Attributes:
        uri: Its address, as configured.
        keyring: The file with the keys that sign it; empty for those that apt trusts everywhere.
    """

    uri: str
    keyring: str

    def source_line(self, suite: str) -> str:
        """Return the line of a `sources.list` that offers the source packages of a suite."""
        options = f"[signed-by={self.keyring}] " if self.keyring else ""
        return f"deb-src {options}{self.uri} {suite} main\n"


def find_mirror(targets: str, codename: str) -> Mirror | None:
    """Find the Debian mirror among what `apt-get indextargets` printed.

    Args:
        targets: A line for each list, with the values of `MIRROR_FIELDS` separated by tabs.
        codename: The release this machine runs, as "bookworm".

    Returns:
        The mirror that serves the release itself, or None. Where its lists were fetched already it
        says so (origin "Debian"); where not, the release's name has to do.
    """
    for line in targets.splitlines():
        values = line.split("\t")
        if len(values) != len(MIRROR_FIELDS):
            continue
        # apt leaves the name of a field that a list does not have.
        release, component, origin, label, keyring, uri = (
            "" if value.startswith("$(") else value for value in values
        )
        named = release in {codename, "stable", "oldstable", "testing"}
        if component == "main" and named and (origin, label) in {("Debian", "Debian"), ("", "")}:
            return Mirror(uri, keyring)
    return None


def debian_codename(os_release: str) -> str:
    """Return the code name in the text of `/etc/os-release`, or an empty string off Debian."""
    fields = dict(re.findall(r'^(\w+)="?([^"\n]*)"?$', os_release, re.MULTILINE))
    return fields.get("VERSION_CODENAME", "") if fields.get("ID") == "debian" else ""


def parse_source_version(records: str) -> tuple[str, tuple[int, ...]] | None:
    """Return the newest (Debian version, release) in what `apt-cache showsrc verilator` printed."""
    found = []
    for version in re.findall(r"^Version: (?:\d+:)?(\S+)", records, re.MULTILINE):
        release = re.match(r"(\d+)\.(\d+)", version)
        if release:
            found.append((tuple(int(part) for part in release.groups()), version))
    if not found:
        return None
    release, version = max(found)
    return version, release


def from_mirror(folder: Path, log: Path) -> Path:
    """Fetch the source package with the machine's own mirror, keys and apt settings.

    Nothing of the machine's apt is touched: lists, cache and status live in `folder`. apt checks
    the suite's signature and the package's digests.

    Args:
        folder: An empty folder to work in.
        log: Where the programs' output goes.

    Returns:
        The unpacked source tree, inside `folder`.

    Raises:
        SetupError: This is no Debian, or no suite of the mirror has a release that is new enough.
    """
    codename = debian_codename(OS_RELEASE.read_text()) if OS_RELEASE.exists() else ""
    if not codename or shutil.which("apt-get") is None:
        raise SetupError("This machine is not a Debian one.")
    fields = "\t".join(f"$({name})" for name in MIRROR_FIELDS)
    mirror = find_mirror(ask(["apt-get", "indextargets", "--format", fields]), codename)
    if mirror is None:
        raise SetupError("apt on this machine has no Debian mirror configured.")
    problem = SetupError("No suite of the Debian mirror has a Verilator that is new enough.")
    for suite in NEWER_SUITES:
        apt = _private_apt(folder / suite, mirror.source_line(suite))
        try:
            run(["apt-get", *apt, "update"], f"looking into Debian's {suite}", log, folder)
        except DiskFullError:
            raise
        except SetupError as error:
            # A mirror need not carry every suite.
            problem = error
            continue
        offered = parse_source_version(ask(["apt-cache", *apt, "showsrc", "verilator"]))
        if offered is None or offered[1] < OLDEST_VERILATOR:
            continue
        say(f"fetching the source of Verilator {offered[0]} from Debian's {suite}")
        download = folder / "download"
        download.mkdir()
        fetch = ["apt-get", *apt, "source", "--download-only", f"verilator={offered[0]}"]
        run(fetch, "fetching the source of Verilator", log, folder, folder=download)
        archive = next(download.glob("verilator_*.orig.tar.*"), None)
        if archive is None:
            raise SetupError(f"The source package of Verilator {offered[0]} has no source archive.")
        return _unpack(archive, folder / "tree", log)
    raise problem


def _private_apt(folder: Path, source_line: str) -> list[str]:
    """Return the options that make apt work in `folder` with that one source."""
    for name in ("lists/partial", "archives/partial"):
        (folder / name).mkdir(parents=True)
    (folder / "status").touch()
    (folder / "sources.list").write_text(source_line)
    settings = {
        "Dir::State": folder,
        "Dir::State::lists": folder / "lists",
        "Dir::State::status": folder / "status",
        "Dir::Cache": folder,
        "Dir::Cache::archives": folder / "archives",
        "Dir::Etc::sourcelist": folder / "sources.list",
        "Dir::Etc::sourceparts": "/dev/null",
        "Acquire::Languages": "none",
        "APT::Update::Error-Mode": "any",
        "APT::Default-Release": "",
        # The user that apt drops to cannot write into this user's folders.
        "APT::Sandbox::User": "root",
    }
    return [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]


def _unpack(archive: Path, tree: Path, log: Path) -> Path:
    """Unpack a source archive into a new folder, less the one folder that all of it is in."""
    tree.mkdir()
    options = ["--extract", "--strip-components=1", "--no-same-owner"]
    run(["tar", *options, "--file", archive, "--directory", tree], "unpacking Verilator", log, tree)
    return tree


def from_git(folder: Path, log: Path) -> Path:
    """Clone the release tag from the project's own repository; see `from_mirror` for the rest.

    Raises:
        SetupError: There is no git, or no network.
    """
    say(f"fetching the source of Verilator {VERILATOR_TAG} with git")
    tree = folder / "tree"
    command = ["git", "clone", "--quiet", "--depth=1", "--branch", VERILATOR_TAG]
    command += [VERILATOR_UPSTREAM, str(tree)]
    environment = {**os.environ, "GIT_TERMINAL_PROMPT": "0"}
    run(command, "fetching the source of Verilator with git", log, folder, environment)
    return tree


SOURCES: tuple[Callable[[Path, Path], Path], ...] = (from_mirror, from_git)
"""Tried in turn; each takes an empty folder and the log, returns a tree or raises SetupError."""
