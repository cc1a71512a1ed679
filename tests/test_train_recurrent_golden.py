"""The committed recurrent networks on the golden chip: the bits of `recurrent_reference`.

The reference knows nothing of tiles' order, of routes, of device codes or of column constants.
"""

import numpy as np
import pytest
from recurrent_reference import RecurrentReference

from caduceus.compiler.network import compile_network
from caduceus.golden import machine
from caduceus.spec import formats, pcm_state
from caduceus.spec.chip import Chip
from caduceus.spec.network import Network
from caduceus.spec.program_codes import device_codes


@pytest.mark.parametrize(
    ("name", "chip_name", "steps", "mode"),
    [
        ("lstm_tiny", "tiny", 200, formats.ReadMode.FOUR_PHASE),
        ("lstm_tiny", "tiny", 200, formats.ReadMode.ONE_PHASE),
        ("lstm_ptb", "hermes", 12, formats.ReadMode.FOUR_PHASE),
        ("lstm_504", "hermes", 5, formats.ReadMode.FOUR_PHASE),
    ],
)
def test_golden_gives_the_references_bits(
    name: str, chip_name: str, steps: int, mode: formats.ReadMode
) -> None:
    network = Network.find(name)
    description = Chip.find(chip_name)
    program = compile_network(network, description, mode)
    state = pcm_state.ideal(description, device_codes(program, description))
    random = np.random.default_rng(2)
    size = (3, steps)
    if network.embedding is None:
        limit = formats.INT8_MAX
        x = random.integers(-limit, limit + 1, (*size, network.graph.input.size), dtype=np.int8)
    else:
        x = network.embedding[random.integers(0, len(network.embedding), size)]
    outputs = machine.run(program, description, state, x).outputs
    reference = RecurrentReference(network, description, mode, batch=3)
    for t in range(steps):
        np.testing.assert_array_equal(outputs[:, t], reference.step(x[:, t]), f"step {t}")
    assert len(np.unique(outputs)) > 50
