"""Networks that cannot run end to end on a chip: one sentence for each, by layer, and at once."""

import re

import pytest
from cnn_networks import conv, dense, with_ones

from caduceus.compiler.content import Scaling
from caduceus.compiler.network import compile_network
from caduceus.compiler.replicas import best_replicas
from caduceus.spec import chip
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
         "dense: input height x width: got 4x6, expected a square for a dense layer"),
        ((4, 4, 257), [conv("a", 4)], {}, "a: input channels: got 257, expected at most 256"),
        ((4, 4, 1), [conv("a", 4), conv("b", 4)], {"b": 2},
         "b: replicas: got 2, expected 1 for the last layer"),
        ((4, 4, 1), [conv("a", 4), conv("b", 4)], {"a": 3},
         "a: output width 4 is not a multiple of pool x replicas (1 x 3)"),
        ((8, 8, 1), [conv("a", 4, pool=Pool(kind="max", size=2, stride=1)), conv("b", 4)], {},
         "a: pool.stride: got 1, expected pool.size (2)"),
        ((2, 2, 1), [conv("a", 2049)], {},
         "a: outputs: got 2049, which take 9 tiles side by side, expected at most 8 tiles for the "
         "last layer, the host outputs of chip hermes"),
        ((3, 3, 1), [conv("a", 4, padding=65_536), conv("b", 4)], {},
         "a: padding: got 65536, expected less than kernel (1)"),
        ((3, 3, 1), [conv("a", 4, padding=1), conv("b", 4)], {},
         "a: padding: got 1, expected less than kernel (1)"),
        ((600, 600, 1), [conv("a", 4, stride=300), conv("b", 4)], {},
         "a: stride: got 300, expected 1 to 255"),
        ((3000, 3000, 1), [conv("a", 4), conv("b", 4)], {},
         "a: input height x width: got 3000x3000, expected at most 2047x2047"),
        ((4, 4, 1), [conv("a", 4), conv("b", 4, residual="a")], {"b": 2},
         "b: replicas: got 2, expected 1 for a layer with a residual"),
        ((64, 64, 1), [conv("a", 4, pool=Pool(kind="average", size=32, stride=32)),
                       conv("b", 4)], {}, "a: pool.size: got 32, expected 1 to 16"),
        ((2, 2000, 1), [conv("a", 8, pool=POOL), conv("b", 4)], {},
         "a: a row of pooling windows keeps 8000 values: got buffers.pool = 2048, expected at "
         "least 8000"),
        ((4, 4, 1), [conv("a", 4), conv("b", 4), conv("c", 4, input="a")], {},
         "b: no layer takes its output"),
    ],
)  # fmt: skip
def test_a_layer_that_cannot_be_run(size, layers, replicas, sentence: str) -> None:
    with pytest.raises(UserError, match=f"^network mine: layer {re.escape(sentence)}"):
        _compile(size, layers, replicas=replicas)


def test_a_kernel_that_registers_cannot_say() -> None:
    """A chip with a tile for each of its many row blocks: more than ship with the project."""
    wide = HERMES.model_copy(update={"grid": chip.Grid(rows=16, columns=17)})
    sentence = "network mine: layer a: kernel: got 256, expected 1 to 255"
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
    with pytest.raises(
        UserError, match="layer b: residual: got a, which is its input as well, expected"
    ):
        _compile((4, 4, 1), layers, small)


def test_automatic_replicas_of_what_cannot_be_compiled_are_none() -> None:
    layers = conv("a", 4, kernel=3, padding=1), conv("b", 4, kernel=3, padding=1)
    # Five columns are no multiple of two.
    made = with_ones((5, 5, 1), layers)
    assert best_replicas(made, HERMES, ReadMode.ONE_PHASE, Scaling()) == {}
