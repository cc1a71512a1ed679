"""The error of one tile's multiplications, and how many bits of weights have the same."""

import io
import math

import numpy as np
import pytest
from rich.console import Console

from caduceus.compiler.network import compile_network
from caduceus.devices import settings
from caduceus.devices.settings import Devices
from caduceus.golden.fast.tile import Tile
from caduceus.spec import pcm_state
from caduceus.spec.chip import Chip
from caduceus.spec.formats import ReadMode
from caduceus.spec.graph import Graph, Input, Layer
from caduceus.spec.network import Network, Weights
from caduceus.spec.program_codes import computing, device_codes
from caduceus.study import mvm_error
from caduceus.study.mvm_error import (
    Task,
    equivalent_bits,
    errors,
    largest_code,
    quantised,
    share,
    task,
)

HERMES, TINY = Chip.find("hermes"), Chip.find("tiny")
FOUR, ONE = ReadMode.FOUR_PHASE, ReadMode.ONE_PHASE


@pytest.fixture(scope="module")
def work() -> Task:
    return task(HERMES)


def test_the_task_is_the_published_one(work):
    assert work.weight.shape == (256, 256) and work.x.shape == (2048, 256)
    for values, most in ((work.weight, 1), (work.x, 127)):
        assert (values == 0).mean() == pytest.approx(0.3, abs=0.01)
        some = np.abs(values[values != 0])
        assert some.max() <= most and some.mean() == pytest.approx(most / 2, rel=0.02)
        assert values.mean() == pytest.approx(0, abs=0.01 * most)
    assert (work.exact == work.x.astype(np.int64) @ work.weight).all()
    assert np.abs(work.exact / work.step).max() == pytest.approx(127)
    assert (task(HERMES).exact == work.exact).all()


def test_the_error_is_a_share_after_the_best_factor():
    exact = np.array([[3.0, 4.0], [-3.0, -4.0]])
    assert share(exact, 2 * exact) == pytest.approx(0)
    given = np.array([[4.0, 4.0], [-3.0, -4.0]])
    factor = (4 * 3 + 4 * 4 + 3 * 3 + 4 * 4) / (4 * 4 + 4 * 4 + 3 * 3 + 4 * 4)
    left = (factor * given - exact).ravel()
    assert share(exact, given) == pytest.approx(np.std(left) / math.sqrt(12.5))


def test_what_weights_do_is_linear_and_noise_is_residual():
    random = np.random.default_rng(1)
    weight, x = random.uniform(-1, 1, (64, 64)), random.integers(-127, 128, (1024, 64))
    small = Task(weight, x.astype(np.int8), x @ weight)
    wrong = weight + 0.1 * random.normal(size=weight.shape)
    total, linear, residual = errors(small, x @ wrong)
    assert residual < 1e-6 and linear == pytest.approx(total)
    # 0.1 against weights of deviation 1 / sqrt(3).
    assert total == pytest.approx(0.1 * math.sqrt(3), rel=0.05)

    noise = 0.05 * small.exact.std() * random.normal(size=small.exact.shape)
    total, linear, residual = errors(small, small.exact + noise)
    assert total == pytest.approx(0.05, rel=0.02) and residual == pytest.approx(total, rel=0.01)
    assert linear < 0.01

    total, linear, residual = errors(small, x @ wrong + noise)
    assert residual == pytest.approx(0.05, rel=0.03)
    assert linear == pytest.approx(0.1 * math.sqrt(3), rel=0.05)
    assert linear**2 + residual**2 == pytest.approx(total**2)


def test_quantised_weights_are_evenly_spaced():
    weight = np.array([[-1.0, -0.4, 0.1, 0.6]])
    small = Task(weight, np.array([[127]], dtype=np.int8), 127 * weight)
    assert small.step == 1.0
    # 3 levels: -1, 0, 1; and 7: thirds.
    assert quantised(small, 2).tolist() == [[-127, 0, 0, 127]]
    assert quantised(small, 3).tolist() == [[-127, -42, 0, 85]]


def test_bits_between_two_widths():
    widths, shares = (2, 3, 4), (0.4, 0.2, 0.05)
    assert equivalent_bits(0.2, widths, shares) == 3
    assert equivalent_bits(math.sqrt(0.4 * 0.2), widths, shares) == pytest.approx(2.5)
    assert equivalent_bits(0.1, widths, shares) == pytest.approx(3.5)
    assert equivalent_bits(0.9, widths, shares) == 2 and equivalent_bits(0.01, widths, shares) == 4


