"""Scales and `gmax` of a recurrent network, from what it does on a stretch of its text."""

from dataclasses import replace

import torch
from torch import Tensor

from caduceus.spec import formats
from train.recurrence import round_int8
from train.recurrent import CharacterModel, Scales
from train.recurrent_task import CALIBRATION_WARM_UP

CLIPPED_SHARE = 1e-3
"""Share of pre-activations, partial sums of them, and hidden states beyond the INT8 range."""
SATURATED_SHARE = 1e-5
"""Share of conversions that may reach the limit of a phase."""
LOOKED_AT = 4096
"""Vectors of the stretch that are looked at, evenly spread."""


@torch.no_grad()
def calibrate(model: CharacterModel, numbers: Tensor) -> Scales:
    """Scales for `model` that read `numbers` [time, streams], text.

    There are more than `CALIBRATION_WARM_UP` steps of it.
    """
    training, scales, noise = model.training, model.scales, model.noise
    model.eval()
    model.scales = None
    try:
        _, state = model(numbers[:CALIBRATION_WARM_UP], model.start(numbers.shape[1]))
        rest = numbers[CALIBRATION_WARM_UP:]
        states = [state[0]]
        for step in rest[:-1]:
            _, state = model(step[None], state)
            states.append(state[0])
        stride = max(1, rest.numel() // LOOKED_AT)
        h = torch.cat(states)[::stride]
        chosen = rest.reshape(-1)[::stride]
        return _scales(model, h, chosen)
    finally:
        model.train(training)
        model.scales, model.noise = scales, noise


def _scales(model: CharacterModel, h: Tensor, chosen: Tensor) -> Scales:
    """From hidden states [n, hidden], and the symbols read next [n]."""
    task, lstm_input = model.task, model.task.untrained.input
    inputs, hidden, dense = (weight.detach() for weight in model.matrices)
    table = model.embedding * lstm_input.scale @ inputs
    sums = [] if task.shared else [table[chosen]]
    total = table[chosen]
    for block in task.hidden_blocks:
        total = total + h[:, block] @ hidden[block]
        sums.append(total)
    sums[-1] = total + model.gate_bias
    gates = torch.stack(sums).view(len(sums), len(h), -1, model.hidden)
    output = _step(h, CLIPPED_SHARE)
    # A clipped logit could tie with the right one, so none is clipped here.
    logits = h @ dense + model.dense_bias
    x = round_int8(h / output)
    scales = Scales(
        gates=tuple(_step(gate, CLIPPED_SHARE) for gate in gates.unbind(2)),
        hidden=output,
        logits=_step(logits, 0.0),
        input_gmax=formats.CELL_MAX,
        hidden_gmax=formats.CELL_MAX,
        dense_gmax=_gmax(model, [(x[:, block], dense[block]) for block in task.hidden_blocks]),
    )
    if task.shared:
        both = torch.cat([inputs * lstm_input.scale, hidden * output])
        gmax = _gmax(model, [(torch.cat([model.embedding[chosen], x], 1), both)])
        return replace(scales, input_gmax=gmax, hidden_gmax=gmax)
    tiles = [(x[:, block], hidden[block]) for block in task.hidden_blocks]
    return replace(
        scales,
        input_gmax=_gmax(model, [(model.embedding, inputs)]),
        hidden_gmax=_gmax(model, tiles),
    )


def _gmax(model: CharacterModel, tiles: list[tuple[Tensor, Tensor]]) -> int:
    """Largest `gmax` that keeps saturated conversions of a matrix rare, in 4-phase and in 1-phase.

    `tiles` are INT8 inputs [n, rows] and real weights [rows, columns] of its parts.
    """
    chip = model.task.chip
    largest = max(weight.abs().max() for _, weight in tiles)
    phases = [
        (x.clamp(min=0) @ w.clamp(min=0)).flatten()
        for inputs, weight in tiles
        for x in (inputs, -inputs)
        for w in (weight / largest, -weight / largest)
    ]
    # The net charge, converted at once in 1-phase, can be larger than that of any of 4 phases.
    net = [(inputs @ weight / largest).abs().flatten() for inputs, weight in tiles]
    charge = max(_quantile(torch.cat(read), 1 - SATURATED_SHARE) for read in (phases, net))
    allowed = chip.adc.phase_limit * 2**formats.GAIN_FRACTION / chip.nominal_gain
    return min(formats.CELL_MAX, int(allowed / charge))


def _step(values: Tensor, clipped_share: float) -> float:
    """INT8 step at which about that share of `values` is clipped."""
    step = _quantile(values.abs().flatten(), 1 - clipped_share) / formats.INT8_MAX
    return float(f"{step:.8g}")  # as many digits as binary32 needs


def _quantile(x: Tensor, share: float) -> float:
    """The value that a share of `x` does not exceed (torch.quantile refuses long inputs)."""
    return float(torch.kthvalue(x, max(1, min(len(x), round(share * len(x))))).values)
