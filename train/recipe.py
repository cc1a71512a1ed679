"""The settings that each network is trained with; README.md here says how they were chosen."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    """How to train one network.

    Attributes:
        epochs, analog_epochs: passes over the training images, first and second stage.
        rate, analog_rate: peak learning rate of either stage.
        noise: standard deviation of the weight noise, as a share of the largest weight.
        clip: largest weight, in standard deviations of the layer's weights (second stage).
        shift: largest move of a training image in pixels.
        mirror: whether half of the training images are mirrored.
        epoch_images: images of an epoch, drawn anew for each; None for all there are.
        sides: height and width of the images in every epoch of the first stage, then of the second;
            empty if always those of the network's input. Half of it or less is the image made
            smaller, more is its middle.
        decay: weight decay.
        smoothing: label smoothing.
        kept: training images kept out of training, on which one of `clipped` is chosen.
        calibrated: training images that scales are chosen on.
        clipped: shares of a layer's outputs on training images beyond the INT8 range, to try.
    """

    epochs: int
    analog_epochs: int
    rate: float
    analog_rate: float
    noise: float
    clip: float
    shift: int
    mirror: bool
    epoch_images: int | None = None
    sides: tuple[int, ...] = ()
    decay: float = 1e-4
    smoothing: float = 0.0
    kept: int = 0
    calibrated: int = 4000
    clipped: tuple[float, ...] = (2e-4,)


_RESNET9 = Recipe(
    epochs=13,
    analog_epochs=2,
    rate=4e-3,
    analog_rate=5e-4,
    noise=0.02,
    clip=2.5,
    shift=2,
    mirror=True,
    epoch_images=20_000,
    sides=(*(16,) * 7, *(24,) * 5, 32, 24, 32),
    decay=2e-2,
    smoothing=0.05,
    kept=2000,
    calibrated=256,
    clipped=(2e-4, 1e-3, 4e-3),
)

RECIPES = {
    "fashion_small": Recipe(
        epochs=30,
        analog_epochs=12,
        rate=6e-3,
        analog_rate=2e-3,
        noise=0.02,
        clip=2.5,
        shift=1,
        mirror=False,
    ),
    "fashion_tiny": Recipe(
        epochs=30,
        analog_epochs=30,
        rate=1e-2,
        analog_rate=4e-3,
        noise=0.02,
        clip=2.5,
        shift=0,
        mirror=False,
    ),
    "resnet9": _RESNET9,
    "resnet9_cifar10": _RESNET9,
}
