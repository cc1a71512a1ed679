"""The chip's arithmetic as PyTorch layers, differentiable by straight-through estimation.

Forward values follow the chip: INT8 inputs, integer cell codes, one ADC conversion a phase and
column (floored, saturating), affine scaling, ReLU, INT8 outputs. Backward, every rounding step
counts as the identity, and only the two INT8 limits stop a gradient.

Inputs are never negative here, because pixels are not and every layer but the last has a ReLU.
The two phases of the 4-phase read that carry negative inputs then convert no charge at all, which
leaves one conversion for the positive cells (P) and one for the negative ones (N).
"""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from spec import formats
from spec.chip import Chip
from spec.network import Geometry, Layer, Network
from train.topology import Task

SATURATED_SHARE = 1e-5
"""Share of conversions on training images that may reach the limit of a phase."""


class AnalogLayer(nn.Module):
    """One matrix on the array, with its ADCs, its digital post-processing and its max-pool.

    A dense layer is a convolution whose kernel is the whole feature map, so that both kinds share
    one code and one row order, (y, x, channel).
    """

    def __init__(self, layer: Layer, geometry: Geometry, chip: Chip) -> None:
        super().__init__()
        self.layer, self.geometry = layer, geometry
        self.phase_limit = chip.adc.phase_limit
        self.charge_per_count = 2**formats.GAIN_FRACTION / chip.nominal_gain
        height, width, channels = geometry.input
        self.convolution = nn.Conv2d(
            channels,
            layer.outputs,
            (height, width) if layer.kind == "dense" else layer.kernel,
            stride=layer.stride,
            padding=layer.padding,
        )
        # The last layer's logits need no normalisation.
        self.norm: nn.Module = nn.BatchNorm2d(layer.outputs) if layer.relu else nn.Identity()
        self.gmax = formats.CELL_MAX
        self.input_scale = 1.0
        self.output_scale = 1.0

    @property
    def weight(self) -> nn.Parameter:
        """Weights, [outputs, channels, kernel_height, kernel_width]."""
        return self.convolution.weight

    @property
    def bias(self) -> nn.Parameter:
        """Biases in real units, [outputs]."""
        return self.convolution.bias

    def wmax(self) -> Tensor:
        """The weight magnitude that the code `gmax` stands for."""
        return self.weight.detach().abs().max()

    def forward(self, x: Tensor, noise: float = 0.0) -> Tensor:
        """The layer in floating point: real values in and out, [N, channels, y, x].

        `noise` is the standard deviation of Gaussian weight noise as a share of `wmax`.
        """
        weight = self.weight
        if noise:
            weight = weight + noise * self.wmax() * torch.randn_like(weight)
        y = self.norm(self._convolve(x, weight) + self.bias.view(1, -1, 1, 1))
        return self._pool(functional.relu(y) if self.layer.relu else y)

    def analog(self, x: Tensor, phases: int, noise: float = 0.0) -> Tensor:
        """The layer as the chip computes it: INT8 values (as float32) in and out.

        `phases` is the read mode, 1 or 4; `noise` as in `forward`.
        """
        code = _round(self.weight * (self.gmax / self.wmax()))
        if noise:
            code = _round(code + noise * self.gmax * torch.randn_like(code))
        code = code.clamp(-formats.CELL_MAX, formats.CELL_MAX)
        charge = self._convolve(x, code)
        with torch.no_grad():
            if phases == 4:
                positive = self._convolve(x, code.clamp(min=0))
                net = self._convert(positive) - self._convert(positive - charge)
            else:
                net = charge.sign() * self._convert(charge.abs())
        ideal = charge / self.charge_per_count
        net = ideal + (net - ideal).detach()
        y = net * (self._real_per_count() / self.output_scale)
        y = y + self.bias.view(1, -1, 1, 1) / self.output_scale
        if self.layer.relu:
            y = functional.relu(y)
        return self._pool(_round(y).clamp(-formats.INT8_MAX, formats.INT8_MAX))

    @torch.no_grad()
    def calibrate_gmax(self, x: Tensor) -> None:
        """Choose the largest `gmax` that keeps saturated conversions rare on the INT8 inputs `x`.

        The charge of a phase bounds the net charge of the window, so what holds for 4 phases holds
        for 1 phase.
        """
        unit = self.weight / self.wmax()
        positive = self._convolve(x, unit.clamp(min=0)).flatten()
        negative = self._convolve(x, (-unit).clamp(min=0)).flatten()
        charge = _quantile(torch.cat([positive, negative]), 1 - SATURATED_SHARE)
        allowed = self.phase_limit * self.charge_per_count
        self.gmax = min(formats.CELL_MAX, int(allowed / charge)) if charge else formats.CELL_MAX

    @torch.no_grad()
    def calibrate_output(self, real: Tensor, clipped_share: float) -> None:
        """Choose the INT8 step so that about `clipped_share` of the real outputs are clipped."""
        step = _quantile(real.abs().flatten(), 1 - clipped_share) / formats.INT8_MAX
        self.output_scale = float(f"{step:.8g}")  # as many digits as binary32 needs

    @torch.no_grad()
    def fold_norm(self) -> None:
        """Move the batch normalisation into weights and bias."""
        if isinstance(self.norm, nn.BatchNorm2d):
            norm = self.norm
            factor = norm.weight / torch.sqrt(norm.running_var + norm.eps)
            self.weight.mul_(factor.view(-1, 1, 1, 1))
            self.bias.copy_((self.bias - norm.running_mean) * factor + norm.bias)
            self.norm = nn.Identity()

    @torch.no_grad()
    def clip_weights(self, deviations: float) -> None:
        """Clip the weights at that many standard deviations: a narrow range uses the cells well."""
        limit = float(deviations * self.weight.std())
        self.weight.clamp_(-limit, limit)

    def _real_per_count(self) -> float:
        return float(self.charge_per_count * self.input_scale * self.wmax() / self.gmax)

    def _convolve(self, x: Tensor, weight: Tensor) -> Tensor:
        layer = self.layer
        return functional.conv2d(x, weight, stride=layer.stride, padding=layer.padding)

    def _convert(self, charge: Tensor) -> Tensor:
        """ADC counts of one phase."""
        return torch.floor(charge / self.charge_per_count).clamp(max=self.phase_limit)

    def _pool(self, y: Tensor) -> Tensor:
        pool = self.layer.pool
        return functional.max_pool2d(y, pool.size, pool.stride) if pool else y


