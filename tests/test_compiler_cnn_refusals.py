"""Networks that cannot run end to end on a chip: one sentence for each, by layer, and at once."""

import re

import pytest
from cnn_networks import conv, dense, with_ones

from caduceus.compiler.network import compile_network
from caduceus.compiler.replicas import best_replicas
from caduceus.spec import chip, formats
from caduceus.spec.chip import Chip
from caduceus.spec.errors import UserError
from caduceus.spec.formats import ReadMode
from caduceus.spec.graph import Layer, Pool

HERMES = Chip.find("hermes")


def _compile(
    size: tuple[int, int, int],
    layers: list[Layer],
    description: Chip = HERMES,
    replicas: dict[str, int] | None = None,
) -> None:
    compile_network(with_ones(size, layers), description, ReadMode.ONE_PHASE, replicas)


POOL = Pool(kind="max", size=2, stride=2)


@pytest.mark.parametrize(
    ("size", "layers", "replicas", "sentence"),
    [
        ((4, 6, 1), [conv("a", 4), dense(10)], {},
         "dense: its input has 4x6 pixels: allowed on a whole chip are as many rows as columns"),
        ((4, 4, 257), [conv("a", 4)], {}, "a: 257 channels: allowed on a whole chip are 256"),
        ((4, 4, 1), [conv("a", 4), conv("b", 4)], {"b": 2},
         "b: 2 replicas: allowed for the last layer is 1"),
        ((4, 4, 1), [conv("a", 4), conv("b", 4)], {"a": 3},
         "a: 3 replicas: expected such that 4 columns of results are a multiple of 1 times"),
        ((8, 8, 1), [conv("a", 4, pool=Pool(kind="max", size=2, stride=1)), conv("b", 4)], {},
         "a: pool.stride = 1: allowed on a whole chip is pool.size (2)"),
        ((2, 2, 1), [conv("a", 2049)], {},
         "a: its 2049 outputs take 9 tiles side by side: allowed for the last layer are as many as "
         "chip hermes has host outputs, 8"),
        ((3, 3, 1), [conv("a", 4, padding=65_536), conv("b", 4)], {},
         "a: window: padding: got 65536, expected 0 to 255"),
        ((3, 3, 1), [conv("a", 4, padding=1), conv("b", 4)], {},
         "a: window: padding: got 1, expected 0 to 0"),
        ((600, 600, 1), [conv("a", 4, stride=300), conv("b", 4)], {},
         "a: window: stride: got 300, expected 1 to 255"),
        ((3000, 3000, 1), [conv("a", 4), conv("b", 4)], {},
         "a: window: height: got 3000, expected 1 to 2047"),
        ((4, 4, 1), [conv("a", 4), conv("b", 4, residual="a")], {"b": 2},
         "b: replicas with a residual: expected layers without"),
        ((64, 64, 1), [conv("a", 4, pool=Pool(kind="average", size=32, stride=32)),
                       conv("b", 4)], {}, "a: pooling: size: got 32, expected 1 to 16"),
        ((2, 2000, 1), [conv("a", 8, pool=POOL), conv("b", 4)], {},
         "a: pooling: values of a row of windows: got 8000, expected at most buffers.pool, "
         "2048"),
        ((4, 4, 1), [conv("a", 4), conv("b", 4), conv("c", 4, input="a")], {},
         "b: nobody takes its output"),
    ],
)  # fmt: skip
def test_a_layer_that_cannot_be_run(size, layers, replicas, sentence: str) -> None:
    with pytest.raises(UserError, match=f"^network mine: layer {re.escape(sentence)}"):
        _compile(size, layers, replicas=replicas)


def test_a_kernel_that_registers_cannot_say() -> None:
    """A chip with a tile for each of its many row blocks: more than ship with the project."""
    wide = HERMES.model_copy(update={"grid": chip.Grid(rows=16, columns=17)})
    sentence = "network mine: layer a: window: kernel: got 256, expected 1 to 255"
    with pytest.raises(UserError, match=f"^{sentence}$"):
        _compile((256, 256, 1), [conv("a", 4, kernel=256), conv("b", 4)], wide)


def test_limits_that_are_the_firsts_and_not_the_others() -> None:
    """An image is one packet a pixel; a layer's pixels may be several."""
    _compile((4, 4, 256), [conv("a", 257), conv("b", 4)])


def test_a_residual_that_is_the_layers_own_input() -> None:
    """It runs where a chain's first tile gathers from the channels that it adds, not elsewhere."""
    array = {"array": chip.Array(rows=16, columns=16), "gdpu": chip.Gdpu(slices=8, units=4)}
    small = HERMES.model_copy(update=array)
    layers = [conv("a", 16), conv("b", 16, residual="a"), conv("c", 4)]
    _compile((4, 4, 1), layers, small)
    layers = [conv("a", 20), conv("b", 20, kernel=3, padding=1, residual="a"), conv("c", 4)]
    with pytest.raises(UserError, match="layer b: residual a is its input, too, and a tile would"):
        _compile((4, 4, 1), layers, small)


def test_automatic_replicas_of_what_cannot_be_compiled_are_none() -> None:
    layers = conv("a", 4, kernel=3, padding=1), conv("b", 4, kernel=3, padding=1)
    # Five columns are no multiple of two.
    made = with_ones((5, 5, 1), layers)
    assert best_replicas(made, HERMES, ReadMode.ONE_PHASE, formats.CELL_MAX) == {}
