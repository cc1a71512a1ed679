"""The PCM state file: what is written is read, the same bytes each time, and damage is refused."""

import dataclasses

import numpy as np
import pytest

from caduceus.spec import pcm_state
from caduceus.spec.chip import Chip
from caduceus.spec.errors import UserError
from caduceus.spec.pcm_state import PcmState

TINY = Chip.find("tiny")


@pytest.fixture
def state() -> PcmState:
    random = np.random.default_rng(5)
    rows, columns = TINY.array.rows, TINY.array.columns
    return PcmState(
        chip="tiny",
        seed=0xFEDCBA9876543210,
        codes=random.integers(0, 256, (3, rows, columns, 4), dtype=np.uint8),
        gain_p=random.integers(0, 1 << 24, (3, columns), dtype=np.uint32),
        gain_n=random.integers(0, 1 << 24, (3, columns), dtype=np.uint32),
        offset_p=random.integers(-(1 << 15), 1 << 15, (3, columns), dtype=np.int16),
        offset_n=random.integers(-(1 << 15), 1 << 15, (3, columns), dtype=np.int16),
        noise=random.integers(0, 1 << 16, (3, columns), dtype=np.uint16),
        note="drawn for a test",
    )


def equal(left: PcmState, right: PcmState) -> bool:
    same = all(np.array_equal(getattr(left, f), getattr(right, f)) for f in pcm_state.FIELDS)
    return same and (left.chip, left.seed, left.note) == (right.chip, right.seed, right.note)


def test_what_is_saved_is_loaded(tmp_path, state):
    pcm_state.save(state, tmp_path / "a.pcm")
    assert equal(pcm_state.load(tmp_path / "a.pcm", TINY), state)


def test_the_same_state_gives_the_same_bytes(tmp_path, state):
    pcm_state.save(state, tmp_path / "a.pcm")
    pcm_state.save(state, tmp_path / "b.pcm")
    assert (tmp_path / "a.pcm").read_bytes() == (tmp_path / "b.pcm").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.pcm", "b.pcm"]


def test_no_altered_file_is_taken_for_the_state(tmp_path, state):
    """Every single bit of the smallest state, and random ones of a larger."""
    path = tmp_path / "a.pcm"
    one = np.zeros((1, 1), np.uint32)
    small = PcmState("tiny", 1, np.zeros((1, 1, 1, 4), np.uint8), one, one,
                     one.astype(np.int16), one.astype(np.int16), one.astype(np.uint16))  # fmt: skip
    random = np.random.default_rng(1)
    for chosen in (small, state):
        pcm_state.save(chosen, path)
        content = path.read_bytes()
        bits = 8 * len(content)
        for bit in range(bits) if chosen is small else random.integers(0, bits, 500):
            altered = bytearray(content)
            altered[bit // 8] ^= 1 << bit % 8
            path.write_bytes(altered)
            with pytest.raises(UserError) as refusal:
                pcm_state.load(path)
            assert str(refusal.value).startswith(f"{path}: ")


def test_bytes_added_to_a_file_are_refused(tmp_path, state):
    path = tmp_path / "a.pcm"
    pcm_state.save(state, path)
    for altered in (path.read_bytes() + b"\0", b"\0" + path.read_bytes()):
        path.write_bytes(altered)
        with pytest.raises(UserError):
            pcm_state.load(path)


def test_every_bit_of_the_arrays_is_checked(tmp_path, state):
    path = tmp_path / "a.pcm"
    pcm_state.save(state, path)
    content = path.read_bytes()
    for name in pcm_state.FIELDS:
        raw = getattr(state, name).tobytes()
        start = content.index(raw)
        for place in (start, start + len(raw) // 2, start + len(raw) - 1):
            altered = bytearray(content)
            altered[place] ^= 0x10
            path.write_bytes(altered)
            with pytest.raises(UserError):
                pcm_state.load(path)


@pytest.mark.parametrize("keep", [0, 1, 7, 20, 100, 1000, -1])
def test_a_truncated_file_is_refused(tmp_path, state, keep):
    path = tmp_path / "a.pcm"
    pcm_state.save(state, path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(UserError, match=str(path)):
        pcm_state.load(path)


def test_other_files_are_refused(tmp_path, state):
    with pytest.raises(UserError, match="cannot read the PCM state: No such file"):
        pcm_state.load(tmp_path / "none.pcm")
    np.save(tmp_path / "plain.npy", np.zeros(3))
    with pytest.raises(UserError, match="not a PCM state, or damaged"):
        pcm_state.load(tmp_path / "plain.npy")
    np.savez(tmp_path / "other.npz", header=np.frombuffer(b"[]", np.uint8))
    with pytest.raises(UserError, match="not a PCM state, or damaged"):
        pcm_state.load(tmp_path / "other.npz")


def test_another_chip_is_refused(tmp_path, state):
    pcm_state.save(state, tmp_path / "a.pcm")
    with pytest.raises(UserError, match=r"chip: got 'tiny' with 16x16 arrays, expected 'her"):
        pcm_state.load(tmp_path / "a.pcm", Chip.find("hermes"))


def test_an_unwritable_place_is_reported_and_nothing_is_left(tmp_path, state):
    (tmp_path / "folder").mkdir()
    with pytest.raises(UserError, match="cannot write the PCM state"):
        pcm_state.save(state, tmp_path / "folder")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"seed": -1}, r"seed: got -1, expected 0 to"),
        ({"seed": 1 << 64}, r"expected 0 to"),
        (
            {"gain_p": np.full((3, 16), 1 << 24, np.uint32)},
            r"gain_p: got 16777216, expected at most",
        ),
        ({"noise": np.zeros((3, 15), np.uint16)}, r"noise: got uint16 \[3, 15\], expected"),
        ({"offset_p": np.zeros((3, 16), np.int32)}, r"offset_p: got int32 .*, expected int16"),
        ({"codes": np.zeros((3, 16, 16), np.uint8)}, r"codes: shape: got \[3, 16, 16\]"),
    ],
)
def test_impossible_states_are_refused(state, change, sentence):
    with pytest.raises(UserError, match=sentence):
        dataclasses.replace(state, **change)


def test_an_image_is_laid_out_as_documented(tmp_path, state):
    words = pcm_state.words(state, 2)
    assert list(words[:5]) == [pcm_state.MEMORY_MAGIC, 16 << 16 | 16, 0x76543210, 0xFEDCBA98, 2]
    row, column = 7, 11
    cell = words[5 + row * 16 + column]
    assert list(state.codes[2, row, column]) == [cell >> shift & 0xFF for shift in (0, 8, 16, 24)]
    gain_p, gain_n, offsets, noise = words[5 + 256 + 4 * column :][:4]
    assert (gain_p, gain_n) == (state.gain_p[2, column], state.gain_n[2, column])
    assert offsets == int(state.offset_n[2, column]) % 65536 << 16 | (
        int(state.offset_p[2, column]) % 65536
    )
    assert noise == state.noise[2, column]
    pcm_state.write_hex(state, 2, tmp_path / "image.hex")
    lines = (tmp_path / "image.hex").read_text().split()
    assert [int(line, 16) for line in lines] == list(words)