@pytest.mark.parametrize("mode", [FOUR, ONE])
def test_the_largest_code_is_the_largest_that_does_not_saturate(mode):
    small = task(TINY, vectors=200)
    ideal = settings.find("ideal")
    # A chip whose converters have room for less than the whole array.
    limit = 60 if mode is FOUR else 90
    chip = TINY.model_copy(update={"adc": TINY.adc.model_copy(update={"phase_limit": limit})})
    code = largest_code(chip, mode, small, ideal)
    assert 1 < code < 510

    def counts(gmax: int, chip) -> np.ndarray:
        layer = Layer(name="a", op="dense", outputs=16, relu=False, gmax=gmax, output_scale=1.0)
        graph = Graph(
            format=2, name="a", dataset="random", weights="none", scaling="core",
                nodes=(layer,),
            input=Input(shape=(16,), scale=1.0),
        )  # fmt: skip
        parameters = Weights(small.weight.astype(np.float32), np.zeros(16, np.float32))
        program = compile_network(Network(graph, {"a": parameters}), chip, mode)
        (made,) = computing(program)
        state = pcm_state.ideal(chip, device_codes(program, chip))
        return np.stack(Tile(chip, state).counts(made.config, small.x))

    free = TINY.model_copy(update={"adc": TINY.adc.model_copy(update={"phase_limit": 4000})})
    assert (counts(code, chip) == counts(code, free)).all()
    larger = math.ceil(code * 1.05)
    assert (counts(larger, chip) != counts(larger, free)).any()


def test_devices_may_allow_less(work):
    assert largest_code(HERMES, FOUR, work, settings.find("hermes_odp")) == 255
    assert 255 < largest_code(HERMES, FOUR, work, settings.find("hermes_tdp")) < 510


def test_ideal_devices_leave_the_error_of_rounding_counts(work):
    """Counts are rounded down in each of four windows, and results to steps of 8 bits."""
    ideal = Devices(settings.find("ideal"))
    shares = [share(work.exact, quantised(work, bits)) for bits in mvm_error.BITS]
    found = mvm_error.measure(HERMES, FOUR, ideal, work, shares)
    count = HERMES.nominal_gain / 2**32 * found.gmax  # counts of an exact result of 1
    rounding = math.sqrt(4 / 12 / count**2 + work.step**2 / 12) / work.exact.std()
    assert found.residual == pytest.approx(rounding, rel=0.1)
    assert found.linear < 0.004 and found.bits > 7


@pytest.mark.parametrize(
    ("model", "least", "most"), [("hermes_odp", 2.5, 3.5), ("hermes_tdp", 3, 4)]
)
def test_errors_are_about_the_published_ones(work, model, least, most):
    """Published: ODP like 3-bit weights, TDP between 3 and 4 bits."""
    shares = [share(work.exact, quantised(work, bits)) for bits in mvm_error.BITS]
    request = Devices(settings.find(model), seed=1, age=25.0)
    found = mvm_error.measure(HERMES, FOUR, request, work, shares)
    assert least < found.bits < most
    old = mvm_error.measure(
        HERMES, FOUR, Devices(settings.find(model), 1, 2_592_000.0), work, shares
    )
    assert old.total > found.total and old.bits < found.bits


def test_the_table_has_all_models_and_ages():
    out = io.StringIO()
    mvm_error.run(TINY, FOUR, range(2), Console(file=out, width=250))
    reported = out.getvalue()
    cells = [
        [cell.strip() for cell in line.split("│")[1:-1]]
        for line in reported.splitlines()
        if line.startswith("│")
    ]
    assert [row[0] for row in cells] == ["ideal"] + [
        model for model in ("hermes_odp", "hermes_tdp", "generic") for _ in range(4)
    ]
    assert [row[1] for row in cells[1:5]] == ["25 s", "1 h", "1 d", "30 d"]
    assert [row[-1] for row in cells] == [""] + ["about 3"] * 4 + ["3 to 4"] * 4 + [""] * 4
    assert "one 16x16 tile" in reported and "2 seeds" in reported
    assert reported.splitlines()[-1].startswith("errors of uniformly quantised weights: 2 bits ")
