"""C++ libraries that Verilator makes of single modules, kept by a hash over their content.

Builds of several tops, and of several copies of the repository with one build folder, share them.
"""

import fcntl
import hashlib
import os
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from caduceus.spec import processes
from caduceus.spec.shipped import shipped_folder

RULES = shipped_folder("caduceus.sim") / "cpp" / "rules.mk"
"""Make's rules for Verilator's C++."""
MAKE_VARIABLES = ("VM_DEFAULT_RULES=0", f"MAKEFILES={RULES}")
"""Variables of make that replace Verilator's own rules."""
STAMP = "complete"
"""File of a folder whose library is complete."""


@dataclass(frozen=True)
class Library:
    """A module to be compiled.

    Attributes:
        top: its name; class `V<top>` in `V<top>.h` is its model.
        sources: files of the module, in compilation order.
        runtime: of the module, only what Verilator links with it is compiled.
    """

    top: str
    sources: Sequence[Path]

    runtime: bool = False

    @property
    def archive(self) -> str:
        """Name of the compiled file."""
        return "libverilated.a" if self.runtime else f"libV{self.top}.a"

    def digest(self, options: Sequence[str]) -> str:
        """Hash over name, sources and `options`."""
        digest = hashlib.sha256("\n".join([self.top, *options]).encode())
        for source in self.sources:
            digest.update(f"\n{source.name}\n".encode())
            digest.update(source.read_bytes())
        return digest.hexdigest()


@dataclass(frozen=True)
class Engine:
    """C++ that a top module calls, with the libraries that it links.

    Attributes:
        sources: C++ files.
        include: folder of their own headers, besides those of the libraries.
        libraries: of modules.
        kept: folder of compiled libraries.
    """

    sources: Sequence[Path]
    include: Path
    libraries: Sequence[Library]
    kept: Path

    def contents(self) -> list[Path]:
        """All files that decide what it is."""
        headers = sorted(self.include.glob("*.h"))
        return [*self.sources, *headers, *(s for each in self.libraries for s in each.sources)]


RUNTIME = Library("runtime", [shipped_folder("caduceus.sim") / "sv" / "runtime.sv"], runtime=True)
"""Verilator's own C++ that every simulation links."""
RUNTIME_ARGUMENTS = ("--vpi", "--timing")


def runtime_folder() -> Path:
    """Folder of compiled runtimes: one user's builds share them."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "caduceus" / "runtime"


class Failed(Exception):
    """A library could not be built; `log` says why."""

    def __init__(self, log: Path) -> None:
        super().__init__(str(log))
        self.log = log


def build(
    library: Library,
    kept: Path,
    verilator: str,
    arguments: Sequence[str],
    code: str,
    environment: Mapping[str, str],
) -> Path:
    """The folder in `kept` with the library and its headers; built unless it is there.

    Args:
        library: the module.
        kept: folder of all libraries.
        verilator: the program.
        arguments: for Verilator.
        code: arguments for the C++ compiler.
        environment: environment variables of both.

    Raises:
        Failed: Verilator or the compiler refused it.
        OSError: a file cannot be written.
    """
    version = subprocess.run(
        [verilator, "--version"], capture_output=True, text=True, check=True, env=environment
    ).stdout
    folder = kept / library.digest([version, *arguments, code])[:32]
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / STAMP).is_file():
            _compile(library, folder, [verilator, *arguments], code, environment)
            (folder / STAMP).touch()
    return folder


def _compile(
    library: Library,
    folder: Path,
    verilator: Sequence[str],
    code: str,
    environment: Mapping[str, str],
) -> None:
    place = folder / "src"
    place.mkdir(exist_ok=True)
    for source in library.sources:
        # The C++ names the sources: relative names make it the same everywhere.
        (place / source.name).write_bytes(source.read_bytes())
    name = f"V{library.top}"
    commands = (
        [*verilator, "--cc", "--prefix", name, "--top-module", library.top, "--Mdir", ".",
         *(f"src/{source.name}" for source in library.sources)],
        ["make", "-j", str(os.cpu_count() or 1), "-f", f"{name}.mk", *MAKE_VARIABLES,
         f"OPT_FAST={code}", f"OPT_GLOBAL={code}", library.archive],
    )  # fmt: skip
    log = folder / "build.log"
    with log.open("w", encoding="utf-8") as output:
        for command in commands:
            print(shlex.join(command), file=output, flush=True)
            status = processes.run(
                command, cwd=folder, env=environment, stdout=output, stderr=subprocess.STDOUT
            )
            if status:
                raise Failed(log)
