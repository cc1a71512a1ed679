"""What training left behind of the recurrent networks, and what surrounds it.

Nothing here needs PyTorch or the Penn Treebank. The chip's arithmetic is written out in
`recurrent_reference`, to show that the committed networks predict text with it.
"""

import os
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray
from recurrent_reference import RecurrentReference, bits_per_character, tanh
from weights_files import same_arrays

from caduceus.data import characters
from caduceus.data.streams import IGNORED, streams
from caduceus.spec import formats, gdpu
from caduceus.spec.chip import Chip
from caduceus.spec.errors import UserError
from caduceus.spec.network import NETWORKS, TEXT, Network
from caduceus.spec.shipped import shipped_folder
from train.export import export
from train.ptb import main
from train.random_lstm import random_lstm
from train.recurrent_task import SHAPES, task
from train.text import own_text, symbols_of

ROOT = Path(__file__).resolve().parent.parent
TINY_TEXT = shipped_folder(NETWORKS) / "lstm_tiny" / TEXT
EVERY = [*sorted(SHAPES), "lstm_504"]

each_network = pytest.mark.parametrize("name", EVERY)
each_trained = pytest.mark.parametrize("name", sorted(SHAPES))
each_mode = pytest.mark.parametrize("mode", formats.ReadMode)

# Ours, in the treebank's manner: lower case, N for a number, <unk> for a rare word.
NEWS = """ the company said it will sell the unit to a group of new york investors for $ N million 
 the chip maker said that third-quarter profit rose N percent to $ N million or N cents a share 
 mr. <unk> who is chairman and chief executive of the bank said the market is not ready for it 
 the president 's plan would help them do more of their business with the government 
"""  # noqa: W291


# --- the committed networks ----------------------------------------------------------------------
@each_trained
def test_committed_network_has_the_shapes_that_training_describes(name: str) -> None:
    committed = Network.find(name).graph
    described = task(name, committed.input.symbols, SHAPES[name].dataset).untrained
    free = {"input_gmax", "hidden_gmax", "gate_scales", "output_scale"}
    (lstm, dense), (free_lstm, free_dense) = described.nodes, committed.nodes
    update = {
        "nodes": (
            lstm.model_copy(update={key: getattr(free_lstm, key) for key in free}),
            dense.model_copy(
                update={key: getattr(free_dense, key) for key in ("gmax", "output_scale")}
            ),
        ),
        "metric": committed.metric,
        "scaling": "column" if name == "lstm_ptb" else "core",
    }
    assert committed == described.model_copy(update=update)


def test_the_ptb_network_has_the_published_size() -> None:
    weights, dense = Network.find("lstm_ptb").weights.values()
    matrices = (weights.input, weights.hidden, dense.weight)
    assert [matrix.shape for matrix in matrices] == [(128, 2016), (504, 2016), (504, 50)]
    assert sum(matrix.size for matrix in matrices) == 1_299_312
    assert weights.bias.size + dense.bias.size == 2_066


def test_the_tiny_network_reads_its_own_text() -> None:
    committed = Network.find("lstm_tiny").graph
    assert committed.input.symbols == symbols_of(own_text(TINY_TEXT))
    assert len(committed.input.symbols) <= Chip.find("tiny").array.columns


@each_network
def test_committed_arrays_have_their_types(name: str) -> None:
    committed = Network.find(name).graph
    with np.load(shipped_folder(NETWORKS) / name / committed.weights) as arrays:
        kinds = {array: arrays[array].dtype for array in arrays.files}
    expected = {
        "lstm.input": np.float16, "lstm.hidden": np.float16, "lstm.bias": np.float32,
        "embedding": np.int8, "dense.weight": np.float16, "dense.bias": np.float32,
        "lstm.input_gmax": np.uint16, "lstm.hidden_gmax": np.uint16, "dense.gmax": np.uint16,
    }  # fmt: skip
    assert all(kinds[array] == expected[array] for array in kinds)
    assert kinds.keys() <= expected.keys()


@pytest.mark.parametrize("name", sorted(SHAPES))
def test_export_writes_the_committed_files_again(name: str, tmp_path: Path) -> None:
    found = Network.find(name)
    committed, weights = found.graph, found.weights
    with np.load(shipped_folder(NETWORKS) / name / committed.weights) as arrays:
        export(committed, dict(arrays), tmp_path)
    shipped, description = shipped_folder(NETWORKS) / name, "network.yaml"
    assert (tmp_path / description).read_bytes() == (shipped / description).read_bytes()
    assert same_arrays(tmp_path / committed.weights, shipped / committed.weights)
    again = Network.load(tmp_path / "network.yaml")
    assert again.graph == committed
    np.testing.assert_array_equal(again.weights["lstm"].hidden, weights["lstm"].hidden)


