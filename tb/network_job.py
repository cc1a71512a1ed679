"""A network through one tile in RTL: what is run, where its files are, and what came out."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from sim.job_file import JobFile
from spec.program import Program

VARIABLE = "CADUCEUS_JOB"
"""Environment variable that names the job's folder to the simulation."""

PLUSARGS = ("+pcm_state=states", "+streams=streams")
"""Folders under the job's folder, the simulation's working folder."""


@dataclass(frozen=True)
class Job(JobFile, name="job.json"):
    """What to run.

    Attributes:
        chip, network: names, or paths of descriptions.
        read_mode: a `spec.formats.ReadMode`.
        clock_half_periods_ps: of `sync` and `mvm`.
    The images are beside it in `images.npy`, uint8 [n, height, width], and each layer's column
    constants, which depend on the devices, in `<layer>.constants.npy`.
    """

    chip: str
    network: str
    read_mode: str
    clock_half_periods_ps: Sequence[int]


def save_constants(program: Program, folder: Path) -> None:
    """Write what `with_constants` reads."""
    for layer in program.layers:
        np.save(folder / f"{layer.layer.name}.constants.npy", layer.config.constants)


def with_constants(program: Program, folder: Path) -> Program:
    """The program with the column constants of the job in `folder`."""
    layers = tuple(
        replace(
            layer,
            config=replace(
                layer.config, constants=np.load(folder / f"{layer.layer.name}.constants.npy")
            ),
        )
        for layer in program.layers
    )
    return replace(program, layers=layers)


@dataclass(frozen=True)
class Outcome(JobFile, name="outcome.json"):
    """What came of it.

    Attributes:
        values_compared, mismatches: INT8 activations, over all layers.
        first_mismatch: where, expected and got; empty if there is none.
        cycles: rising edges of `sync` and `mvm` while vectors were in flight.
        mvms: matrix-vector multiplications that the tile counted.
        simulate_seconds: wall-clock time of the simulation, without its building.
        predictions: class of each image, by the RTL's last layer.
    """

    values_compared: int
    mismatches: int
    first_mismatch: str
    cycles: dict[str, int]
    mvms: int
    simulate_seconds: float
    predictions: list[int]
