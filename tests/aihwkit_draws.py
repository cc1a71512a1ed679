"""Run by an interpreter that has aihwkit: conductances that its noise models draw.

    python aihwkit_draws.py REQUEST.json ANSWER.npz

The request has for each model `name`, `full` (code of g_max), `levels` (target codes), and for all
`count` and `ages` in seconds. The answer has for each, in codes and not rounded:

    <name>.programmed   [levels, count]
    <name>.exponent     [levels, count]         drift exponents
    <name>.aged         [ages, levels, count]   programmed, drifted and read
    <name>.read         [ages, levels, count]   read noise alone: targets, read at that age
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
from aihwkit.inference.noise.hermes import HermesNoiseModel
from aihwkit.inference.noise.pcm import PCMLikeNoiseModel

MODELS = {
    "generic": lambda: PCMLikeNoiseModel(g_max=25.0),
    "hermes_odp": lambda: HermesNoiseModel(num_devices=1),
    "hermes_tdp": lambda: HermesNoiseModel(num_devices=2),
}


def main(request: Path, answer: Path) -> None:
    wanted = json.loads(request.read_text(encoding="utf-8"))
    torch.manual_seed(1)
    found = {}
    for name, asked in wanted["models"].items():
        model = MODELS[name]()
        unit = model.g_max / asked["full"]
        levels = torch.tensor(asked["levels"], dtype=torch.float64)[:, None] * unit
        target = levels.repeat(1, wanted["count"])
        # The drawing functions change what they are given.
        programmed = model.apply_programming_noise_to_conductance(target.clone())
        exponent = model.generate_drift_coefficients(target.clone())
        arrays = {
            "programmed": programmed / unit,
            "exponent": exponent,
            "aged": torch.stack(
                [
                    model.apply_drift_noise_to_conductance(programmed.clone(), exponent, age)
                    for age in wanted["ages"]
                ]
            )
            / unit,
            "read": torch.stack(
                [
                    model.apply_drift_noise_to_conductance(
                        target.clone(), torch.zeros_like(target), age
                    )
                    for age in wanted["ages"]
                ]
            )
            / unit,
        }
        found |= {f"{name}.{key}": np.asarray(array, "<f4") for key, array in arrays.items()}
    np.savez(answer, **found)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
