"""Networks that cannot run end to end on a chip: one sentence for each, by layer, and at once."""

import re

import numpy as np
import pytest

from compiler.images import compile_images
from compiler.replicas import best_replicas
from spec import chip
from spec.chip import Chip
from spec.errors import UserError
from spec.formats import ReadMode
from spec.network import Input, Layer, Network, Pool, Weights, geometries

HERMES, TINY = chip.find("hermes"), chip.find("tiny")


def _conv(name: str, outputs: int, kernel: int = 1, **others: object) -> Layer:
    settings = {"stride": 1, "padding": kernel // 2, "relu": True} | others
    return Layer(
        name=name,
        kind="conv",
        outputs=outputs,
        kernel=kernel,
        gmax=400,
        output_scale=0.01,
        **settings,
    )


def _compile(
    size: tuple[int, int, int],
    layers: list[Layer],
    description: Chip = HERMES,
    replicas: dict[str, int] | None = None,
) -> None:
    height, width, channels = size
    made = Network(
        format=1, name="mine", dataset="random", weights="weights.npz", layers=tuple(layers),
        input=Input(height=height, width=width, channels=channels, scale=1 / 127),
    )  # fmt: skip
    weights = {
        layer.name: Weights(
            np.ones((shape.rows, layer.outputs), np.float32), np.zeros(layer.outputs, np.float32)
        )
        for layer, shape in zip(layers, geometries(made), strict=True)
    }
    compile_images(made, weights, description, ReadMode.ONE_PHASE, replicas)


DENSE = Layer(name="dense", kind="dense", outputs=10, relu=False, gmax=400, output_scale=0.01)
POOL = {"pool": Pool(kind="max", size=2, stride=2)}


@pytest.mark.parametrize(
    ("size", "layers", "replicas", "sentence"),
    [
        ((4, 6, 1), [_conv("a", 4), DENSE], {},
         "dense: its input has 4x6 pixels: allowed on a whole chip are as many rows as columns"),
        ((4, 4, 257), [_conv("a", 4)], {}, "a: 257 channels: allowed on a whole chip are 256"),
        ((4, 4, 1), [_conv("a", 4), _conv("b", 4)], {"b": 2},
         "b: 2 replicas: allowed for the last layer is 1"),
        ((4, 4, 1), [_conv("a", 4), _conv("b", 4)], {"a": 3},
         "a: 3 replicas: allowed are such that 4 columns of results are a multiple of 1 times"),
        ((8, 8, 1), [_conv("a", 4, pool=Pool(kind="max", size=2, stride=1)), _conv("b", 4)], {},
         "a: pool.stride = 1: allowed on a whole chip is pool.size (2)"),
        ((1, 1, 1), [_conv("a", 2049)], {},
         "a: its 2049 outputs take 9 tiles side by side: allowed for the last layer are as many as "
         "chip hermes has host outputs, 8"),
        ((3, 3, 1), [_conv("a", 4, padding=65_536), _conv("b", 4)], {},
         "a: window: padding = 65536: allowed is 0 to 255"),
        ((3, 3, 1), [_conv("a", 4, padding=1), _conv("b", 4)], {},
         "a: window: padding = 1: allowed is 0 to 0"),
        ((600, 600, 1), [_conv("a", 4, stride=300), _conv("b", 4)], {},
         "a: window: stride = 300: allowed is 1 to 255"),
        ((3000, 3000, 1), [_conv("a", 4), _conv("b", 4)], {},
         "a: window: height = 3000: allowed is 1 to 2047"),
        ((4, 4, 1), [_conv("a", 4), _conv("b", 4, residual="a")], {"b": 2},
         "b: replicas with a residual: allowed are layers without"),
        ((64, 64, 1), [_conv("a", 4, pool=Pool(kind="average", size=32, stride=32)),
                       _conv("b", 4)], {}, "a: pooling: size = 32: allowed is 1 to 16"),
        ((2, 2000, 1), [_conv("a", 8, **POOL), _conv("b", 4)], {},
         "a: pooling: a row of windows keeps 8000 values, 5952 too many: allowed is buffers.pool = "
         "2048"),
        ((4, 4, 1), [_conv("a", 4), _conv("b", 4), _conv("c", 4, input="a")], {},
         "b: nobody takes its output"),
    ],
)  # fmt: skip
def test_a_layer_that_cannot_be_run(size, layers, replicas, sentence: str) -> None:
    with pytest.raises(UserError, match=f"^network mine: layer {re.escape(sentence)}"):
        _compile(size, layers, replicas=replicas)


def test_a_kernel_that_registers_cannot_say() -> None:
    """A chip with a tile for each of its many row blocks: more than ship with the project."""
    wide = HERMES.model_copy(update={"grid": chip.Grid(rows=16, columns=17)})
    sentence = "network mine: layer a: window: kernel = 256: allowed is 1 to 255"
    with pytest.raises(UserError, match=f"^{sentence}$"):
        _compile((256, 256, 1), [_conv("a", 4, 256, padding=0)], wide)


def test_limits_that_are_the_firsts_and_not_the_others() -> None:
    """An image is one packet a pixel; a layer's pixels may be several."""
    _compile((4, 4, 256), [_conv("a", 257), _conv("b", 4)])


def test_a_residual_that_is_the_layers_own_input() -> None:
    """It runs where a chain's first tile gathers from the channels that it adds, not elsewhere."""
    array = {"array": chip.Array(rows=16, columns=16), "gdpu": chip.Gdpu(slices=8, units=4)}
    small = HERMES.model_copy(update=array)
    layers = [_conv("a", 16), _conv("b", 16, residual="a"), _conv("c", 4)]
    _compile((4, 4, 1), layers, small)
    layers = [_conv("a", 20), _conv("b", 20, 3, residual="a"), _conv("c", 4)]
    with pytest.raises(UserError, match="layer b: residual a is its input, too, and a tile would"):
        _compile((4, 4, 1), layers, small)


def test_automatic_replicas_of_what_cannot_be_compiled_are_none() -> None:
    made = Network(
        format=1, name="mine", dataset="random", weights="weights.npz",
        layers=(_conv("a", 4, 3), _conv("b", 4, 3)),
        input=Input(height=5, width=5, channels=1, scale=1 / 127),
    )  # fmt: skip
    weights = {
        "a": Weights(np.ones((9, 4), np.float32), np.zeros(4, np.float32)),
        "b": Weights(np.ones((36, 4), np.float32), np.zeros(4, np.float32)),
    }
    # Five columns are no multiple of two.
    assert best_replicas(made, weights, HERMES, ReadMode.ONE_PHASE) == {}
