"""Random configurations and pre-activations for a GDPU."""

import numpy as np
from numpy.typing import NDArray

from caduceus.sim.scoreboard import named
from caduceus.spec import formats
from caduceus.spec.gdpu import GATES
from caduceus.spec.program import GdpuConfig
from tb.test_fp16 import corners

KINDS = ("plausible", "corners", "any")
"""Kinds of constants: as of a trained network; at binary16 corner cases; arbitrary bits."""


def half(values: NDArray) -> NDArray[np.uint16]:
    """Bits of the nearest binary16 values."""
    return np.asarray(values).astype(np.float16).view(np.uint16)


def random_bits(random: np.random.Generator, kind: str, size: int) -> NDArray[np.uint16]:
    """Random binary16 values."""
    if kind == "corners":
        return random.choice(corners(), size)
    return random.integers(0, 1 << formats.FP16_BITS, size, dtype=np.uint16)


def random_config(random: np.random.Generator, units: int, kind: str) -> GdpuConfig:
    """Constants of one of `KINDS`; only some are extreme, else nearly every result is NaN."""
    gates = len(GATES)
    constants = np.concatenate(
        [
            half(random.uniform(0.005, 0.04, gates)),
            half(random.uniform(-0.5, 0.5, gates)),
            half(random.uniform(100, 140, 1)),
            half(random.uniform(-10, 10, 1)),
        ]
    )
    if kind != "plausible":
        strange = random.random(len(constants)) < 0.3
        constants = np.where(strange, random_bits(random, kind, len(constants)), constants)
    bits = [int(value) for value in constants]
    return GdpuConfig(
        units, tuple(bits[:gates]), tuple(bits[gates : 2 * gates]), bits[-2], bits[-1]
    )


def random_gates(random: np.random.Generator, units: int) -> NDArray[np.int8]:
    """Pre-activations [4 * units] of all magnitudes, -128 included."""
    return random.integers(-128, 128, len(GATES) * units, dtype=np.int8)


def described(
    config: GdpuConfig,
    unit: int | None = None,
    gates: NDArray[np.int8] | None = None,
    cell: NDArray[np.uint16] | None = None,
) -> str:
    """A configuration by name; with a unit, also its pre-activations and its cell state before."""
    values: dict[str, object] = {}
    if unit is not None:
        mine = gates[len(GATES) * unit :][: len(GATES)].tolist()
        values |= {f"gate_{name}": value for name, value in zip(GATES, mine, strict=True)}
        values["cell"] = f"{int(cell[unit]):#06x}"
    for name in ("input_scale", "input_offset"):
        for gate, bits in zip(GATES, getattr(config, name), strict=True):
            values[f"{name}_{gate}"] = f"{bits:#06x}"
    for name in ("output_scale", "output_offset"):
        values[name] = f"{getattr(config, name):#06x}"
    return named(units=config.units, **values)