def test_the_script_writes_the_random_network_again(tmp_path: Path) -> None:
    network, arrays = random_lstm("lstm_504")
    export(network, arrays, tmp_path, compressed=True)
    shipped = shipped_folder(NETWORKS) / "lstm_504"
    assert (tmp_path / "network.yaml").read_bytes() == (shipped / "network.yaml").read_bytes()
    # How well the file is compressed is the library's business.
    with np.load(shipped / "weights.npz") as found:
        assert found.files == list(arrays)
        for name, array in arrays.items():
            np.testing.assert_array_equal(found[name], array)


# --- the committed networks in the chip's arithmetic ---------------------------------------------
@dataclass
class Reading:
    """A text read by a network in the chip's arithmetic."""

    reference: RecurrentReference
    bpc: float

    @property
    def saturated(self) -> float:
        """Largest share of a tile's conversions that saturate."""
        return max(m.saturated / m.conversions for m in self.reference.matrices)


def read(
    name: str,
    text: str,
    mode: formats.ReadMode = formats.ReadMode.FOUR_PHASE,
    **changes: int,
) -> Reading:
    network = Network.find(name)
    lstm, dense = network.graph.nodes
    nodes = lstm.model_copy(update=changes), dense
    network = replace(network, graph=network.graph.model_copy(update={"nodes": nodes}))
    network = network.per_core() if changes else network
    numbers = characters.encode(text, network.graph.input.symbols)
    model = RecurrentReference(network, Chip.find(SHAPES[name].chip_name), mode)
    total = 0.0
    for symbol, target in zip(numbers[:-1, np.newaxis], numbers[1:, np.newaxis], strict=True):
        logits = model.read(symbol) * dense.output_scale
        total += float(bits_per_character(logits, target)[0])
    return Reading(model, total / (len(numbers) - 1))


def float_bpc(name: str, text: str) -> float:
    """The network in binary64, with nothing rounded but its inputs."""
    network = Network.find(name)
    weights, dense = network.weights.values()
    numbers = characters.encode(text, network.graph.input.symbols)
    scale = network.graph.input.scale
    table = network.embedding * scale @ weights.input.astype(np.float64)
    h = c = np.zeros(network.graph.nodes[0].hidden)
    logits = []
    for symbol in numbers[:-1]:
        z = table[symbol] + h @ weights.hidden + weights.bias
        i, a, f, o = z.reshape(4, -1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(a)
        h = sigmoid(o) * np.tanh(c)
        logits.append(h @ dense.weight + dense.bias)
    return float(bits_per_character(np.array(logits), numbers[1:]).mean())


def sigmoid(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1 / (1 + np.exp(-x))


def test_float_bpc_of_the_tiny_network_is_what_its_description_says() -> None:
    network = Network.find("lstm_tiny").graph
    assert float_bpc("lstm_tiny", own_text(TINY_TEXT)) == pytest.approx(
        network.metric.float, abs=0.002
    )


@each_mode
def test_the_tiny_network_predicts_its_text_in_the_chips_arithmetic(
    mode: formats.ReadMode,
) -> None:
    network = Network.find("lstm_tiny").graph
    reading = read("lstm_tiny", own_text(TINY_TEXT), mode)
    assert reading.bpc == pytest.approx(network.metric.float, abs=0.05)
    assert reading.saturated < 1e-3


@each_mode
def test_the_ptb_network_predicts_english_in_the_chips_arithmetic(mode: formats.ReadMode) -> None:
    """As well as in floating point; guessing costs log2(50) = 5.6 bits."""
    reading = read("lstm_ptb", NEWS, mode)
    assert reading.bpc < 2.5
    assert reading.bpc == pytest.approx(float_bpc("lstm_ptb", NEWS), abs=0.05)
    assert reading.saturated < 1e-4


def test_gmax_too_large_would_saturate() -> None:
    """The saturation check above can fail: here with one code for all columns."""
    assert read("lstm_ptb", NEWS[:40], hidden_gmax=formats.CELL_MAX).saturated > 1e-2


def test_the_random_network_neither_saturates_nor_sleeps() -> None:
    network = Network.find("lstm_504")
    reference = RecurrentReference(network, Chip.find("hermes"), batch=2)
    random = np.random.default_rng(1)
    limit = formats.INT8_MAX
    for _ in range(4):
        h = reference.step(random.integers(-limit, limit + 1, (2, network.graph.input.size)))
    assert not any(matrix.saturated for matrix in reference.matrices)
    assert np.abs(h).mean() > 10


def test_the_references_table_of_tanh_is_near_tanh() -> None:
    x = np.linspace(-8, 8, 1001).astype(np.float16).astype(np.float64)
    np.testing.assert_allclose(tanh(x), np.tanh(x), atol=gdpu.TANH_ERROR)


# --- streams -------------------------------------------------------------------------------------
@pytest.mark.parametrize(("length", "count", "warm_up"), [(1000, 7, 20), (64, 4, 16), (9, 512, 0)])
def test_every_character_but_the_first_is_predicted_once(
    length: int, count: int, warm_up: int
) -> None:
    text = np.arange(length)
    cut = streams(text, count, warm_up)
    counted = cut.targets[cut.targets != IGNORED]
    assert sorted(counted) == list(range(1, length))
    assert cut.counted == length - 1
    following = cut.targets != IGNORED
    np.testing.assert_array_equal(cut.numbers[following] + 1, cut.targets[following])


def test_streams_are_warmed_up_with_what_comes_before() -> None:
    cut = streams(np.arange(101), 5, 10)
    assert cut.numbers.shape == (30, 5)
    assert (cut.targets[:10] == IGNORED).all()
    np.testing.assert_array_equal(cut.numbers[:, 1], np.arange(10, 40))


def test_a_short_text_has_fewer_streams() -> None:
    assert streams(np.arange(101), 5, 50).numbers.shape[1] == 2
    alone = streams(np.arange(20), 5, 50)
    assert (alone.numbers.shape[1], alone.warm_up) == (1, 0)


# --- characters ----------------------------------------------------------------------------------
def test_symbols_are_numbered_by_code_point() -> None:
    assert symbols_of("hello\n") == "\nehlo"
    np.testing.assert_array_equal(characters.encode("hole", "\nehlo"), [2, 4, 3, 1])


def test_a_foreign_character_is_named_with_its_place() -> None:
    with pytest.raises(UserError, match=r"text: character 3: got 'é', expected one of .*'acf'"):
        characters.encode("café", "acf")


def test_an_unknown_split_lists_those_there_are() -> None:
    with pytest.raises(UserError, match=r"^split: got 'dev', expected one of train, valid, test"):
        characters.penn_treebank("dev")


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"aaa", r"has 1 different characters: expected 2 to 256"),
        ("".join(map(chr, range(32, 400))).encode(), r"has 368 different characters"),
        (b"\xff\xfe", r"cannot read the text: it is not UTF-8"),
        (None, r"cannot read the text: No such file"),
    ],
)
def test_a_text_that_cannot_be_used_is_described(
    tmp_path: Path, data: bytes | None, sentence: str
) -> None:
    file = tmp_path / "text"
    if data is not None:
        file.write_bytes(data)
    with pytest.raises(UserError, match=sentence):
        own_text(file)


