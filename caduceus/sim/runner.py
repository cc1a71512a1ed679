"""Build a design and run a cocotb test module on it, with cocotb's own runner.

Additions to cocotb's runner: a build happens only if its sources, arguments or tools changed
(content hash, the stamp written last); in Verilator only the top's ports are visible to cocotb (its
default makes every signal public, which breaks large designs); every run has a time limit; no
compiler or simulator survives this process; any failure is one sentence that names the log.
"""

import fcntl
import hashlib
import json
import logging
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from caduceus.sim import cocotb_results, executables, linking, verilated_library
from caduceus.sim.build_paths import demand_usable
from caduceus.sim.cocotb_results import BenchResults, SimulationError
from caduceus.sim.verilated_library import Engine
from caduceus.spec import processes
from caduceus.spec.errors import UserError

if TYPE_CHECKING:
    from cocotb_tools.runner import Runner

SIMULATORS = ("verilator", "icarus")
VERILATOR_OLDEST = (5, 36)
"""Minimum version for cocotb 2.1."""
VERILATOR_SELECTS_PORTS = (5, 44)
"""First version whose control files can name ports without every variable of a module."""
TIMESCALE = ("1ns", "1ps")
DEFAULT_SEED = 1
TIME_LIMIT_SECONDS = 1800
"""Wall-clock limit of one run: cocotb tests have their own limits in simulated time."""

VERILATOR_ARGUMENTS = (
    "--no-public-flat-rw",
    "-O3",
    "--x-assign", "fast",
    "--x-initial", "fast",
    "--output-split", "60000",
    "--output-split-cfuncs", "1000",
    "--output-split-ctrace", "1000",
)  # fmt: skip
"""Designs smaller than a tile of 256x256 compile their C++ in one piece: each piece reads
Verilator's headers again, and several pieces need two precompiled headers of 70 MB first. A
compiler's time grows faster than the length of a function; functions of 1,000 nodes are not
measurably slower than those of 20,000, but at 300 a simulation takes a tenth longer."""
FAST_CODE = "-O3 -march=native"
"""For Verilator's hot code. Builds are for the machine that runs them; its vector units double the
speed of the behavioral array."""
CODE_VARIABLE = "CADUCEUS_CODE"
"""Environment variable that replaces `FAST_CODE`, for example for many short runs."""

_IMPORTED_FROM = Path(__file__).resolve().parents[__name__.count(".")]
"""Folder from which this package, and its neighbors, are imported."""
_FOREIGN = {"PYTEST_CURRENT_TEST": None, "WAVES": None, "GUI": None}
"""Variables that would silently change the behavior of cocotb's runner."""


@dataclass(frozen=True)
class _Build:
    """Everything that determines a build."""

    simulator: str
    top: str
    sources: tuple[Path, ...]
    parameters: Mapping[str, object]
    arguments: tuple[str, ...]
    folder: Path
    waves: bool
    includes: tuple[Path, ...]
    code: str
    engine: Engine | None

    def fingerprint(self) -> str:
        """Hash over tools, arguments, and name and content of every source, wherever it lies."""
        digest = hashlib.sha256()
        options = [
            self.simulator, tool_version(self.simulator), self.top, dict(self.parameters),
            self.arguments, self.waves, self.code,
        ]  # fmt: skip
        digest.update(json.dumps(options, sort_keys=True, default=str).encode())
        for source in (*self.sources, *(self.engine.contents() if self.engine else ())):
            digest.update(f"\n{source.name}\n".encode())
            digest.update(source.read_bytes())
        return digest.hexdigest()


