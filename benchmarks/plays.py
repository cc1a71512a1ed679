"""Simulations that are measured, each in a process of its own, by a kept state of the library."""

import json
import shutil
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.one_thread import NO_FIGURES, Failed, measured_elsewhere
from benchmarks.state import State
from caduceus.spec.formats import ReadMode

PLAY = Path(__file__).with_name("play.py")
MINUTES = 20
"""After so many, something is wrong."""
ONE, EIGHT, ALL = (1, 252, 224), (3, 224, 224), (3, 224, 2048)
"""Kernel, channels and outputs of layers that fill 1, 8 and 64 tiles of 256x256."""
CLOCKS = {ONE: 60_000, EIGHT: 40_000, ALL: 20_000}
"""`sync` cycles of a run of a layer, about: a second or more of the machine's time."""
CLOCKS_PER_VECTOR = {
    ("hermes", ReadMode.ONE_PHASE): 260,
    ("hermes", ReadMode.FOUR_PHASE): 260,
    ("hermes_wide", ReadMode.ONE_PHASE): 54,
    ("hermes_wide", ReadMode.FOUR_PHASE): 208,
}
"""Back to back."""


@dataclass(frozen=True)
class Task:
    """A simulation.

    Attributes:
        chip: name of the chip description.
        read_mode: of all tiles.
        inputs: number of images or vectors.
        network: name of the network, or None for a layer.
        layer: kernel, channels and outputs of a layer with random weights.
        simulator: that runs it, or `golden` for the golden model alone.
        threads: number of threads that evaluate tiles, where a state has several.
    """

    chip: str
    read_mode: ReadMode
    inputs: int
    network: str | None = None
    layer: tuple[int, int, int] | None = None
    simulator: str = "verilator"
    threads: int = 1


@dataclass(frozen=True)
class Measured:
    """What was measured.

    Attributes:
        figures: single values of `caduceus.sim.result.Figures`, and `cycles` of `sync`.
        threads: number of threads; None if the state has no choice.
        wall_seconds, cpu_seconds: of the run with all around it: build, load, comparison.
    """

    figures: dict[str, Any]
    threads: int | None
    wall_seconds: float
    cpu_seconds: float

    @property
    def outside(self) -> float:
        """Wall-clock seconds besides the play."""
        return self.wall_seconds - self.figures["simulate_seconds"]


def full(chip: str, mode: ReadMode, layer: tuple[int, int, int], threads: int) -> Task:
    """A layer of random weights with about `CLOCKS` cycles of inputs back to back."""
    vectors = CLOCKS[layer] // CLOCKS_PER_VECTOR[chip, mode]
    return Task(chip, mode, vectors, layer=layer, threads=threads)


class Differs(Failed):
    """RTL and golden model differ."""


def measured(state: State, task: Task) -> Measured:
    """Have `state` run `task`.

    Raises:
        Differs: in a value.
        Failed: it has no figures.
    """
    words = json.dumps(asdict(task))
    output = measured_elsewhere(
        Path(sys.executable), state.tree, "-P", str(PLAY), words,
        minutes=MINUTES, variables=state.variables(task.chip),
    )  # fmt: skip
    try:
        found = Measured(**output)
        mismatch = found.figures["first_mismatch"]
    except (TypeError, KeyError):
        raise Failed(NO_FIGURES) from None
    if mismatch:
        raise Differs(f"RTL and golden model differ: {mismatch}")
    return found


def built(state: State, chip: str) -> dict[str, Any]:
    """Build a chip from nothing, or recall how long that took.

    Returns:
        `chip`, `state`, and wall-clock and processor `seconds` of writing Verilog, Verilator and
        the C++ compiler: of a run that builds, less the same run again.

    Raises:
        Failed: the state cannot.
    """
    known = state.notes().get("builds", {})
    if chip not in known:
        task = full(chip, ReadMode.ONE_PHASE, ONE, 1)
        shutil.rmtree(state.build(chip), ignore_errors=True)
        # The golden model compiles its loops at its first run; set-up has that done.
        measured(state, replace(task, simulator="golden"))
        cold, warm = measured(state, task), measured(state, task)
        known[chip] = {
            "build_seconds": cold.wall_seconds - warm.wall_seconds,
            "build_cpu_seconds": cold.cpu_seconds - warm.cpu_seconds,
        }
        state.note(builds=known)
    return {"chip": chip, "state": str(state), **known[chip]}
