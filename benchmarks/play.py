"""One simulation, by whatever state of the library Python finds first.

    python -P benchmarks/play.py TASK

TASK is JSON, see `benchmarks.plays.Task`; prints one line of JSON. The file is run by its path
from a folder of its own, so that an earlier state of the library can run it: it imports nothing of
the project besides the library's public parts.
"""

import dataclasses
import inspect
import json
import resource
import sys
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from caduceus.spec.network import Network


def play(task: dict) -> dict:
    """Compile, simulate, compare.

    Returns:
        `figures`, the result's single values and its clock cycles; `threads`, None if the state has
        no choice; wall-clock and processor `seconds` of the simulation with all around it.
    """
    import caduceus
    import caduceus.hdl
    from caduceus.data import inputs

    tree = Path(sys.path[0]).resolve()
    for package in (caduceus, caduceus.hdl):
        if not Path(package.__file__).resolve().is_relative_to(tree):
            raise SystemExit(f"{package.__name__} is imported from {package.__file__}")
    warnings.simplefilter("ignore")
    network = caduceus.Network.find(task["network"]) if task["network"] else _layer(*task["layer"])
    program = caduceus.compile(network, caduceus.Chip.find(task["chip"]), task["read_mode"])
    x = program.vectors(inputs(network, task["inputs"]).x)
    chosen = {"simulator": task["simulator"]}
    has_threads = "threads" in inspect.signature(caduceus.Simulation).parameters
    if has_threads:
        chosen["threads"] = task["threads"]
    began, spent = time.monotonic(), _processor_seconds()
    if task["simulator"] == "golden":
        result = caduceus.Golden(program).run(x)
    else:
        result = caduceus.Simulation(program, **chosen).run(x)
    wall, cpu = time.monotonic() - began, _processor_seconds() - spent
    figures = {
        key: value
        for key, value in dataclasses.asdict(result.figures).items()
        if isinstance(value, int | float | str | None)
    }
    return {
        "figures": figures | {"cycles": (result.figures.cycles or {}).get("sync")},
        "threads": task["threads"] if has_threads else None,
        "wall_seconds": wall,
        "cpu_seconds": cpu,
    }


def _layer(size: int, channels: int, outputs: int) -> "Network":
    from caduceus.spec.network import Network, Weights
    from train.random_layer import random_layer

    graph, arrays = random_layer("bench", size, channels, outputs, gmax=320)
    return Network(
        graph, {"conv": Weights(arrays["conv.weight"].astype("f4"), arrays["conv.bias"])}
    )


def _processor_seconds() -> float:
    """Of this process and of all that it started."""
    used = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(each.ru_utime + each.ru_stime for each in used)


if __name__ == "__main__":
    print(json.dumps(play(json.loads(sys.argv[1]))))