def run_bench(
    name: str,
    sources: Sequence[Path],
    top: str,
    test_module: str,
    simulator: str,
    build_dir: Path,
    parameters: Mapping[str, object] | None = None,
    extra_env: Mapping[str, str] | None = None,
    plusargs: Sequence[str] = (),
    build_args: Sequence[str] = (),
    run_dir: Path | None = None,
    testcase: str | Sequence[str] | None = None,
    seed: int | None = None,
    waves: bool = False,
    time_limit: float = TIME_LIMIT_SECONDS,
    code: str | None = None,
    engine: Engine | None = None,
) -> BenchResults:
    """Build `sources` for `simulator` if need be, and run the cocotb tests of `test_module`.

    Args:
        name: of this run, for messages.
        sources: Verilog and SystemVerilog in compilation order. `.svh` files are headers: they are
            not compiled by themselves, and their folders are include paths. `.vlt` files go to
            Verilator only.
        top: name of the top module.
        test_module: dotted name of the Python module with the cocotb tests.
        simulator: one of `SIMULATORS`.
        build_dir: folder of the build; other builds must not use it at the same time.
        parameters: integer parameters of the top module.
        extra_env: environment variables for the simulation.
        plusargs: such as `+pcm_state=folder`.
        build_args: further arguments for the simulator's compiler.
        run_dir: working folder of the simulation, with its log and results; `build_dir` if None.
        testcase: names of the only tests to run.
        seed: random seed; if None, `COCOTB_RANDOM_SEED` of the environment or `DEFAULT_SEED`.
        waves: record every signal to `run_dir/waves.fst`.
        time_limit: wall-clock limit in seconds; a longer simulation is killed.
        code: arguments for the compiler of Verilator's C++; if None, `CADUCEUS_CODE` of the
            environment, or `FAST_CODE`.
        engine: C++ that the sources call; for Verilator.

    Raises:
        UserError: the simulator is missing or too old.
        SimulationError: the build failed, or the simulation ended without results.
    """
    build_dir = build_dir.resolve()
    if waves:
        build_dir = build_dir.with_name(build_dir.name + "-waves")
    run_dir = (run_dir or build_dir).resolve()
    _demand_writable(run_dir)
    if code is None:
        code = os.environ.get(CODE_VARIABLE) or FAST_CODE
    build = _plan(
        simulator, top, sources, parameters or {}, build_args, build_dir, waves, code, engine
    )

    started = time.monotonic()
    try:
        runner = _built(name, build)
    except OSError as error:
        place = error.filename or build.folder
        raise UserError(f"{place}: cannot build: {error.strerror or error}") from None
    built = time.monotonic()

    log = run_dir / "run.log"
    outcome = run_dir / "results.xml"
    outcome.unlink(missing_ok=True)
    wave_file = run_dir / "waves.fst" if waves else None
    used_seed = _seed(seed)
    reason = _simulated(
        name, runner, used_seed, time_limit, log,
        test_module=test_module,
        hdl_toplevel=top,
        build_dir=build.folder,
        test_dir=run_dir,
        results_xml=str(outcome),
        testcase=testcase,
        extra_env=dict(extra_env or {}),
        plusargs=[*plusargs, *_wave_plusargs(simulator, wave_file)],
        test_args=_wave_arguments(simulator, wave_file),
        waves=waves,
    )  # fmt: skip
    finished = time.monotonic()
    if not outcome.is_file():
        raise SimulationError(f"{name}: the simulation {reason}", log, cocotb_results.cause(log))
    try:
        passed, skipped, failures = cocotb_results.read(outcome)
    except cocotb_results.Unreadable:
        raise SimulationError(
            f"{name}: the simulation broke off in its results", log, cocotb_results.cause(log)
        ) from None
    return BenchResults(
        passed=passed,
        skipped=skipped,
        failures=failures,
        seed=used_seed,
        log=log,
        waves=wave_file if wave_file and wave_file.is_file() else None,
        build_seconds=built - started,
        run_seconds=finished - built,
    )


def _simulated(
    name: str, runner: "Runner", seed: int, limit: float, log: Path, **options: Any
) -> str:
    """Run a simulation; what to say of it if it has left no results.

    Raises:
        UserError: it cannot be started.
        SimulationError: it was ended after `limit` seconds.
    """
    _supervise(runner, limit)
    reason = "ended without results"
    try:
        with _environment(COCOTB_RANDOM_SEED=str(seed), COCOTB_TEST_FILTER=None, **_FOREIGN):
            runner.test(hdl_toplevel_lang="verilog", log_file=log, timescale=None, **options)
    except _Ended as error:
        # Failed cocotb tests are in the results; any other failure leaves no results.
        if error.status == processes.EXPIRED:
            raise SimulationError(
                f"{name}: the simulation was ended after {limit:g} s", log
            ) from None
        reason += f" ({error})"
    except (RuntimeError, SystemExit) as error:
        reason += f" ({error})"
    except OSError as error:
        place = error.filename or log.parent
        raise UserError(f"{place}: cannot simulate: {error.strerror or error}") from None
    return reason


