"""Job of a simulated chip that serves a host: chip, clocks and socket."""

from dataclasses import dataclass

from caduceus.sim.job_file import JobFile

VARIABLE = "CADUCEUS_SERVED_JOB"
"""Environment variable with the path of the job folder."""


@dataclass(frozen=True)
class ServedJob(JobFile, name="job.json"):
    """The job.

    Attributes:
        chip: name, or path of the description.
        clock_half_periods_ps: of `sync` and `mvm`.
        socket: path of the Unix socket on which the host waits.
    """

    chip: str
    clock_half_periods_ps: list[int]
    socket: str
