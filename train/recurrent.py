"""A character model as PyTorch layers: embedding, LSTM, dense, in real or in the chip's numbers.

In the chip's numbers every rounding to INT8 is there: partial sums from tile to tile, hidden state,
logits. What is finer than those is left out: the rounding of weights to cell codes, the floors of
the ADCs' counts, binary16, and the GDPU's table of the hyperbolic tangent.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from caduceus.spec import formats
from caduceus.spec.gdpu import GATES
from caduceus.spec.graph import FloatMetric, Graph, Layer, Lstm
from train.recurrence import Recurrence, Rounding, round_int8
from train.recurrent_task import RecurrentTask

State = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Scales:
    """What calibration finds: as `caduceus.spec.network` describes the fields of the same names."""

    gates: tuple[float, ...]
    hidden: float
    logits: float
    input_gmax: int
    hidden_gmax: int
    dense_gmax: int


class CharacterModel(nn.Module):
    """Embedding (random and fixed), one LSTM, and a dense layer that gives a logit a symbol.

    Attributes:
        scales: None in floating point; the chip's numbers otherwise.
        noise: while training, standard deviation of the weight noise as a share of each matrix's
            range, largest minus smallest weight.
        dtype: type of matrix products.
    """

    def __init__(self, task: RecurrentTask) -> None:
        super().__init__()
        self.task = task
        network = task.untrained
        symbols, embedding = len(network.input.symbols), network.input.size
        self.hidden = hidden = network.nodes[0].hidden
        self.register_buffer("embedding", _orthogonal(symbols, embedding))
        bound = hidden**-0.5
        self.input_weight = nn.Parameter(torch.empty(embedding, len(GATES) * hidden))
        self.hidden_weight = nn.Parameter(torch.empty(hidden, len(GATES) * hidden))
        self.dense_weight = nn.Parameter(torch.empty(hidden, symbols))
        for weight in self.matrices:
            nn.init.uniform_(weight, -bound, bound)
        bias = torch.zeros(len(GATES), hidden)
        bias[GATES.index("f")] = 1.0  # to remember, at first
        self.gate_bias = nn.Parameter(bias.view(-1))
        self.dense_bias = nn.Parameter(torch.zeros(symbols))
        self.scales: Scales | None = None
        self.noise = 0.0
        self.dtype = torch.bfloat16 if hidden >= 64 else torch.float32

    @property
    def matrices(self) -> tuple[nn.Parameter, ...]:
        """What is programmed into arrays: input's, hidden state's, dense layer's."""
        return self.input_weight, self.hidden_weight, self.dense_weight

    def start(self, batch: int) -> State:
        """The state at the start of a text: h and c, [batch, hidden], all 0."""
        return torch.zeros(batch, self.hidden), torch.zeros(batch, self.hidden)

    def forward(self, numbers: Tensor, state: State) -> tuple[Tensor, State]:
        """Logits [time, batch, symbols] after each of `numbers` [time, batch], and the state."""
        inputs, hidden, dense = (self._noisy(weight) for weight in self.matrices)
        table = self.embedding * self.task.untrained.input.scale @ inputs
        if not self.scales:
            h, *state = Recurrence.apply(
                table, numbers, hidden, self.gate_bias, *state, None, self.dtype
            )
            logits = (h.to(self.dtype) @ dense.to(self.dtype)).float() + self.dense_bias
            return logits, _detached(state)
        rounding = self.rounding()
        table = table / rounding.step
        if not self.task.shared:
            table = _through(table, round_int8(table))
        weight = hidden * (self.scales.hidden / rounding.step)
        bias = self.gate_bias / rounding.step
        h, *state = Recurrence.apply(table, numbers, weight, bias, *state, rounding, self.dtype)
        return self._rounded_logits(h, dense), _detached(state)

    def rounding(self) -> Rounding:
        """The LSTM's, from the scales."""
        step = torch.tensor(self.scales.gates).repeat_interleave(self.hidden)
        return Rounding(self.task.hidden_blocks, step, torch.tensor(self.scales.hidden))

    def _rounded_logits(self, h: Tensor, dense: Tensor) -> Tensor:
        step = self.scales.logits
        weight = (dense * (self.scales.hidden / step)).to(self.dtype)
        h = h.to(self.dtype)
        exact, rounded = 0.0, 0.0
        blocks = self.task.hidden_blocks
        for block in blocks:
            part = (h[..., block] @ weight[block]).float()
            if block == blocks[-1]:
                part = part + self.dense_bias / step
            exact = exact + part
            rounded = round_int8(rounded + part.detach())
        return _through(exact, rounded) * step

    def _noisy(self, weight: Tensor) -> Tensor:
        if not (self.training and self.noise):
            return weight
        spread = float(weight.detach().max() - weight.detach().min())
        return weight + self.noise * spread * torch.randn_like(weight)

    @torch.no_grad()
    def clip_weights(self, deviations: float) -> None:
        """Clip every matrix at that many of its standard deviations."""
        for weight in self.matrices:
            limit = float(deviations * weight.std())
            weight.clamp_(-limit, limit)

    @torch.no_grad()
    def round_weights(self) -> None:
        """Round the weights to the binary16 values that are exported."""
        for weight in self.matrices:
            weight.copy_(weight.half().float())

    def describe(self, float_bpc: float) -> Graph:
        """The network's description with what was trained in place."""
        scales, untrained = self.scales, self.task.untrained
        lstm = Lstm(
            name="lstm", op="lstm", hidden=self.hidden, input_gmax=scales.input_gmax,
            hidden_gmax=scales.hidden_gmax, gate_scales=scales.gates, output_scale=scales.hidden,
        )  # fmt: skip
        dense = Layer(
            name="dense", op="dense", outputs=len(self.dense_bias), relu=False,
            gmax=scales.dense_gmax, output_scale=scales.logits,
        )  # fmt: skip
        metric = FloatMetric(name="bpc", float=round(float_bpc, 4))
        update = {"nodes": (lstm, dense), "metric": metric}
        return untrained.model_copy(update=update)

    def arrays(self) -> dict[str, np.ndarray]:
        """Weights (binary16) and biases (binary32), as `spec.network.Network.load` names them."""
        inputs, hidden, dense = (w.detach().numpy().astype(np.float16) for w in self.matrices)
        return {
            "embedding": self.embedding.numpy().astype(np.int8),
            "lstm.input": inputs,
            "lstm.hidden": hidden,
            "lstm.bias": self.gate_bias.detach().numpy(),
            "dense.weight": dense,
            "dense.bias": self.dense_bias.detach().numpy(),
        }


def _orthogonal(symbols: int, size: int) -> Tensor:
    """INT8 vectors, as float32 [symbols, size]: orthogonal before rounding, if there is room."""
    vectors = torch.linalg.qr(torch.randn(max(symbols, size), size))[0]
    vectors = vectors[:symbols]
    return torch.round(vectors / vectors.abs().max() * formats.INT8_MAX)


def _through(exact: Tensor, rounded: Tensor) -> Tensor:
    """`rounded`, with the gradient of `exact`."""
    return exact + (rounded - exact).detach()


def _detached(state: Sequence[Tensor]) -> State:
    h, c = state
    return h.detach(), c.detach()