# --- the command line, as far as it goes without PyTorch -----------------------------------------
def refuses(*options: str) -> str:
    result = CliRunner().invoke(main, options)
    assert result.exit_code == 2
    return result.output


def test_training_without_the_treebank_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "treebank", None)  # an import of it fails
    output = refuses("--network", "lstm_ptb")
    assert output.count("\n") == 1
    assert "make accuracy NET=lstm_ptb" in output


def test_an_unknown_network_lists_those_there_are() -> None:
    assert "'lstm_ptb', 'lstm_tiny'" in refuses("--network", "gru")


@pytest.mark.parametrize("option", ["--text", "--resume"])
def test_what_belongs_to_one_network_needs_its_name(option: str) -> None:
    assert f"{option} file: say with --network which network" in refuses(option, "file")


def test_a_text_of_ones_own_does_not_overwrite_a_committed_network() -> None:
    options = ("--network", "lstm_tiny", "--text", str(TINY_TEXT))
    assert "say with --output where its network should go" in refuses(*options)


def test_a_missing_checkpoint_is_one_sentence(tmp_path: Path) -> None:
    options = ("--network", "lstm_tiny", "--resume", str(tmp_path / "none"))
    assert "there is no such file" in refuses(*options)


def test_a_text_that_is_too_short_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("to be")
    options = ("--network", "lstm_tiny", "--output", str(tmp_path / "out"))
    output = refuses(*options, "--text", str(tmp_path / "text"))
    assert "the text has 5 characters: with --batch 4 and --steps 32 more than 128 are" in output
    assert not (tmp_path / "out").exists()


def test_training_without_pytorch_is_one_sentence(tmp_path: Path) -> None:
    """In its own process, where an import of PyTorch fails whether it is installed or not."""
    absent = "raise ModuleNotFoundError(\"No module named 'torch'\", name='torch')\n"
    (tmp_path / "torch.py").write_text(absent)
    output = tmp_path / "output"
    result = subprocess.run(
        [sys.executable, "-m", "train.ptb", "--network", "lstm_tiny", "--output", str(output)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    assert "training needs PyTorch" in result.stderr
    assert not output.exists()
