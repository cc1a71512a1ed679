"""The networks that are trained here, as descriptions whose trained values are still to come."""

from dataclasses import dataclass

from caduceus.spec import chip, formats, network
from caduceus.spec.chip import Chip
from caduceus.spec.graph import FloatMetric, Geometry, Graph, Input, Layer, Pool

INPUT_SCALE = float(f"{1 / formats.INT8_MAX:.8g}")
"""Real value of one INT8 step of the input: a white pixel is 1.0. As written into the file."""


@dataclass(frozen=True)
class Task:
    """A network to train, with the chip that it is trained for.

    `untrained` holds its shapes; `gmax`, `output_scale` and `metric.float` in it are placeholders
    that the export replaces. `one_tile` says whether every matrix has to fit one array; the weights
    of a `compact` one are exported as INT8 with a step per layer, not in binary16.
    """

    untrained: Graph
    chip: chip.Chip
    one_tile: bool = True
    compact: bool = False

    def geometries(self) -> list[Geometry]:
        """Shapes of the layers; raises `ValueError` for a layer that the array cannot hold."""
        array = self.chip.array
        geometries = network.geometries(self.untrained)
        if not self.one_tile:
            return geometries
        for layer, geometry in zip(self.untrained.nodes, geometries, strict=True):
            if geometry.rows > array.rows or layer.outputs > array.columns:
                raise ValueError(
                    f"layer {layer.name} of {self.untrained.name} is {geometry.rows} x "
                    f"{layer.outputs}; the array of {self.chip.name} is "
                    f"{array.rows} x {array.columns}"
                )
        return geometries


def _conv(
    name: str,
    outputs: int,
    kernel: int = 3,
    stride: int = 1,
    padding: int = 1,
    pool: tuple[int, int] | None = None,
    residual: str | None = None,
) -> Layer:
    window = Pool(kind="max", size=pool[0], stride=pool[1]) if pool else None
    shape = {"kernel": kernel, "stride": stride, "padding": padding}
    shape |= {"pool": window} if window else {}
    shape |= {"residual": residual} if residual else {}
    return Layer(name=name, op="conv", outputs=outputs, relu=True, **_UNKNOWN, **shape)


def _network(name: str, dataset: str, shape: tuple[int, int, int], *layers: Layer) -> Graph:
    # The last layer's logits carry a sign, so it has no ReLU.
    dense = Layer(name="dense", op="dense", outputs=10, relu=False, **_UNKNOWN)
    return Graph(
        format=2,
        name=name,
        dataset=dataset,
        input=Input(shape=shape, scale=INPUT_SCALE),
        weights="weights.npz",
        scaling="core",
        nodes=(*layers, dense),
        metric=FloatMetric(name="accuracy", float=0.0),
    )


def _fashion(name: str, chip_name: str, *layers: Layer) -> Task:
    return Task(_network(name, "fashion_mnist", (28, 28, 1), *layers), Chip.find(chip_name))


def _resnet9(name: str, dataset: str, channels: int) -> Task:
    """The published ResNet-9; 1.87 million weights with one channel, on 40 tiles of `hermes`."""
    layers = (
        _conv("conv0", 56),
        _conv("conv1", 112, pool=(2, 2)),
        _conv("conv2", 112),
        _conv("conv3", 112, residual="conv1"),
        _conv("conv4", 224, pool=(2, 2)),
        _conv("conv5", 224, pool=(2, 2)),
        _conv("conv6", 224),
        _conv("conv7", 224, pool=(4, 4), residual="conv5"),
    )
    untrained = _network(name, dataset, (32, 32, channels), *layers)
    return Task(untrained, Chip.find("hermes"), one_tile=False, compact=True)


_UNKNOWN = {"gmax": formats.CELL_MAX, "output_scale": 1.0}


def tasks() -> dict[str, Task]:
    """All networks by name."""
    return {
        task.untrained.name: task
        for task in (
            # 9x28, 252x64 and 256x10 on arrays of 256x256; 981 MVMs per image.
            _fashion(
                "fashion_small",
                "hermes",
                _conv("conv1", 28, pool=(2, 2)),
                _conv("conv2", 64, pool=(7, 7)),
            ),
            # 16x16, 16x4, 16x16 and 16x10 on arrays of 16x16, one layer for each of the chip's
            # four tiles; 135 MVMs per image. The narrow conv2 makes room for a 2x2 kernel in conv3,
            # which was worth about 12 points of accuracy over 1x1 kernels alone (see README.md).
            _fashion(
                "fashion_tiny",
                "tiny",
                _conv("conv1", 16, kernel=4, stride=4, padding=0),
                _conv("conv2", 4, kernel=1, padding=0),
                _conv("conv3", 16, kernel=2, padding=0, pool=(6, 6)),
            ),
            # Images of 28x28 stand in the middle of 32x32.
            _resnet9("resnet9", "fashion_mnist", 1),
            _resnet9("resnet9_cifar10", "cifar10", 3),
        )
    }
