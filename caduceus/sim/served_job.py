"""A chip in a simulation that serves a host: what is simulated, and where it is reached."""

from dataclasses import dataclass

from caduceus.sim.job_file import JobFile

VARIABLE = "CADUCEUS_SERVED_JOB"
"""Environment variable that names the job's folder to the simulation."""


@dataclass(frozen=True)
class ServedJob(JobFile, name="job.json"):
    """What to simulate.

    Attributes:
        chip: name, or path of the description.
        clock_half_periods_ps: of `sync` and `mvm`.
        socket: path of the Unix socket on which the host waits.
    """

    chip: str
    clock_half_periods_ps: list[int]
    socket: str
