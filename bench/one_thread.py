"""Measurements in a process of its own with one thread, so that other cores do not count."""

import json
import os
import subprocess
import sys

# numpy's OpenBLAS reads the first; the others serve builds of numpy with another library.
_VARIABLES = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")


def measured(module: str, *arguments: str) -> list[dict]:
    """What `python -m module --json arguments` prints, run with one thread for linear algebra."""
    command = [sys.executable, "-m", module, "--json", *arguments]
    environment = os.environ | dict.fromkeys(_VARIABLES, "1")
    finished = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
    return json.loads(finished.stdout)
