"""The networks that are trained here, as descriptions whose trained values are still to come."""

from dataclasses import dataclass

from spec import chip, formats, network
from spec.network import Geometry, Input, Layer, Network, Pool

INPUT_SCALE = float(f"{1 / formats.INT8_MAX:.8g}")
"""Real value of one INT8 step of the input: a white pixel is 1.0. As written into the file."""


@dataclass(frozen=True)
class Task:
    """A network to train, with the chip that it is trained for.

    `untrained` holds its shapes; `gmax`, `output_scale` and `float_accuracy` in it are placeholders
    that the export replaces.
    """

    untrained: Network
    chip: chip.Chip

    def geometries(self) -> list[Geometry]:
        """Shapes of the layers; raises `ValueError` for a layer that the array cannot hold."""
        array = self.chip.array
        geometries = network.geometries(self.untrained)
        for layer, geometry in zip(self.untrained.layers, geometries, strict=True):
            if geometry.rows > array.rows or layer.outputs > array.columns:
                raise ValueError(
                    f"layer {layer.name} of {self.untrained.name} is {geometry.rows} x "
                    f"{layer.outputs}; the array of {self.chip.name} is "
                    f"{array.rows} x {array.columns}"
                )
        return geometries


def _conv(
    name: str, outputs: int, kernel: int, stride: int, padding: int, pool: tuple[int, int] | None
) -> Layer:
    window = Pool(kind="max", size=pool[0], stride=pool[1]) if pool else None
    shape = {"kernel": kernel, "stride": stride, "padding": padding}
    shape |= {"pool": window} if window else {}
    return Layer(name=name, kind="conv", outputs=outputs, relu=True, **_UNKNOWN, **shape)


def _task(name: str, chip_name: str, *layers: Layer) -> Task:
    # The last layer's logits carry a sign, so it has no ReLU.
    dense = Layer(name="dense", kind="dense", outputs=10, relu=False, **_UNKNOWN)
    untrained = Network(
        format=1,
        name=name,
        dataset="fashion_mnist",
        input=Input(height=28, width=28, channels=1, scale=INPUT_SCALE),
        weights="weights.npz",
        layers=(*layers, dense),
        float_accuracy=0.0,
    )
    return Task(untrained, chip.find(chip_name))


_UNKNOWN = {"gmax": formats.CELL_MAX, "output_scale": 1.0}


def tasks() -> dict[str, Task]:
    """All networks by name."""
    return {
        task.untrained.name: task
        for task in (
            # 9x28, 252x64 and 256x10 on arrays of 256x256; 981 MVMs an image.
            _task(
                "fashion_small",
                "hermes",
                _conv("conv1", 28, kernel=3, stride=1, padding=1, pool=(2, 2)),
                _conv("conv2", 64, kernel=3, stride=1, padding=1, pool=(7, 7)),
            ),
            # 16x16, 16x4, 16x16 and 16x10 on arrays of 16x16, one layer for each of the chip's
            # four tiles; 135 MVMs an image. The narrow conv2 makes room for a 2x2 kernel in conv3,
            # which was worth about 12 points of accuracy over 1x1 kernels alone (see README.md).
            _task(
                "fashion_tiny",
                "tiny",
                _conv("conv1", 16, kernel=4, stride=4, padding=0, pool=None),
                _conv("conv2", 4, kernel=1, stride=1, padding=0, pool=None),
                _conv("conv3", 16, kernel=2, stride=1, padding=0, pool=(6, 6)),
            ),
        )
    }
