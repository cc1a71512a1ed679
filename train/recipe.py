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
    """

    epochs: int
    analog_epochs: int
    rate: float
    analog_rate: float
    noise: float
    clip: float
    shift: int
    mirror: bool


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
}
