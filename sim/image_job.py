"""Images through a whole chip in RTL: what came out."""

from dataclasses import dataclass
from pathlib import Path

from sim.chip_job import PLUSARGS as CHIP_PLUSARGS
from sim.job_file import JobFile
from spec.program import ChipProgram, TileProgram
from spec.program_codes import computing

PLUSARGS = (*CHIP_PLUSARGS, "+record=record")
"""Folders under the job's folder, the simulation's working folder."""
RECORD = Path("record")
"""What every tile did, see `sim.recording`."""


def results(tile: TileProgram) -> int:
    """Results that a tile makes of an image."""
    return tile.config.window.results if tile.config.window else 1


def busiest(program: ChipProgram) -> tuple[TileProgram, int]:
    """The tile that makes the most results of an image, and how many take its layer's in turn.

    Progress is told in the pixels of its layer's results.
    """
    tiles = computing(program)
    found = max(tiles, key=results)
    return found, 1 + max(t.block.replica for t in tiles if t.block.layer == found.block.layer)


@dataclass(frozen=True)
class ImageOutcome(JobFile, name="outcome.json"):
    """What came of a job whose inputs are images, int8 [n, pixels, channels].

    Attributes:
        values_compared, mismatches: every tile's results, what it sent, and what left the chip.
        first_mismatch: where, expected and got; empty if there is none.
        outputs: [images][values], what left the chip.
        cycles: rising edges of `sync` and `mvm` from the first input on.
        began: clock of `sync` in which the chip took its first beat.
        ends: for every image, the clock in which its last output beat left.
        mvms, busy, stalled: MVMs, and busy and stalled cycles, by tile number.
        start_ps: simulated time at which the first beat was sent, about.
        simulate_seconds: wall-clock time from the first input on.
        golden_seconds: that the golden model took for the same images, every tensor kept.
        peak_mib: most memory that the simulation had in use, Python and golden model included.
    """

    values_compared: int
    mismatches: int
    first_mismatch: str
    outputs: list[list[int]]
    cycles: dict[str, int]
    began: int
    ends: list[int]
    mvms: dict[str, int]
    busy: dict[str, int]
    stalled: dict[str, int]
    start_ps: int
    simulate_seconds: float
    golden_seconds: float
    peak_mib: float
