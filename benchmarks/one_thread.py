"""Measurements in a process of its own with one thread, so that other cores do not count."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

# numpy's OpenBLAS reads the first; the others serve builds of numpy and PyTorch with other
# libraries.
_VARIABLES = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
NO_FIGURES = "it printed no figures"


def measured(module: str, *arguments: str) -> list[dict]:
    """What `python -m module --json arguments` prints, run with one thread for linear algebra."""
    command = [sys.executable, "-m", module, "--json", *arguments]
    finished = subprocess.run(command, env=environment(), stdout=subprocess.PIPE, check=True)
    return json.loads(finished.stdout)


class Failed(Exception):
    """Another interpreter has no figures; the text says why."""


def measured_elsewhere(
    python: Path,
    folder: Path,
    *arguments: str,
    minutes: float,
    variables: Mapping[str, str] | None = None,
) -> Any:
    """What another interpreter prints as its last line, run with one thread for linear algebra.

    Args:
        python: the interpreter.
        folder: its working folder.
        arguments: of the interpreter.
        minutes: after so many it is ended.
        variables: further environment variables.

    Raises:
        Failed: it does not start, fails, takes longer, or does not print JSON.
    """
    try:
        finished = subprocess.run(
            [python, *arguments], cwd=folder, env=environment() | dict(variables or {}),
            timeout=60 * minutes, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            errors="replace", check=True,
        )  # fmt: skip
        return json.loads("".join(finished.stdout.splitlines()[-1:]))
    except subprocess.CalledProcessError as error:
        lines = [line.strip() for line in error.stderr.splitlines() if line.strip()]
        reason = lines[-1] if lines else f"exit status {error.returncode}"
    except subprocess.TimeoutExpired:
        reason = f"no end after {minutes} minutes"
    except OSError as error:
        reason = error.strerror or "it does not start"
    except ValueError:
        reason = NO_FIGURES
    raise Failed(reason)


def environment() -> dict[str, str]:
    """This process's variables, and one thread for linear algebra."""
    return os.environ | dict.fromkeys(_VARIABLES, "1")
