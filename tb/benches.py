"""Benches of the regression: the design each needs, its variants and simulators.

A bench is the module `tb/test_<name>.py`: cocotb tests, and one `Bench` called `BENCH` that says
how the design under test is made. `discover` finds them all; `tests/test_rtl.py` runs them:

    BENCH = Bench(
        name="adc",
        covers=("adc.sv",),
        variants=(
            Variant("tiny", {"columns": 16}),
            Variant("hermes", {"columns": 256}, simulators=("verilator",), regress=True),
        ),
        prepare=lambda variant, folder: Design([write(Adc(...), "adc", folder / "adc.v")], "adc"),
    )

    @cocotb.test()
    async def random_charges(dut):
        columns = benches.current()["columns"]
        stimulus = benches.generator()

The cocotb tests read the variant's parameters from `current()`; `generator()` is a numpy generator
that repeats under the same seed.
"""

import importlib
import json
import os
import random
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from caduceus.sim import runner
from caduceus.sim.runner import BenchResults
from caduceus.sim.verilated_library import Engine
from caduceus.spec.errors import UserError
from tb import wave_lists

WAVES: ContextVar[bool] = ContextVar("WAVES", default=False)
"""While a bench prepares its design: whether the run will record waveforms."""
VARIABLE = "CADUCEUS_BENCH"
"""Environment variable that carries a variant's parameters into the simulation, as JSON."""
QUICK_BUILD = "-O1"
"""As `runner.FAST_CODE`, for short simulations: half the compile time."""


@dataclass(frozen=True)
class Variant:
    """One configuration of a bench.

    Attributes:
        id: short name, part of the test's name.
        parameters: for the bench's `prepare` and its cocotb tests (JSON).
        simulators: where it runs; None for the bench's own list.
        regress: too slow for every run, everywhere or on these simulators: only `make regress` runs
            it, compiled for speed; all others are compiled for short compile time.
    """

    id: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    simulators: tuple[str, ...] | None = None
    regress: bool | tuple[str, ...] = False


@dataclass(frozen=True)
class Design:
    """A design under test, for `runner.run_bench`.

    Attributes:
        sources: Verilog, SystemVerilog, headers (`.svh`) and Verilator control files (`.vlt`).
        top: name of the top module.
        parameters: integer parameters of the top module.
        plusargs, build_args, env: for the simulation, its compiler, and its environment.
        engine: C++ that the sources call.
        build: variants of any bench with the same name here share a build folder, and one build if
            their designs are the same; if empty, the variant has its own folder.
    """

    sources: Sequence[Path]
    top: str
    parameters: Mapping[str, int] = field(default_factory=dict)
    plusargs: Sequence[str] = ()
    build_args: Sequence[str] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    engine: Engine | None = None
    build: str = ""


@dataclass(frozen=True)
class Bench:
    """A bench of the regression.

    Attributes:
        name: the cocotb tests are in `tb/test_<name>.py`.
        covers: the components under check: files of `hdl/` and `caduceus/sim/sv/`, Python modules
            without their suffix.
            Beside the block itself, this is glue without a bench of its own. Every component is
            covered by some bench; `tests/test_covers.py` checks it.
        variants: its configurations.
        prepare: writes the files of `variant` into `folder` (which exists); returns the design.
        simulators: for variants without a list of their own.
    """

    name: str
    covers: tuple[str, ...]
    variants: tuple[Variant, ...]
    prepare: Callable[[Variant, Path], Design]
    simulators: tuple[str, ...] = runner.SIMULATORS

    @property
    def test_module(self) -> str:
        """Dotted name of the module with the cocotb tests."""
        return f"tb.test_{self.name}"


@dataclass(frozen=True)
class Case:
    """A bench in one variant on one simulator."""

    bench: Bench
    variant: Variant
    simulator: str

    @property
    def id(self) -> str:
        """For example `adc-tiny-icarus`."""
        return f"{self.bench.name}-{self.variant.id}-{self.simulator}"

    @property
    def regress(self) -> bool:
        """Whether only `make regress` runs it."""
        slow = self.variant.regress
        return slow if isinstance(slow, bool) else self.simulator in slow

    def run(
        self,
        folder: Path,
        testcase: str | Sequence[str] | None = None,
        seed: int | None = None,
        waves: bool = False,
    ) -> BenchResults:
        """Prepare, build and run it in `folder`; arguments as of `run_bench`.

        With `waves`, signal lists are written beside the waveforms, see `tb.wave_lists`.

        Raises:
            UserError, SimulationError: as `run_bench`.
        """
        place = folder / self.bench.name / f"{self.variant.id}-{self.simulator}"
        prepared = place / "design"
        prepared.mkdir(parents=True, exist_ok=True)
        mark = WAVES.set(waves)
        try:
            design = self.bench.prepare(self.variant, prepared)
        finally:
            WAVES.reset(mark)
        speed, code = "quick", QUICK_BUILD
        if self.regress:
            speed, code = "fast", runner.FAST_CODE
        build = place / "build"
        if design.build:
            build = folder / "shared" / design.build / f"{self.simulator}-{speed}"
        results = runner.run_bench(
            name=self.id,
            sources=design.sources,
            top=design.top,
            test_module=self.bench.test_module,
            simulator=self.simulator,
            build_dir=build,
            parameters=design.parameters,
            extra_env={**design.env, VARIABLE: json.dumps(dict(self.variant.parameters))},
            plusargs=design.plusargs,
            build_args=design.build_args,
            engine=design.engine,
            run_dir=place,
            testcase=testcase,
            seed=seed,
            waves=waves,
            code=code,
        )
        if results.waves:
            wave_lists.write(results.waves, design.sources, design.top, design.parameters)
        return results


def discover() -> tuple[Bench, ...]:
    """The bench of every module `tb/test_<name>.py`, by name.

    Raises:
        UserError: a module has no `BENCH`, or its name differs.
    """
    benches = []
    for path in sorted(Path(__file__).parent.glob("test_*.py")):
        name = path.stem.removeprefix("test_")
        bench = getattr(importlib.import_module(f"tb.{path.stem}"), "BENCH", None)
        if not isinstance(bench, Bench) or bench.name != name:
            raise UserError(f"{path}: BENCH must be a Bench of name '{name}'")
        benches.append(bench)
    return tuple(benches)


def cases(benches: Sequence[Bench]) -> tuple[Case, ...]:
    """Every variant of `benches` on each of its simulators."""
    return tuple(
        Case(bench, variant, simulator)
        for bench in benches
        for variant in bench.variants
        for simulator in variant.simulators or bench.simulators
    )


def current() -> dict[str, Any]:
    """Inside a cocotb test: parameters of the running variant."""
    return json.loads(os.environ.get(VARIABLE, "{}"))


def generator() -> np.random.Generator:
    """Inside a cocotb test: random numbers that repeat with the run's seed and the test's name.

    cocotb seeds Python's `random` anew for each test; this generator takes its seed from there.
    """
    return np.random.default_rng(random.getrandbits(128))
