"""Speed of other models of analog tiles, measured by an interpreter of their own.

`python tools/setup.py --peers` makes that interpreter. Without it there is no figure but a line
that says so.
"""

from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.one_thread import NO_FIGURES, Failed, measured_elsewhere

REPOSITORY = Path(__file__).resolve().parent.parent
PYTHON = REPOSITORY / ".venv-peers" / "bin" / "python"
"""Where `tools/setup.py --peers` leaves the interpreter."""

NOT_INSTALLED = "aihwkit: not installed (python tools/setup.py --peers)"
MINUTES = 15
"""After so many, something is wrong."""

_COLUMNS = {"name": str, "noise": str, "computes": str, "batch": int, "rate": int}


@dataclass(frozen=True)
class Peers:
    """What was measured of the peers.

    Attributes:
        rows: figures: `name`, `noise`, `computes`, `batch`, and `rate` in MVM/s.
        missing: a line for each that has none.
    """

    rows: list[dict] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


def run(seconds: float = 0.1, python: Path | None = None) -> Peers:
    """Figures of the peers that are there; whatever goes wrong is a line of `missing`.

    Args:
        seconds: processor time of one measurement.
        python: an interpreter that has the peers; `PYTHON` by default.
    """
    python = python or PYTHON
    if not python.exists():
        return Peers(missing=[NOT_INSTALLED])
    try:
        found = measured_elsewhere(
            python, REPOSITORY, "-m", "benchmarks.peer_tiles", "--seconds", str(seconds),
            minutes=MINUTES,
        )  # fmt: skip
        return _checked(found)
    except Failed as error:
        reason = str(error)
    except (ValueError, TypeError, KeyError):
        reason = NO_FIGURES
    return Peers(missing=[f"aihwkit: not measured ({python}: {reason})"])


def _checked(found: object) -> Peers:
    """What was printed, if it is figures: an interpreter may print anything.

    Raises:
        ValueError, TypeError, KeyError: it is something else.
    """
    peers = Peers([{key: row[key] for key in _COLUMNS} for row in found["rows"]], found["missing"])
    kinds = [(row[key], kind) for row in peers.rows for key, kind in _COLUMNS.items()]
    kinds += [(peers.missing, list), *((line, str) for line in peers.missing)]
    for value, kind in kinds:
        if not isinstance(value, kind):
            raise TypeError(f"{value!r} is not {kind.__name__}")
    return peers