@cache
def tool_version(simulator: str) -> str:
    """First line of the simulator's version output.

    Raises:
        UserError: the simulator is unknown, missing or too old.
    """
    if simulator not in SIMULATORS:
        raise UserError(f"unknown simulator '{simulator}': expected one of {', '.join(SIMULATORS)}")
    command = {"verilator": ["verilator", "--version"], "icarus": ["iverilog", "-V"]}[simulator]
    found = executables.find(command[0])
    if found is None:
        raise UserError(
            f"{command[0]} is not on PATH: install {simulator.capitalize()}, or run `make setup` "
            "in a checkout"
        )
    run = subprocess.run(
        [found, *command[1:]], capture_output=True, text=True, check=False,
        env=executables.environment(),
    )  # fmt: skip
    line = (run.stdout.splitlines() or ["of unknown version"])[0]
    if simulator == "verilator" and _verilator_version(line) < VERILATOR_OLDEST:
        major, minor = VERILATOR_OLDEST
        raise UserError(f"{found} is {line}: expected version {major}.{minor:03} or newer")
    return line


def _verilator_version(line: str) -> tuple[int, int]:
    match = re.search(r"Verilator (\d+)\.(\d+)", line)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def _plan(
    simulator: str,
    top: str,
    sources: Sequence[Path],
    parameters: Mapping[str, object],
    build_args: Sequence[str],
    folder: Path,
    waves: bool,
    code: str,
    engine: Engine | None,
) -> _Build:
    """Sort sources by kind, and collect the arguments of the build."""
    tool_version(simulator)
    demand_usable(simulator, folder, "--hierarchical" in build_args)
    paths = [Path(source).resolve() for source in sources]
    includes = tuple(dict.fromkeys(path.parent for path in paths if path.suffix == ".svh"))
    arguments = list(build_args)
    if simulator == "verilator":
        arguments = [*VERILATOR_ARGUMENTS, *(["--trace-fst"] if waves else []), *arguments]
    else:
        paths = [path for path in paths if path.suffix != ".vlt"]
    return _Build(
        simulator, top, tuple(paths), dict(parameters), tuple(arguments), folder, waves, includes,
        code, engine,
    )  # fmt: skip


