"""Inputs of a program, shared among several processes."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from caduceus.sim.comparison import results_per_input
from caduceus.sim.job import Job
from caduceus.spec.errors import UserError
from caduceus.spec.program import Program, TileProgram


@dataclass(frozen=True)
class Share:
    """The part of a simulation that one of several processes does.

    Attributes:
        first: number of its first image or vector; of sequences, of its first run: each runs once
            step by step, then each once more at full speed (`sim.schedule.Twice`).
        count: number of its images, vectors or runs; None for all from the first one on.
        job: number of the process; None if there is one.
    """

    first: int = 0
    count: int | None = None
    job: int | None = None

    @classmethod
    def of(cls, job: Job) -> "Share":
        """That of a job."""
        return cls(job.first, job.count, job.job)


ALL = Share()


def units_of(program: Program, x: NDArray[np.int8]) -> int:
    """Number of images, vectors, or runs of all sequences, in `shaped` inputs."""
    return 2 * len(x) if program.slices else len(x)


def shares(units: int, jobs: int) -> list[Share]:
    """Neighboring units for each of `jobs` processes, or one unit for each if there are fewer.

    Raises:
        UserError: `jobs` is not positive.
    """
    if jobs < 1:
        raise UserError(f"jobs: got {jobs}, expected 1 or more")
    jobs = min(jobs, units)
    if jobs == 1:
        return [Share(0, units)]
    each, more = divmod(units, jobs)
    firsts = [number * each + min(number, more) for number in range(jobs + 1)]
    return [
        Share(first, end - first, number) for number, (first, end) in enumerate(pairwise(firsts))
    ]


def reads_before(program: Program, x: NDArray[np.int8], tile: TileProgram, share: Share) -> int:
    """Reads of a tile before a share; the array numbers them in 32 bits."""
    each = x.shape[1] if program.slices else results_per_input(tile)
    return share.first * each % (1 << 32)
