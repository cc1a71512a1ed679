"""A chip behind its registers and packets gives what the golden model of the program gives."""

import numpy as np
import pytest
from cnn_reference import random_images, random_weights
from golden_reference import random_state
from test_golden_cnn import CASES

from caduceus.compiler.network import compile_network
from caduceus.golden import machine
from caduceus.golden.register_chip import RegisterChip
from caduceus.host.session import Session
from caduceus.spec.formats import ReadMode
from caduceus.spec.host_port import finish
from caduceus.spec.network import Network
from caduceus.spec.program_codes import computing

IMAGES = 3
PARTS = {
    "residual of replicas": 2, "pixels in packets": 2, "average, replicas": 2,
    "pixels in packets of replicas": 6,
}  # fmt: skip
"""By case, packets of an input or RX vector in turn or side by side, where more than one."""


@pytest.mark.parametrize("mode", ReadMode)
@pytest.mark.parametrize("case", [case for case in CASES if "one tile" not in case])
def test_what_is_written_to_the_registers_is_the_program(case: str, mode: ReadMode) -> None:
    """Parts of pixels, replicas, pooling and residuals, read noise included."""
    described, chip, replicas = CASES[case]
    network = Network(described, random_weights(described))
    program = compile_network(network, chip, mode, replicas)
    state = random_state(chip, seed=3, tiles=len(computing(program)))
    x = random_images(described, IMAGES)
    expected = machine.run(program, chip, state, x).outputs

    session = Session(RegisterChip(chip), chip)
    finish(session.load(program, state))
    vectors = x.reshape(-1, program.input_length)
    for _ in range(2):  # the second time with the read indices that follow
        got = finish(session.run(program, vectors, IMAGES * program.output_pixels))
        np.testing.assert_array_equal(got.reshape(expected.shape), expected)
        expected = machine.run(program, chip, state, x, first=IMAGES).outputs
    parts = {
        count
        for tile in computing(program)
        for count in (len(tile.config.input_parts), tile.config.rx_parts)
    }
    assert PARTS.get(case, 1) in parts
