"""Measurements in a process of its own with one thread, so that other cores do not count."""

import json
import os
import subprocess
import sys
from pathlib import Path

# numpy's OpenBLAS reads the first; the others serve builds of numpy and PyTorch with other
# libraries.
_VARIABLES = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")


def measured(module: str, *arguments: str) -> list[dict]:
    """What `python -m module --json arguments` prints, run with one thread for linear algebra."""
    command = [sys.executable, "-m", module, "--json", *arguments]
    finished = subprocess.run(command, env=environment(), stdout=subprocess.PIPE, check=True)
    return json.loads(finished.stdout)


def measured_elsewhere(
    python: Path, folder: Path, module: str, *arguments: str, timeout: float
) -> object:
    """What another interpreter's `-m module arguments` prints as its last line, in the same way.

    Args:
        python: the interpreter.
        folder: where its modules are looked for.
        module: what it runs.
        arguments: of the module.
        timeout: seconds after which it is ended.

    Raises:
        OSError: it does not start.
        subprocess.SubprocessError: it fails, or takes longer.
        ValueError: it does not print JSON.
    """
    finished = subprocess.run(
        [python, "-m", module, *arguments], cwd=folder, env=environment(), timeout=timeout,
        stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=True,
    )  # fmt: skip
    return json.loads("".join(finished.stdout.splitlines()[-1:]))


def environment() -> dict[str, str]:
    """This process's variables, and one thread for linear algebra."""
    return os.environ | dict.fromkeys(_VARIABLES, "1")
