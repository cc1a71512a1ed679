"""The chip's arithmetic as PyTorch layers, differentiable by straight-through estimation.

Forward values follow the chip: INT8 inputs, integer cell codes, one ADC conversion a phase and
column (floored, saturating), affine scaling, ReLU, INT8 outputs. Backward, every rounding step
counts as the identity, and only the two INT8 limits stop a gradient.

Inputs are never negative here, because pixels are not and every layer but the last has a ReLU.
The two phases of the 4-phase read that carry negative inputs then convert no charge at all, which
leaves one conversion for the positive cells (P) and one for the negative ones (N).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from caduceus.compiler.split import split
from caduceus.spec import formats
from caduceus.spec.chip import Chip
from caduceus.spec.graph import Geometry, Layer
from train import chain

SATURATED_SHARE = 1e-5
"""Share of conversions on training images that may reach the limit of a phase."""
SAMPLES = 4_000_000
"""Values that a quantile is taken of, at most, where a layer has several blocks."""


class AnalogLayer(nn.Module):
    """One matrix on the array, with its ADCs, its digital post-processing and its max-pool.

    A dense layer is a convolution whose kernel is the whole feature map, so that both kinds share
    one code and one row order, (y, x, channel). A matrix of more rows than the array has is a chain
    of row blocks (`train.chain`).
    """

    def __init__(self, layer: Layer, geometry: Geometry, chip: Chip) -> None:
        super().__init__()
        self.layer, self.geometry = layer, geometry
        self.blocks = split(geometry.rows, layer.outputs, chip).rows
        self.phase_limit = chip.adc.phase_limit
        self.charge_per_count = 2**formats.GAIN_FRACTION / chip.nominal_gain
        height, width, channels = geometry.input
        self.convolution = nn.Conv2d(
            channels,
            layer.outputs,
            (height, width) if layer.op == "dense" else layer.kernel,
            stride=layer.stride,
            padding=layer.padding,
        )
        # The last layer's logits need no normalisation.
        self.norm = nn.BatchNorm2d(layer.outputs) if layer.op == "conv" else nn.Identity()
        self.gmax = formats.CELL_MAX
        self.input_scale = 1.0
        self.output_scale = 1.0
        self.residual_scale = 1.0

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

    def forward(self, x: Tensor, residual: Tensor | None = None, noise: float = 0.0) -> Tensor:
        """The layer in floating point: real values in and out, [N, channels, y, x].

        `noise` is the standard deviation of Gaussian weight noise as a share of `wmax`.
        """
        weight = self.weight
        if noise:
            weight = weight + noise * self.wmax() * torch.randn_like(weight)
        y = self.norm(self._convolve(x, weight, self.bias))
        if residual is not None:
            y = y + residual
        # Pooling first leaves less to do, and the same values.
        y = self._pool(y)
        return functional.relu(y) if self.layer.relu else y

    def analog(self, x: Tensor, residual: Tensor | None, phases: int, noise: float = 0.0) -> Tensor:
        """The layer as the chip computes it: INT8 values (as float32) in and out.

        `phases` is the read mode, 1 or 4; `noise` as in `forward`; `residual` is in INT8 steps of
        its own layer. In training, a chain of blocks is one product with random roundings.
        """
        code = _round(self.weight * (self.gmax / self.wmax()))
        if noise:
            code = _round(code + noise * self.gmax * torch.randn_like(code))
        code = code.clamp(-formats.CELL_MAX, formats.CELL_MAX)
        if residual is not None:
            residual = residual * (self.residual_scale / self.output_scale)
        steps = self._real_per_count() / self.output_scale
        if len(self.blocks) == 1:
            y = steps * self._counts(x, code, phases)
            y = y if residual is None else y + residual
        elif self.training:
            y = self._convolve(x, code) * (steps / self.charge_per_count)
            y = y if residual is None else y + residual
            variance = chain.noise_variance(len(self.blocks), phases, steps)
            y = y + variance**0.5 * torch.randn_like(y)
        else:
            y = chain.run(
                chain.patches(x, self.layer, self.convolution.kernel_size), chain.rows(code),
                self.blocks, lambda block, part: self._read(block @ part, block, part, phases),
                steps, residual,
            )  # fmt: skip
        y = self._pool(y + self.bias.view(1, -1, 1, 1) / self.output_scale)
        if self.layer.relu:
            y = functional.relu(y)
        return _round(y).clamp(-formats.INT8_MAX, formats.INT8_MAX)

    @torch.no_grad()
    def calibrate_gmax(self, x: Tensor) -> None:
        """Choose the largest `gmax` that keeps saturated conversions rare on the INT8 inputs `x`.

        The charge of a phase bounds the net charge of the window, so what holds for 4 phases holds
        for 1 phase.
        """
        unit = self.weight / self.wmax()
        if len(self.blocks) == 1:
            positive = self._convolve(x, unit.clamp(min=0)).flatten()
            negative = self._convolve(x, (-unit).clamp(min=0)).flatten()
            charge = _quantile(torch.cat([positive, negative]), 1 - SATURATED_SHARE)
        else:
            inputs = chain.patches(x, self.layer, self.convolution.kernel_size).flatten(0, 2)
            some = inputs[:: max(1, inputs.shape[0] * self.layer.outputs // SAMPLES)]
            matrix = chain.rows(unit)
            signs = (matrix.clamp(min=0), (-matrix).clamp(min=0))
            parts = [slice(block.start, block.stop) for block in self.blocks]
            charges = [(some[:, part] @ half[part]).flatten() for part in parts for half in signs]
            charge = _quantile(torch.cat(charges), 1 - SATURATED_SHARE)
        allowed = self.phase_limit * self.charge_per_count
        self.gmax = min(formats.CELL_MAX, int(allowed / charge)) if charge else formats.CELL_MAX

    @torch.no_grad()
    def calibrate_output(
        self, x: Tensor, residual: Tensor | None, y: Tensor, clipped_share: float
    ) -> None:
        """Choose the INT8 step so that about `clipped_share` of all partial sums is clipped.

        Outputs are among them; `x`, `residual` and `y`, the layer's inputs and output, are real.
        """
        values = [y.flatten()]
        if len(self.blocks) > 1:
            inputs = chain.patches(x, self.layer, self.convolution.kernel_size)
            sums = chain.partial_sums(inputs, chain.rows(self.weight), self.blocks, residual)
            values += [part.flatten() for part in sums]
            values = [part[:: max(1, len(part) // SAMPLES)] for part in values]
        step = _quantile(torch.cat(values).abs(), 1 - clipped_share) / formats.INT8_MAX
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

    def _convolve(self, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        layer = self.layer
        return functional.conv2d(x, weight, bias, stride=layer.stride, padding=layer.padding)

    def _counts(self, x: Tensor, code: Tensor, phases: int) -> Tensor:
        """Net counts of a matrix of one block; the gradient is that of unrounded ones."""
        charge = self._convolve(x, code)
        with torch.no_grad():
            if phases == 4:
                positive = self._convolve(x, code.clamp(min=0))
                net = self._convert(positive) - self._convert(positive - charge)
            else:
                net = charge.sign() * self._convert(charge.abs())
        ideal = charge / self.charge_per_count
        return ideal + (net - ideal).detach()

    def _read(self, charge: Tensor, inputs: Tensor, code: Tensor, phases: int) -> Tensor:
        """Net counts of one block, from its net charge, its inputs and its codes."""
        if phases == 1:
            return charge.sign() * self._convert(charge.abs())
        positive = inputs @ code.clamp(min=0)
        return self._convert(positive) - self._convert(positive - charge)

    def _convert(self, charge: Tensor) -> Tensor:
        """ADC counts of one phase."""
        return torch.floor(charge / self.charge_per_count).clamp(max=self.phase_limit)

    def _pool(self, y: Tensor) -> Tensor:
        pool = self.layer.pool
        if pool is None:
            return y
        # Images smaller than the network's own leave less to pool in the end.
        return functional.max_pool2d(y, min(pool.size, y.shape[2]), min(pool.stride, y.shape[2]))


def quantise_image(image: Tensor) -> Tensor:
    """Pixels in 0..1 to INT8 values, kept as float32."""
    return torch.round(image * formats.INT8_MAX)


def _round(x: Tensor) -> Tensor:
    """Round to nearest even; the gradient passes unchanged."""
    return x + (torch.round(x) - x).detach()


def _quantile(x: Tensor, share: float) -> float:
    """The value that a share of `x` does not exceed (torch.quantile refuses long inputs)."""
    return float(torch.kthvalue(x, max(1, min(len(x), round(share * len(x))))).values)
