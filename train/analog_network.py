"""Layers of `train.analog`, one after another or with residuals, as a network to train."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from caduceus.spec import formats
from caduceus.spec.graph import FloatMetric, Graph
from train import chain
from train.analog import AnalogLayer, quantise_image
from train.topology import Task

Apply = Callable[[AnalogLayer, Tensor, Tensor | None], Tensor]
"""A layer's output from its input and its residual."""


class AnalogNetwork(nn.Module):
    """The layers of a topology; images in, logits [N, classes] out."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.task = task
        shapes = zip(task.untrained.nodes, task.geometries(), strict=True)
        self.layers = nn.ModuleList(AnalogLayer(*shape, task.chip) for shape in shapes)

    def forward(self, image: Tensor, noise: float = 0.0) -> Tensor:
        """Logits in floating point; `image` [N, channels, y, x] in 0..1."""
        return self._through(image, lambda layer, x, residual: layer(x, residual, noise))

    def analog(self, image: Tensor, phases: int, noise: float = 0.0) -> Tensor:
        """Logits as the chip computes them, INT8 steps times the last layer's output scale."""
        logits = self._through(
            quantise_image(image),
            lambda layer, x, residual: layer.analog(x, residual, phases, noise),
        )
        return logits * self.layers[-1].output_scale

    def _through(self, image: Tensor, apply: Apply) -> Tensor:
        outputs: dict[str | None, Tensor] = {None: image}
        for layer, source in zip(self.layers, self.task.untrained.inputs, strict=True):
            residual = layer.layer.residual
            added = None if residual is None else outputs[residual]
            outputs[layer.layer.name] = apply(layer, outputs[source], added)
        return outputs[self.layers[-1].layer.name].flatten(1)

    @torch.no_grad()
    def calibrate(self, image: Tensor, clipped_share: float) -> None:
        """Set `gmax` and the scales of all layers from training images, first layer first."""
        scales: dict[str | None, float] = {None: self.task.untrained.input.scale}
        reals: dict[str | None, Tensor] = {None: image}
        codes: dict[str | None, Tensor] = {None: quantise_image(image)}
        for layer, source in zip(self.layers, self.task.untrained.inputs, strict=True):
            name, residual = layer.layer.name, layer.layer.residual
            layer.input_scale = scales[source]
            x, added = reals[source], None if residual is None else reals[residual]
            reals[name] = layer(x, added)
            # A clipped logit could tie with the right one, so the last layer clips none.
            share = 0.0 if layer is self.layers[-1] else clipped_share
            layer.calibrate_output(x, added, reals[name], share)
            layer.calibrate_gmax(codes[source])
            scales[name] = layer.output_scale
            if residual is not None:
                layer.residual_scale = scales[residual]
            added = None if residual is None else codes[residual]
            codes[name] = layer.analog(codes[source], added, phases=4)

    def fold_norm(self) -> None:
        """Move every batch normalisation into weights and bias."""
        for layer in self.layers:
            layer.fold_norm()

    def clip_weights(self, deviations: float) -> None:
        """Clip every layer's weights at that many of its standard deviations."""
        for layer in self.layers:
            layer.clip_weights(deviations)

    def describe(self, float_accuracy: float) -> Graph:
        """The network's description with the trained values in place."""
        layers = tuple(
            layer.layer.model_copy(update={"gmax": layer.gmax, "output_scale": layer.output_scale})
            for layer in self.layers
        )
        return self.task.untrained.model_copy(
            update={
                "nodes": layers,
                "metric": FloatMetric(name="accuracy", float=float_accuracy),
            }
        )

    @torch.no_grad()
    def round_weights(self) -> None:
        """Round the weights to the values that are exported."""
        for layer in self.layers:
            if self.task.compact:
                step = _step(layer)
                layer.weight.copy_(torch.round(layer.weight / step) * step)
            else:
                layer.weight.copy_(layer.weight.half().float())

    def arrays(self) -> dict[str, np.ndarray]:
        """Rounded weights [rows, outputs] and biases (binary32 [outputs]) by layer.

        Weights are binary16, or, of a compact task, INT8 with their step as binary32.
        """
        arrays = {}
        for layer in self.layers:
            name = layer.layer.name
            matrix = chain.rows(layer.weight.detach())
            if self.task.compact:
                step = _step(layer)
                arrays[f"{name}.weight"] = torch.round(matrix / step).numpy().astype(np.int8)
                arrays[f"{name}.weight_step"] = np.float32(step)
            else:
                arrays[f"{name}.weight"] = matrix.numpy().astype(np.float16)
            arrays[f"{name}.bias"] = layer.bias.detach().numpy().astype(np.float32)
        return arrays


def _step(layer: AnalogLayer) -> Tensor:
    """Real value of one step of the layer's weights in INT8."""
    return layer.wmax() / formats.INT8_MAX
