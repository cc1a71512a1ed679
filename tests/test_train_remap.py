"""Codes of columns for a trained network, against charges written out here."""

import cnn_reference as small
import numpy as np
from recurrent_networks import TALL, random_network

from caduceus.spec.chip import Chip
from caduceus.spec.network import Network
from train import remap

TINY = Chip.find("tiny")


def test_a_column_gets_the_largest_code_that_does_not_saturate() -> None:
    """Of a layer on two row blocks; in 4-phase and in 1-phase reads."""
    chip = TINY.model_copy(update={"adc": TINY.adc.model_copy(update={"phase_limit": 60})})
    graph = small.network(1, 1, 24, small.dense("a", 6))
    weights = small.random_weights(graph)
    x = np.random.default_rng(3).integers(-127, 128, (50, 1, 24), dtype=np.int8)
    (found,) = remap.codes(Network(graph, weights), chip, x).values()
    weight = weights["a"].weight.astype(np.float64)
    for column, code in enumerate(found.tolist()):
        w = weight[:, column] / np.abs(weight[:, column]).max()
        charges = []
        for rows in (slice(0, 12), slice(12, 24)):
            given, part = x[:, 0, rows].astype(float), w[rows]
            charges.append(np.abs(given @ part))
            for sign in (1, -1):
                for side in (1, -1):
                    charges.append(np.maximum(sign * given, 0) @ np.maximum(side * part, 0))
        counts = np.max(charges) * chip.nominal_gain / 2**32
        assert 1 <= code < 510 and counts * (code + 1) > 60 >= counts * code * (1 - 1e-5)


def test_an_lstm_has_codes_for_its_matrices() -> None:
    x = np.random.default_rng(3).integers(-127, 128, (4, 5, 16), dtype=np.int8)
    apart = remap.codes(random_network(16, 16, 5), TALL, x)
    sizes = {name: len(each) for name, each in apart.items()}
    assert sizes == {"lstm.input_gmax": 64, "lstm.hidden_gmax": 64, "dense.gmax": 5}
    shared = Network.find("lstm_tiny")
    found = remap.codes(shared, TINY, remap.inputs(shared))
    assert {name: len(each) for name, each in found.items()} == {
        "lstm.hidden_gmax": 32, "dense.gmax": 16,
    }  # fmt: skip
