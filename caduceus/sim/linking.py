"""Libraries that a verilated top is linked with: Verilator's runtime, and those of an engine."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from caduceus.sim import cocotb_results, executables, verilated_library
from caduceus.sim.cocotb_results import SimulationError
from caduceus.sim.verilated_library import Engine, Library

_PLACE = Path("lib")
"""Folder of the links to libraries, in that of a build."""


def compiler_cache() -> str:
    """Verilator's make rules compile through it; a second build of the same C++ is then free."""
    return "ccache" if executables.find("ccache") else ""


def runtime(name: str, code: str) -> Path:
    """The folder of Verilator's compiled runtime; `name` and `code` as of `arguments`.

    Raises:
        SimulationError: Verilator or the C++ compiler failed.
    """
    return _built(
        name, verilated_library.RUNTIME, verilated_library.runtime_folder(),
        verilated_library.RUNTIME_ARGUMENTS, code,
    )  # fmt: skip


def _built(name: str, library: Library, kept: Path, options: Sequence[str], code: str) -> Path:
    """The folder of a compiled library."""
    verilator = executables.find("verilator") or "verilator"
    environment = executables.environment() | {"OBJCACHE": compiler_cache()}
    try:
        return verilated_library.build(library, kept, verilator, options, code, environment)
    except verilated_library.Failed as error:
        raise SimulationError(
            f"{name}: the verilator build of {library.top} failed", error.log,
            cocotb_results.cause(error.log),
        ) from None  # fmt: skip


def arguments(
    name: str,
    folder: Path,
    engine: Engine | None,
    options: Sequence[str],
    code: str,
    runtime: Path | None,
) -> list[str]:
    """Build an engine's libraries; return Verilator's arguments to compile and link it.

    Args:
        name: of the run, for messages.
        folder: of the build, where links to the libraries are made.
        engine: C++ that the top calls.
        options: Verilator's, for the libraries.
        code: arguments for the C++ compiler.
        runtime: folder of the compiled runtime; None if the top compiles its own.

    Raises:
        SimulationError: Verilator or the C++ compiler failed.
    """
    libraries = list(engine.libraries) if engine else []
    (folder / _PLACE).mkdir()
    with ThreadPoolExecutor(max(1, len(libraries))) as pool:
        made = [pool.submit(_built, name, each, engine.kept, options, code) for each in libraries]
        folders = [future.result() for future in made]
    if runtime:
        libraries.append(verilated_library.RUNTIME)
        folders.append(runtime)
    for library, place in zip(libraries, folders, strict=True):
        (folder / _PLACE / library.top).symlink_to(place)
    archives = " ".join(f"{_PLACE}/{library.top}/{library.archive}" for library in libraries)
    linked = ["-LDFLAGS", archives] if archives else []
    if engine is None:
        return linked
    (folder / _PLACE / "include").symlink_to(engine.include)
    for source in engine.sources:
        (folder / "src" / source.name).symlink_to(source)
    sources = [f"src/{source.name}" for source in engine.sources]
    includes = ["include", *(library.top for library in engine.libraries)]
    flags = " ".join(f"-I{_PLACE}/{place}" for place in includes)
    return [*sources, "-CFLAGS", flags, *linked]
