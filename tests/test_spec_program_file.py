"""The program file: what is saved is loaded, the same bytes each time, all damage is refused."""

import hashlib
import json
import struct
from dataclasses import asdict, replace
from random import Random

import numpy as np
import pytest
from chip_programs import (
    COLUMNS,
    PARTIAL,
    ROWS,
    TINY,
    TINY_BINARY16,
    change_config,
    change_tile,
    configuration,
    partial_sums,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from caduceus.compiler.network import compile_network
from caduceus.spec import chip, program_file, sealed
from caduceus.spec.chip import Chip
from caduceus.spec.errors import UserError
from caduceus.spec.formats import ReadMode
from caduceus.spec.graph import Graph
from caduceus.spec.host_ends import HostEnds, HostOperator
from caduceus.spec.network import Network
from caduceus.spec.program import Program, ProgramTensor, Route, TileProgram, chip_digest

FIXED = 48


def _same(left: Program, right: Program) -> bool:
    """Equal in every value and type."""
    np.testing.assert_equal(asdict(left), asdict(right))
    for one, other in zip(left.tiles, right.tiles, strict=True):
        if one.config is not None:
            assert one.config.constants.dtype == other.config.constants.dtype
            assert one.codes.dtype == other.codes.dtype
    return True


def _saved(program: Program, folder) -> bytes:
    program_file.save(program, folder / "saved.img")
    return (folder / "saved.img").read_bytes()


def _resealed(image: bytes, header: bytes | None = None, arrays: bytes | None = None) -> bytes:
    """The image with another header or arrays and a checksum that fits: made on purpose."""
    length = struct.unpack("<I", image[12:16])[0]
    header = image[FIXED : FIXED + length] if header is None else header
    arrays = image[FIXED + length :] if arrays is None else arrays
    start = image[:12] + struct.pack("<I", len(header))
    return start + hashlib.sha256(start + header + arrays).digest() + header + arrays


def _with_header(image: bytes, change) -> bytes:
    """The image with its header changed in place by `change`."""
    length = struct.unpack("<I", image[12:16])[0]
    header = json.loads(image[FIXED : FIXED + length])
    change(header)
    return _resealed(image, json.dumps(header).encode())


def _refused(path, content: bytes, description: chip.Chip | None = None) -> str:
    """The sentence of the refusal."""
    path.write_bytes(content)
    with pytest.raises(UserError) as raised:
        program_file.load(path, description)
    sentence = str(raised.value)
    assert sentence.startswith(f"{path}: ")
    assert "\n" not in sentence
    return sentence.removeprefix(f"{path}: ")


@pytest.mark.parametrize("mode", ReadMode)
def test_what_is_saved_is_loaded(tmp_path, mode):
    program = partial_sums(mode)
    program_file.save(program, tmp_path / "folder" / "a.img")
    for description in (None, TINY):
        assert _same(program_file.load(tmp_path / "folder" / "a.img", description), program)


def test_every_value_comes_back(tmp_path):
    random = np.random.default_rng(8)
    program = partial_sums()
    constants = random.integers(0, 1 << 16, (COLUMNS, 5), dtype=np.uint16)
    codes = random.integers(0, 256, (ROWS, COLUMNS, 4), dtype=np.uint8)
    program = change_tile(program, 3, codes=codes)
    program = change_config(program, 3, constants=constants, rx_scale=0xBEEF, relu_1=True)
    program = change_config(program, 2, tx_binary16=True)
    # The compiler's numbers and arrays may be NumPy's, and views of larger ones.
    program = change_config(program, 0, constants=program.tiles[0].config.constants[::-1])
    program = replace(
        program, input_length=np.int64(13), chip_digest=chip_digest(TINY_BINARY16),
        outputs=(replace(program.outputs[0], start=10), replace(program.outputs[1], length=10)),
        output_length=15,
    )  # fmt: skip
    _saved(program, tmp_path)
    assert _same(program_file.load(tmp_path / "saved.img", TINY_BINARY16), program)


def _with_network() -> Program:
    """What a host needs besides: tensors, symbols and typical inputs."""
    random = np.random.default_rng(9)
    size = 2 * ROWS + 1
    return replace(
        partial_sums(), input=ProgramTensor((size,), 0.25), output=ProgramTensor((1, 2, 5), 1e-3),
        symbols="ab\n", embedding=random.integers(-127, 128, (3, size), dtype=np.int8),
        sample=random.integers(-127, 128, (4, 1, size), dtype=np.int8), largest_code=255,
    )  # fmt: skip


def test_what_a_host_needs_comes_back(tmp_path):
    program = _with_network()
    image = _saved(program, tmp_path)
    assert image.endswith(program.embedding.tobytes() + program.sample.tobytes())
    loaded = program_file.load(tmp_path / "saved.img", TINY)
    assert _same(loaded, program)
    assert loaded.embedding.dtype == loaded.sample.dtype == np.int8
    assert not loaded.sequences and loaded.vectors(loaded.sample.ravel()).shape == (4, 1, 13)


NORMALIZE = HostOperator("normalize", "/sub", (0.5,), (1.0,))
ENDS = HostEnds("vector", (NORMALIZE,), (HostOperator("softmax", "/out"),), pixels=True)


def _with_ends() -> Program:
    return replace(_with_network(), host=ENDS)


def test_what_the_host_does_comes_back(tmp_path):
    _saved(_with_ends(), tmp_path)
    loaded = program_file.load(tmp_path / "saved.img", TINY)
    assert _same(loaded, _with_ends()) and loaded.host == ENDS


def test_an_embedding_of_the_host_needs_no_symbols(tmp_path):
    network = Network.find("lstm_tiny")
    content = network.graph.model_dump(exclude_unset=True, exclude={"metric"})
    content["input"].pop("symbols")
    content |= {"dataset": "own", "host": {"before": ({"op": "embedding", "entries": 16},)}}
    own = replace(network, graph=Graph.model_validate(content), text=None)
    program = compile_network(own, TINY, ReadMode.ONE_PHASE)
    _saved(program, tmp_path)
    loaded = program_file.load(tmp_path / "saved.img", TINY)
    assert _same(loaded, program) and loaded.symbols is None
    np.testing.assert_array_equal(loaded.embedding, network.embedding)
    for change, sentence in (
        ({"embedding": None}, "embedding: got nothing, expected the vectors of the host's"),
        ({"symbols": "ab"}, "symbols: got some, expected none: the host has an embedding"),
    ):
        with pytest.raises(UserError, match=f"^program: {sentence}"):
            program_file.save(replace(program, **change), tmp_path / "a.img")


def _before(*operators: HostOperator) -> dict:
    return {"host": HostEnds(before=operators)}


HOST_LIMITS = [
    ({"input": ProgramTensor((14,), 1.0)}, r"input\.shape: got \[14\], expected a shape of 13"),
    ({"input": ProgramTensor((-1, -13), 1.0)}, r"input\.shape: got \[-1, -13\], expected a shape"),
    ({"output": ProgramTensor((10,), 0.0)}, r"output\.scale: got 0, expected above 0, below 1000"),
    ({"symbols": None}, "symbols without embedding or the reverse: expected both or none"),
    ({"embedding": None}, "symbols without embedding or the reverse: expected both or none"),
    ({"symbols": "aba"}, "symbols: got 'aba', expected 2 to 256 characters that are all different"),
    ({"symbols": "abcd"}, r"embedding: got int8 \[3, 13\], expected int8 \[4, 13\]"),
    ({"sample": np.zeros((2, 13), np.int8)}, r"sample: got int8 \[2, 13\], expected int8 \[1, 1"),
    ({"sample": np.zeros((0, 1, 13), np.int8)}, r"sample: got int8 \[0, 1, 13\], expected int8"),
    ({"sample": np.full((2, 1, 13), -128, np.int8)}, "sample: got -128, expected -127 to 127"),
    ({"largest_code": 511}, "largest_code: got 511, expected 1 to 510"),
    ({"largest_code": 0}, "largest_code: got 0, expected 1 to 510"),
    ({"input": None, "host": ENDS}, "host: got operators without an input, expected none"),
    (_before(HostOperator("normalize")), r"host\.before\.0\.normalize\.factor: "),
    (_before(HostOperator("normalize", None, (1.0, 2.0), (0.0,))), r"host\.before\.0\.factor: "),
    (_before(HostOperator("softmax")), r"host\.before\.0: "),
    (_before(replace(NORMALIZE, shift=(1e99,))), r"host\.before\.0\.normalize\.shift\.0: "),
    ({"host": HostEnds(after=(HostOperator("last_step"),))}, r"host\.after\.0\.op: got 'last"),
    ({"host": HostEnds(after=(NORMALIZE,))}, r"host\.after\.0\."),
    ({"host": HostEnds(after=(HostOperator("argmax"),) * 2)}, "host.*argmax at most once"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "sentence"), HOST_LIMITS)
def test_what_a_host_cannot_use_is_refused(tmp_path, monkeypatch, change, sentence):
    program = replace(_with_network(), **change)
    with pytest.raises(UserError, match=f"^program: {sentence}"):
        program_file.save(program, tmp_path / "a.img")
    with monkeypatch.context() as patch:
        patch.setattr(program_file, "check", lambda program: None)
        program_file.save(program, tmp_path / "a.img")
    with pytest.raises(UserError, match=f"a.img: program: {sentence}"):
        program_file.load(tmp_path / "a.img")


def test_the_same_program_gives_the_same_bytes(tmp_path):
    assert _saved(partial_sums(), tmp_path) == _saved(partial_sums(), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["saved.img"]


def test_loaded_arrays_are_the_readers_own(tmp_path):
    image = _saved(partial_sums(), tmp_path)
    program_file.load(tmp_path / "saved.img").tiles[0].codes[:] = 0
    assert _same(program_file.load(tmp_path / "saved.img"), partial_sums())
    assert (tmp_path / "saved.img").read_bytes() == image


def test_the_file_is_laid_out_as_documented(tmp_path):
    image = _saved(partial_sums(), tmp_path)
    magic, version, length = struct.unpack("<8sII", image[:16])
    assert (magic, version) == (b"CADUCEUS", program_file.FORMAT)
    assert image[16:FIXED] == hashlib.sha256(image[:16] + image[FIXED:]).digest()
    header = json.loads(image[FIXED : FIXED + length])
    assert header["tiles"][3]["routes"][1] == {
        "stream": PARTIAL, "sinks": ["rx"], "start": 0, "length": COLUMNS, "part": 0,
    }  # fmt: skip
    tiles = [tile for tile in partial_sums().tiles if tile.config]
    arrays = [(tile.config.constants.astype("<u2"), tile.codes) for tile in tiles]
    assert image[FIXED + length :] == b"".join(one.tobytes() for pair in arrays for one in pair)


def test_every_flipped_bit_is_refused(tmp_path):
    image = _saved(partial_sums(), tmp_path)
    random = Random(1)
    places = [*range(FIXED + 8), *random.sample(range(len(image)), 400), len(image) - 1]
    for place in places:
        altered = bytearray(image)
        altered[place] ^= 1 << random.randrange(8)
        sentence = _refused(tmp_path / "a.img", altered)
        if place < 8:
            assert sentence == "not a program file, or damaged"
        elif place < 12:
            assert sentence.startswith("program file: format version: got ")
            assert sentence.endswith(f", expected {program_file.FORMAT}")
        else:
            assert sentence.startswith("checksum does not match its content")


def test_every_truncated_or_longer_file_is_refused(tmp_path):
    image = _saved(partial_sums(), tmp_path)
    for keep in [*range(FIXED + 100), *range(100, len(image), 37), len(image) - 1]:
        _refused(tmp_path / "a.img", image[:keep])
    _refused(tmp_path / "a.img", image + b"\0")
    _refused(tmp_path / "a.img", image[1:])


@settings(deadline=None, max_examples=300)
@given(garbage=st.binary(max_size=300), whole=st.booleans())
def test_garbage_is_refused(tmp_path_factory, garbage, whole):
    """Also where magic, version and checksum are right, and only the content is nonsense."""
    folder = tmp_path_factory.mktemp("garbage")
    if whole:
        start = struct.pack("<8sII", b"CADUCEUS", program_file.FORMAT, len(garbage) // 2)
        garbage = start + hashlib.sha256(start + garbage).digest() + garbage
    _refused(folder / "a.img", garbage)


def test_a_header_too_long_for_memory_is_refused_unread(tmp_path):
    image = _saved(partial_sums(), tmp_path)
    assert _refused(tmp_path / "a.img", _resealed(image, b"[" + b"[]," * (3 << 20))) == (
        f"program file: header: got {1 + 9 * (1 << 20)} bytes, expected at most {sealed.HEADER_MAX}"
    )


def test_a_header_that_was_made_otherwise_is_refused(tmp_path):
    image = _saved(partial_sums(), tmp_path)
    for nonsense in (b"", b"[" * 100_000, b"{}", b"null", b'{"chip": "\\ud800"}', b"\xff"):
        _refused(tmp_path / "a.img", _resealed(image, nonsense))
    length = struct.unpack("<I", image[12:16])[0]
    longer = image[:12] + struct.pack("<I", 0xFFFFFFFF) + bytes(32) + image[FIXED:]
    digest = hashlib.sha256(longer[:16] + longer[FIXED:]).digest()
    _refused(tmp_path / "a.img", longer[:16] + digest + longer[FIXED:])
    arrays = image[FIXED + length :]
    assert _refused(tmp_path / "a.img", _resealed(image, arrays=arrays + b"x")) == (
        "program file: bytes after the last array: got 1, expected 0"
    )
    assert _refused(tmp_path / "a.img", _resealed(image, arrays=arrays[:-1])) == (
        "program file: tiles.3.codes: bytes left for the array: got 119, expected 120"
    )


JSON_VALUES = (None, True, -1, 0, 1.5, 300, 1 << 70, 10**4000, "", "x", "\n", [], {}, [[]], ["rx"])


def test_any_value_in_any_place_of_the_header_is_refused_or_accepted(tmp_path):
    """Never a traceback, whatever a file with a right checksum says."""
    image = _saved(_with_ends(), tmp_path)
    length = struct.unpack("<I", image[12:16])[0]
    text = image[FIXED : FIXED + length]

    def places(node, at=()):
        yield at
        if isinstance(node, list):
            node = dict(enumerate(node))
        for key, child in node.items() if isinstance(node, dict) else ():
            yield from places(child, (*at, key))

    path = tmp_path / "a.img"
    refused = 0
    for at in places(json.loads(text)):
        for value in (*JSON_VALUES, ...):
            header = json.loads(text)
            node = header
            for key in at[:-1]:
                node = node[key]
            if not at:
                header = None if value is ... else value
            elif value is ...:
                del node[at[-1]]
            else:
                node[at[-1]] = value
            path.write_bytes(_resealed(image, json.dumps(header).encode()))
            try:
                program_file.load(path, TINY)
            except UserError as error:
                assert "\n" not in str(error)
                assert len(str(error)) < 400 + len(str(path))
                refused += 1
    assert refused > 1000


def test_wrong_types_in_the_header_name_the_key(tmp_path):
    image = _saved(partial_sums(), tmp_path)

    def wrong_type(header):
        header["tiles"][1]["routes"][0]["start"] = "zero"

    def unknown(header):
        header["tiles"][1]["colour"] = 1

    sentence = _refused(tmp_path / "a.img", _with_header(image, wrong_type))
    assert sentence == "program file: tiles.1.routes.0.start: expected a valid integer"
    sentence = _refused(tmp_path / "a.img", _with_header(image, unknown))
    assert sentence.startswith("program file: tiles.1.colour: ")


def test_missing_and_unreadable_files_are_reported(tmp_path):
    with pytest.raises(UserError, match="cannot read the program file: No such file"):
        program_file.load(tmp_path / "none.img")
    with pytest.raises(UserError, match="cannot read the program file: Is a directory"):
        program_file.load(tmp_path)
    with pytest.raises(UserError, match="cannot write the program file"):
        program_file.save(partial_sums(), tmp_path)


def test_another_chip_is_refused(tmp_path):
    image = _saved(partial_sums(), tmp_path)
    sentence = _refused(tmp_path / "a.img", image, Chip.find("hermes"))
    assert sentence == "program: chip: got 'tiny', expected 'hermes'"
    slower = TINY.model_copy(update={"clocks": TINY.clocks.model_copy(update={"mvm_mhz": 999})})
    sentence = _refused(tmp_path / "a.img", image, slower)
    assert sentence == (
        "program: made for another description of chip 'tiny': SHA-256: got "
        f"{chip_digest(TINY)[:16]}..., expected {chip_digest(slower)[:16]}..."
    )


def test_a_full_chip_goes_in_and_out(tmp_path):
    """64 tiles of 256x256: 16 MiB of codes."""
    hermes = Chip.find("hermes")
    random = np.random.default_rng(2)
    tiles = tuple(
        TileProgram(
            number,
            tuple(Route(stream, ("input",), 0, 256) for stream in range(256)),
            configuration(256, 256),
            random.integers(0, 256, (256, 256, 4), dtype=np.uint8),
            number,
        )
        for number in range(64)
    )
    program = replace(partial_sums(), chip="hermes", chip_digest=chip_digest(hermes), tiles=tiles)
    program_file.save(program, tmp_path / "a.img")
    assert _same(program_file.load(tmp_path / "a.img", hermes), program)