def _built(name: str, build: _Build) -> "Runner":
    """A runner with an up-to-date build."""
    # Takes half a second to import, pytest included: report mistakes before.
    from cocotb_tools.runner import get_runner

    build.folder.mkdir(parents=True, exist_ok=True)
    runner = get_runner(build.simulator)
    runner.log.setLevel(logging.WARNING)
    _supervise(runner, folder=build.folder)
    stamp = build.folder / "stamp"
    binary = build.folder / (build.top if build.simulator == "verilator" else "sim.vvp")
    with (build.folder / "lock").open("w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        fingerprint = build.fingerprint()
        fresh = binary.is_file() and stamp.is_file() and stamp.read_text() == fingerprint
        if not fresh:
            stamp.unlink(missing_ok=True)
            _compile(name, runner, build)
            stamp.write_text(fingerprint)
    return runner


class _Ended(RuntimeError):
    """A program's exit status was not 0."""

    def __init__(self, program: str, status: int) -> None:
        super().__init__(f"{Path(program).name} ended with status {status}")
        self.status = status


def _supervise(runner: "Runner", limit: float = 0, folder: Path | None = None) -> None:
    """Have the runner start its child processes so that they end with this process at the latest.

    In `folder`, that of a build, programs get relative paths: makefiles cannot hold every character
    of an absolute one.
    """

    def execute(commands: Sequence[Sequence[str]], cwd: Path, stdout: TextIO | None = None) -> None:
        for command in commands:
            if folder:
                command = [word.replace(str(folder), ".") for word in command]
            print(shlex.join(command), file=stdout, flush=True)
            status = processes.run(
                command, limit=limit, cwd=cwd, env=runner.env, stdout=stdout,
                stderr=subprocess.STDOUT,
            )  # fmt: skip
            if status:
                raise _Ended(command[0], status)

    runner._execute_cmds = execute


def _demand_writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{folder}: cannot make the folder: {error.strerror}") from None


def _compile(name: str, runner: "Runner", build: _Build) -> None:
    """Run the simulator's compiler, from an empty folder so that nothing stale is linked."""
    for old in build.folder.iterdir():
        if old.name != "lock":
            shutil.rmtree(old) if old.is_dir() else old.unlink()
    log = build.folder / "build.log"
    sources: list[Path] = [path for path in build.sources if path.suffix != ".svh"]
    includes, arguments = build.includes, build.arguments
    if build.simulator == "verilator":
        # cocotb's runner would resolve the links.
        sources, includes, arguments = [_public_ports(build)], (), (*arguments, *_linked(build))
        arguments = (*arguments, *_libraries(name, build))
    compiler = {
        "OBJCACHE": linking.compiler_cache(),
        # Make reads it like its command line, which cocotb's runner composes.
        "MAKEFLAGS": " ".join(word.replace(" ", "\\ ") for word in _make_variables(build)),
    }
    try:
        with _environment(**compiler, **_FOREIGN):
            runner.build(
                sources=sources,
                includes=includes,
                parameters=build.parameters,
                build_args=arguments,
                hdl_toplevel=build.top,
                build_dir=build.folder,
                always=True,
                timescale=TIMESCALE,
                waves=build.waves,
                log_file=log,
            )
    except (RuntimeError, SystemExit):
        raise SimulationError(
            f"{name}: the {build.simulator} build failed", log, cocotb_results.cause(log)
        ) from None


def _linked(build: _Build) -> list[str]:
    """Link the sources into the build folder, and return Verilator's arguments for the links.

    Verilator's C++ names the sources in its messages. With these names it does not depend on their
    location, so builds with a common module compile it once, and so do copies of the repository.
    """
    (build.folder / "src").mkdir()
    arguments = ["-Isrc"]
    for number, path in enumerate(build.sources):
        link = Path("src", path.name)
        if (build.folder / link).is_symlink():
            link = Path("src", f"{number}_{path.name}")
        (build.folder / link).symlink_to(path)
        if path.suffix != ".svh":
            arguments.append(str(link))
    return arguments


def _make_variables(build: _Build) -> list[str]:
    variables = [f"OPT_FAST={build.code}", *verilated_library.MAKE_VARIABLES]
    if build.engine:
        variables.append("VM_PARALLEL_BUILDS=0")  # what is left is small: one piece
    # With waveforms the runtime is another one.
    return variables if build.waves else [*variables, "VM_GLOBAL_FAST="]


def build_runtime() -> None:
    """Compile what Verilator links with every simulation, unless it is there.

    Raises:
        UserError: Verilator is missing or too old.
        SimulationError: it or the C++ compiler failed.
    """
    tool_version("verilator")
    linking.runtime("runtime", FAST_CODE)


def _libraries(name: str, build: _Build) -> list[str]:
    """Build the libraries to link; return Verilator's arguments to compile and link with them."""
    options = [*VERILATOR_ARGUMENTS[1:], "--timescale", "/".join(TIMESCALE)]
    # All builds share one runtime.
    runtime = None if build.waves else linking.runtime(name, FAST_CODE)
    return linking.arguments(name, build.folder, build.engine, options, build.code, runtime)


def _public_ports(build: _Build) -> Path:
    """A Verilator control file that makes only the top's ports visible to cocotb."""
    version = _verilator_version(tool_version("verilator"))
    option = "-port" if version >= VERILATOR_SELECTS_PORTS else "-var"
    path = build.folder / "public_ports.vlt"
    path.write_text(
        f'`verilator_config\npublic_flat_rw -module "{build.top}" {option} "*"\n', encoding="ascii"
    )
    return path


def _wave_plusargs(simulator: str, path: Path | None) -> list[str]:
    return [f"+dumpfile_path={path}"] if path and simulator == "icarus" else []


def _wave_arguments(simulator: str, path: Path | None) -> list[str]:
    return ["--trace-file", str(path)] if path and simulator == "verilator" else []


def _seed(seed: int | None) -> int:
    """Random seed: the caller's, else the environment's, else the default."""
    if seed is not None:
        return seed
    text = os.environ.get("COCOTB_RANDOM_SEED", str(DEFAULT_SEED))
    if not text.isdecimal():
        raise UserError(f"COCOTB_RANDOM_SEED: got {text!r}, expected a whole number from 0")
    return int(text)


@contextmanager
def _environment(**changes: str | None) -> Iterator[None]:
    """Set (or, with None, unset) environment variables in the block: cocotb's runner reads them.

    Child processes find the programs of `executables`. The simulation searches this process's
    module path, so the folder of this package is put on it.
    """
    changes = {**changes, **executables.changes()}
    before = {key: os.environ.get(key) for key in changes}
    path = list(sys.path)
    _apply(changes)
    sys.path.insert(0, str(_IMPORTED_FROM))
    try:
        yield
    finally:
        sys.path[:] = path
        _apply(before)


def _apply(changes: Mapping[str, str | None]) -> None:
    for key, value in changes.items():
        if value is None:
            os.environ.pop(key, None)
        else:
            os.environ[key] = value
