"""Speed of the peers' tiles, measured by an interpreter that has the peers, and nothing of ours.

`python -m benchmarks.peer_tiles` prints JSON as its last line: `rows`, and a sentence in `missing`
for what cannot be measured. All is 256x256 with inputs in -1 to 1, one thread, nothing for
gradients.
"""

import argparse
import json
from collections.abc import Callable, Iterator
from functools import partial
from importlib.metadata import version

import torch

from benchmarks.rate import rate

SIZE = 256
BATCHES = (1, 1024)
STEPS = 254
"""Steps of inputs and outputs: INT8 from -127 to 127."""
OUT_NOISE = 0.04
"""Standard deviation at each output of a tile, as in aihwkit's preset for PCM."""
AGE = 3600.0
"""Seconds from programming to the reads."""
QUANTISED = "float, quantised"

Layer = Callable[[torch.Tensor], torch.Tensor]


def _weights() -> torch.Tensor:
    """Normal, limited to three standard deviations, which become 1."""
    return torch.randn(SIZE, SIZE).clamp(-3, 3) / 3


def _aihwkit() -> Iterator[tuple[str, Layer]]:
    """Tiles with devices as on the Hermes chip, programmed and drifted."""
    from aihwkit.inference.noise.hermes import HermesNoiseModel
    from aihwkit.nn import AnalogLinear
    from aihwkit.simulator.configs import InferenceRPUConfig, TorchInferenceRPUConfig
    from aihwkit.simulator.parameters.enums import BoundManagementType, NoiseManagementType

    for name, kind in (
        (", C++ tile", InferenceRPUConfig),
        (", PyTorch tile", TorchInferenceRPUConfig),
    ):
        config = kind()
        forward = config.forward
        forward.inp_res = forward.out_res = 1 / STEPS
        forward.out_noise = OUT_NOISE
        # Inputs have a fixed range here, as the chip's have: nothing is scaled or done again.
        forward.noise_management = NoiseManagementType.NONE
        forward.bound_management = BoundManagementType.NONE
        config.noise_model = HermesNoiseModel(num_devices=2)
        layer = AnalogLinear(SIZE, SIZE, bias=False, rpu_config=config)
        layer.set_weights(_weights())
        layer.eval()
        layer.program_analog_weights()
        layer.drift_analog_weights(AGE)
        yield name, layer


def _lightning() -> Iterator[tuple[str, Layer]]:
    """The layer of aihwkit-lightning; it adds noise in training only."""
    from aihwkit_lightning.nn import AnalogLinear
    from aihwkit_lightning.simulator.configs import TorchInferenceRPUConfig

    config = TorchInferenceRPUConfig()
    config.forward.inp_res = config.forward.out_res = STEPS
    config.forward.out_bound = 12.0
    config.pre_post.input_range.enable = True
    config.pre_post.input_range.init_value = 1.0
    config.pre_post.input_range.init_from_data = 0
    layer = AnalogLinear(SIZE, SIZE, bias=False, rpu_config=config)
    layer.set_weights(_weights())
    layer.eval()
    yield "", layer


def _torch() -> Iterator[tuple[str, Layer]]:
    """The product alone: what no model of a tile can be faster than in floating point."""
    yield ", Linear", torch.nn.Linear(SIZE, SIZE, bias=False)


PEERS = (
    ("aihwkit", _aihwkit, "output", QUANTISED),
    ("aihwkit-lightning", _lightning, "none", QUANTISED),
    ("torch", _torch, "none", "float"),
)
"""Package, what makes its layers, their noise, what they compute."""


def measure(seconds: float) -> dict[str, list]:
    """`rows` with `name`, `noise`, `computes`, `batch`, `rate` in MVM/s; and `missing`."""
    torch.set_num_threads(1)
    torch.manual_seed(1)
    x = torch.rand(max(BATCHES), SIZE) * 2 - 1
    rows, missing = [], []
    for package, layers, noise, computes in PEERS:
        try:
            for name, layer in layers():
                row = {"name": f"{package} {version(package)}{name}", "noise": noise}
                for batch in BATCHES:
                    with torch.no_grad():
                        calls = rate(partial(layer, x[:batch]), seconds)
                    figure = {"computes": computes, "batch": batch, "rate": round(batch * calls)}
                    rows.append(row | figure)
        except Exception as error:  # whatever a package that does not fit may raise
            words = " ".join(str(error).split())
            missing.append(f"{package}: not measured ({type(error).__name__}: {words})")
    return {"rows": rows, "missing": missing}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Measure the peers' tiles, print JSON.")
    parser.add_argument("--seconds", type=float, default=0.1, help="length of one measurement")
    print(json.dumps(measure(parser.parse_args().seconds)))