class AnalogNetwork(nn.Module):
    """The layers of a topology in turn; images in, logits [N, classes] out."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.task = task
        shapes = zip(task.untrained.layers, task.geometries(), strict=True)
        self.layers = nn.ModuleList(AnalogLayer(*shape, task.chip) for shape in shapes)

    def forward(self, image: Tensor, noise: float = 0.0) -> Tensor:
        """Logits in floating point; `image` [N, 1, y, x] in 0..1."""
        x = image
        for layer in self.layers:
            x = layer(x, noise)
        return x.flatten(1)

    def analog(self, image: Tensor, phases: int, noise: float = 0.0) -> Tensor:
        """Logits as the chip computes them, INT8 steps times the last layer's output scale."""
        x = quantise_image(image)
        for layer in self.layers:
            x = layer.analog(x, phases, noise)
        return x.flatten(1) * self.layers[-1].output_scale

    @torch.no_grad()
    def calibrate(self, image: Tensor, clipped_share: float) -> None:
        """Set `gmax` and the scales of all layers from training images, first layer first."""
        x, real = quantise_image(image), image
        scale = self.task.untrained.input.scale
        for layer in self.layers:
            layer.input_scale = scale
            real = layer(real)
            # A clipped logit could tie with the right one, so the last layer clips none.
            layer.calibrate_output(real, clipped_share if layer.layer.relu else 0.0)
            layer.calibrate_gmax(x)
            scale = layer.output_scale
            x = layer.analog(x, phases=4)

    def fold_norm(self) -> None:
        """Move every batch normalisation into weights and bias."""
        for layer in self.layers:
            layer.fold_norm()

    def clip_weights(self, deviations: float) -> None:
        """Clip every layer's weights at that many of its standard deviations."""
        for layer in self.layers:
            layer.clip_weights(deviations)

    def describe(self, float_accuracy: float) -> Network:
        """The network's description with the trained values in place."""
        layers = tuple(
            layer.layer.model_copy(update={"gmax": layer.gmax, "output_scale": layer.output_scale})
            for layer in self.layers
        )
        return self.task.untrained.model_copy(
            update={"layers": layers, "float_accuracy": float_accuracy}
        )

    def arrays(self) -> dict[str, np.ndarray]:
        """Weights (binary16 [rows, outputs]) and biases (binary32 [outputs]) by layer."""
        arrays = {}
        for layer in self.layers:
            weight = layer.weight.detach().permute(2, 3, 1, 0).reshape(layer.geometry.rows, -1)
            arrays[f"{layer.layer.name}.weight"] = weight.numpy().astype(np.float16)
            arrays[f"{layer.layer.name}.bias"] = layer.bias.detach().numpy().astype(np.float32)
        return arrays

    @torch.no_grad()
    def round_weights(self) -> None:
        """Round the weights to the binary16 values that are exported."""
        for layer in self.layers:
            layer.weight.copy_(layer.weight.half().float())


def quantise_image(image: Tensor) -> Tensor:
    """Pixels in 0..1 to INT8 values, kept as float32."""
    return torch.round(image * formats.INT8_MAX)


def _round(x: Tensor) -> Tensor:
    """Round to nearest even; the gradient passes unchanged."""
    return x + (torch.round(x) - x).detach()


def _quantile(x: Tensor, share: float) -> float:
    """The value that a share of `x` does not exceed (torch.quantile refuses long inputs)."""
    return float(torch.kthvalue(x, max(1, min(len(x), round(share * len(x))))).values)
