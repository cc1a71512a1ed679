"""The recurrence of an LSTM over many steps, forward and backward, in real or the chip's numbers.

It is written out, because what passes from step to step is rounded as the chip rounds it. Matrix
products may be in bfloat16, which a CPU multiplies four times as fast as binary32 and which holds
INT8 values exactly. Going back, rounding counts as the identity; only a saturated hidden state
passes no gradient.

Gates stand in the GDPU's order, I, A, F, O, each a block of `hidden` columns.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from caduceus.spec import formats
from caduceus.spec.gdpu import GATES


@dataclass(frozen=True)
class Rounding:
    """How the chip rounds on the way.

    Attributes:
        blocks: rows of the hidden state's matrix that share a tile, in the order in which partial
            sums go through the tiles; each rounds the sum so far to INT8.
        step: real value of one INT8 step of every pre-activation, [4 * hidden].
        hidden: real value of one INT8 step of the hidden state, a tensor without dimensions.
    """

    blocks: Sequence[slice]
    step: Tensor
    hidden: Tensor


def round_int8(x: Tensor) -> Tensor:
    """Nearest integer, ties to even, saturated at +-127."""
    return torch.round(x).clamp(-formats.INT8_MAX, formats.INT8_MAX)


@torch.compile(dynamic=False)
def _gates(z: Tensor, before: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    i, a, f, o = z.view(len(z), len(GATES), -1).unbind(1)
    i, a, f, o = torch.sigmoid(i), torch.tanh(a), torch.sigmoid(f), torch.sigmoid(o)
    c = f * before + i * a
    tanh = torch.tanh(c)
    return torch.stack((i, a, f, o), 1), c, tanh, o * tanh


@torch.compile(dynamic=False)
def _cell(z: Tensor, bias: Tensor, before: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return _gates(z.float() + bias, before)


@torch.compile(dynamic=False)
def _rounded_cell(
    z: Tensor, bias: Tensor, before: Tensor, step: Tensor, hidden: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    gates, c, tanh, h = _gates(round_int8(z.float() + bias) * step, before)
    return gates, c, tanh, round_int8(h / hidden)


@torch.compile(dynamic=False)
def _cell_back(
    d_h: Tensor, d_c: Tensor, gates: Tensor, before: Tensor, tanh: Tensor
) -> tuple[Tensor, Tensor]:
    i, a, f, o = gates.unbind(1)
    d_c = d_c + d_h * o * (1 - tanh * tanh)
    d_z = (
        d_c * a * i * (1 - i),
        d_c * i * (1 - a * a),
        d_c * before * f * (1 - f),
        d_h * tanh * o * (1 - o),
    )
    return torch.cat(d_z, 1), d_c * f


class Recurrence(torch.autograd.Function):
    """Hidden states of every step.

    Inputs: `table` [symbols, 4 * hidden], the inputs' part of the pre-activations; `numbers` of the
    symbols [time, batch]; `weight` [hidden, 4 * hidden]; `bias` [4 * hidden]; the state before, `h`
    and `c` [batch, hidden]; a `Rounding` or None; the type in which matrices are multiplied.
    With a rounding, `table`, `weight` and `bias` are in INT8 steps of the pre-activations, and the
    hidden states are in INT8 steps; otherwise all are real.

    Outputs: hidden states [time, batch, hidden], and the state after the last step.
    """

    @staticmethod
    def forward(ctx, table, numbers, weight, bias, h, c, rounding, dtype):  # noqa: ANN001, ANN205, D102
        product, part = weight.to(dtype), table.to(dtype)
        kept, outputs = [], [h]
        blocks = rounding.blocks if rounding else [slice(None)]
        for chosen in numbers:
            z, narrow, before = part.index_select(0, chosen), h.to(dtype), c
            for number, block in enumerate(blocks):
                z = torch.addmm(round_int8(z) if number else z, narrow[:, block], product[block])
            if rounding:
                cell = _rounded_cell(z, bias, before, rounding.step, rounding.hidden)
            else:
                cell = _cell(z, bias, before)
            gates, c, tanh, h = cell
            kept.append((gates, before, tanh))
            outputs.append(h)
        states = torch.stack(outputs)
        ctx.kept, ctx.rounding, ctx.dtype, ctx.symbols = kept, rounding, dtype, len(table)
        ctx.save_for_backward(numbers, weight, states)
        return states[1:], h, c

    @staticmethod
    def backward(ctx, d_outputs, _h, _c):  # noqa: ANN001, ANN205, D102
        numbers, weight, states = ctx.saved_tensors
        back = weight.to(ctx.dtype).t().contiguous()
        time, batch = numbers.shape
        d_z = torch.empty(time, batch, weight.shape[1], dtype=ctx.dtype)
        d_h, d_c = torch.zeros_like(states[0]), torch.zeros_like(states[0])
        rounding = ctx.rounding
        for t in reversed(range(time)):
            d_h = d_outputs[t] + d_h
            if rounding:
                d_h = d_h * (states[t + 1].abs() < formats.INT8_MAX) / rounding.hidden
            step, d_c = _cell_back(d_h, d_c, *ctx.kept[t])
            d_z[t] = step * rounding.step if rounding else step
            d_h = (d_z[t] @ back).float()
        flat = d_z.view(time * batch, -1)
        before = states[:-1].reshape(time * batch, -1).to(ctx.dtype)
        d_weight = (before.t() @ flat).float()
        chosen = torch.nn.functional.one_hot(numbers.reshape(-1), ctx.symbols).to(ctx.dtype)
        d_table = (chosen.t() @ flat).float()
        return d_table, None, d_weight, d_table.sum(0), None, None, None, None
