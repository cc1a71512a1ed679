"""The program image: what is saved is loaded, the same bytes each time, all damage is refused."""

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
    SIDE,
    SUM,
    TINY,
    TINY_BINARY16,
    TO_ALL,
    change_config,
    change_route,
    change_tile,
    configuration,
    partial_sums,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from spec import chip, program_image
from spec.errors import UserError
from spec.formats import ReadMode
from spec.program import ChipProgram, Route, TileProgram, chip_digest

FIXED = 48


def _same(left: ChipProgram, right: ChipProgram) -> bool:
    """Equal in every value and type."""
    np.testing.assert_equal(asdict(left), asdict(right))
    for one, other in zip(left.tiles, right.tiles, strict=True):
        if one.config is not None:
            assert one.config.constants.dtype == other.config.constants.dtype
            assert one.codes.dtype == other.codes.dtype
    return True


def _saved(program: ChipProgram, folder) -> bytes:
    program_image.save(program, folder / "saved.img")
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
    """The one sentence with which the content is refused."""
    path.write_bytes(content)
    with pytest.raises(UserError) as told:
        program_image.load(path, description)
    sentence = str(told.value)
    assert sentence.startswith(f"{path}: ")
    assert "\n" not in sentence
    return sentence.removeprefix(f"{path}: ")


@pytest.mark.parametrize("mode", ReadMode)
def test_what_is_saved_is_loaded(tmp_path, mode):
    program = partial_sums(mode)
    program_image.save(program, tmp_path / "folder" / "a.img")
    for description in (None, TINY):
        assert _same(program_image.load(tmp_path / "folder" / "a.img", description), program)


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
    assert _same(program_image.load(tmp_path / "saved.img", TINY_BINARY16), program)


def test_the_same_program_gives_the_same_bytes(tmp_path):
    assert _saved(partial_sums(), tmp_path) == _saved(partial_sums(), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["saved.img"]


def test_loaded_arrays_are_the_readers_own(tmp_path):
    image = _saved(partial_sums(), tmp_path)
    program_image.load(tmp_path / "saved.img").tiles[0].codes[:] = 0
    assert _same(program_image.load(tmp_path / "saved.img"), partial_sums())
    assert (tmp_path / "saved.img").read_bytes() == image


def test_the_file_is_laid_out_as_documented(tmp_path):
    image = _saved(partial_sums(), tmp_path)
    magic, version, length = struct.unpack("<8sII", image[:16])
    assert (magic, version) == (b"CADUCEUS", program_image.FORMAT)
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
            assert sentence == "not a program image: allowed is what the compiler wrote"
        elif place < 12:
            assert sentence.startswith("program image format ")
            assert sentence.endswith(f": allowed is {program_image.FORMAT}")
        else:
            assert sentence.startswith("checksum does not match its content")


def test_every_truncated_or_longer_file_is_refused(tmp_path):
    image = _saved(partial_sums(), tmp_path)
    for keep in [*range(FIXED + 100), *range(100, len(image), 37), len(image) - 1]:
        _refused(tmp_path / "a.img", image[:keep])
    _refused(tmp_path / "a.img", image + b"\0")
    _refused(tmp_path / "a.img", image[1:])


@settings(deadline=None, max_examples=300)
@given(garbage=st.binary(max_size=300), sealed=st.booleans())
def test_garbage_is_refused(tmp_path_factory, garbage, sealed):
    """Also where magic, version and checksum are right, and only the content is nonsense."""
    folder = tmp_path_factory.mktemp("garbage")
    if sealed:
        start = struct.pack("<8sII", b"CADUCEUS", 1, len(garbage) // 2)
        garbage = start + hashlib.sha256(start + garbage).digest() + garbage
    _refused(folder / "a.img", garbage)


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
        "1 bytes after the last tile's arrays: allowed is 0"
    )
    assert _refused(tmp_path / "a.img", _resealed(image, arrays=arrays[:-1])) == (
        "tile 3: 119 bytes are left for an array: allowed is 120"
    )


JSON_VALUES = (None, True, -1, 0, 1.5, 300, 1 << 70, 10**4000, "", "x", "\n", [], {}, [[]], ["rx"])


def test_any_value_in_any_place_of_the_header_is_told_or_allowed(tmp_path):
    """Never a traceback, whatever a file with a right checksum says."""
    image = _saved(partial_sums(), tmp_path)
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
                program_image.load(path, TINY)
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
    assert sentence == "program image: tiles.1.routes.0.start: allowed is a valid integer"
    sentence = _refused(tmp_path / "a.img", _with_header(image, unknown))
    assert sentence.startswith("program image: tiles.1.colour: ")


def test_missing_and_unreadable_files_are_told(tmp_path):
    with pytest.raises(UserError, match="cannot read the program image: No such file"):
        program_image.load(tmp_path / "none.img")
    with pytest.raises(UserError, match="cannot read the program image: Is a directory"):
        program_image.load(tmp_path)
    with pytest.raises(UserError, match="cannot write the program image"):
        program_image.save(partial_sums(), tmp_path)


def test_another_chip_is_refused(tmp_path):
    image = _saved(partial_sums(), tmp_path)
    sentence = _refused(tmp_path / "a.img", image, chip.find("hermes"))
    assert sentence == "program: made for chip 'tiny': allowed is 'hermes'"
    slower = TINY.model_copy(update={"clocks": TINY.clocks.model_copy(update={"mvm_mhz": 999})})
    sentence = _refused(tmp_path / "a.img", image, slower)
    assert sentence == (
        "program: made for another description of chip 'tiny': allowed is SHA-256 "
        f"{chip_digest(slower)[:16]}..., not {chip_digest(TINY)[:16]}..."
    )


def _wider(rows: int, columns: int) -> ChipProgram:
    program = partial_sums()
    program = change_tile(program, 0, codes=np.zeros((rows, columns, 4), np.uint8))
    program = change_tile(program, 0, config=configuration(rows, columns))
    return change_route(program, 0, TO_ALL, length=rows)


# Refused by `save`, and by `load` without a chip description.
NEVER = [
    (lambda p: replace(p, chip=""), r"program: chip = '': allowed are 1 to 200 printable"),
    (lambda p: replace(p, network="a\nb"), r"program: network = 'a\\nb': allowed are 1 to 200"),
    (lambda p: replace(p, chip_digest="AB"), r"program: chip_digest = 'AB': allowed is a SHA-256"),
    (lambda p: replace(p, input_length=0), r"program: input_length = 0: allowed is 1 to"),
    (lambda p: replace(p, output_length=1 << 31), r"program: output_length = 2147483648: allowed"),
    (lambda p: change_tile(p, 3, tile=-1), r"program: tile = -1: allowed is 0 to"),
    (lambda p: change_tile(p, 0, tile=1), r"tile 1 comes after tile 1: allowed is rising order"),
    (lambda p: change_tile(p, 0, tile=9), r"tile 1 comes after tile 9: allowed is rising order"),
    (lambda p: change_tile(p, 2, tx_stream=None), r"tile 2: tx_stream is missing: allowed is conf"),
    (lambda p: change_tile(p, 1, tx_stream=3), r"tile 1: config is missing: allowed is config"),
    (lambda p: change_tile(p, 2, tx_stream=256), r"tile 2: tx_stream = 256: allowed is 0 to 255"),
    (lambda p: change_config(p, 2, rx_scale=1 << 16), r"tile 2: rx_scale = 65536: allowed is 0 to"),
    (lambda p: _wider(257, 5), r"tile 0: rows = 257: allowed is 1 to 256"),
    (lambda p: _wider(6, 0), r"tile 0: columns = 0: allowed is 1 to 256"),
    (lambda p: change_route(p, 3, SUM, stream=256), r"tile 3: stream = 256: allowed is 0 to 255"),
    (lambda p: change_route(p, 3, SUM, stream=-1), r"tile 3: stream = -1: allowed is 0 to 255"),
    (lambda p: change_route(p, 3, SUM, stream=SIDE), r"tile 3: stream 7 has several routes: allo"),
    (lambda p: change_route(p, 3, SUM, sinks=("up",)), r"tile 3: stream 0: sinks has 'up': allowed "
     "are links, gdpu, host, input, rx"),
    (lambda p: change_route(p, 3, SUM, sinks=()), r"tile 3: stream 0: sinks = \[\]: allowed is at"),
    (lambda p: change_route(p, 3, SUM, sinks=("host",) * 2), r"tile 3: stream 0: sinks = \['host"),
    (lambda p: change_route(p, 3, SUM, start=512), r"tile 3: stream 0: start = 512: allowed is 0"),
    (lambda p: change_route(p, 3, SUM, length=513), r"tile 3: stream 0: length = 513: allowed is"),
    (lambda p: change_route(p, 3, SUM, start=9, length=504), r"tile 3: stream 0: length = 504: al"),
    (lambda p: change_route(p, 3, TO_ALL, length=5), r"tile 3: stream 10: length = 5: allowed for "
     "'input' is the tile's rows, 6"),
    (lambda p: change_route(p, 3, PARTIAL, length=4), r"tile 3: stream 255: length = 4: allowed for"
     " 'rx' is the tile's columns in bytes, 5"),
    (lambda p: change_route(p, 1, TO_ALL, sinks=("input",)), r"tile 1: stream 10: sinks has 'input'"
     ": allowed on a tile with a config only"),
    (lambda p: change_config(p, 3, rx_enable=False), r"tile 3: stream 255: sinks has 'rx': allowed "
     "with rx_enable only"),
    (lambda p: replace(p, inputs=(replace(p.inputs[0], port=-1),)), r"inputs\[0\]: port = -1: al"),
    (lambda p: replace(p, inputs=(replace(p.inputs[0], stream=256),)), r"inputs\[0\]: stream = 25"),
    (lambda p: replace(p, inputs=(replace(p.inputs[0], length=0),)), r"inputs\[0\]: length = 0: a"),
    (lambda p: replace(p, inputs=(replace(p.inputs[0], start=2),)), r"inputs\[0\]: start = 2: allo"
     "wed is 0 to 1"),
    (lambda p: replace(p, outputs=(p.outputs[0], replace(p.outputs[1], start=6))), r"outputs\[1\]: "
     "start = 6: allowed is 0 to 5"),
    (lambda p: replace(p, outputs=p.outputs[:1]), r"outputs: value 0 of the 10 comes from no pack"),
    (lambda p: replace(p, output_length=12), r"outputs: value 10 of the 12 comes from no packet"),
    (lambda p: replace(p, outputs=p.outputs + p.outputs[:1]), r"outputs: value 10 of the 10 comes"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "sentence"), NEVER)
def test_values_beyond_their_limits_are_refused(tmp_path, monkeypatch, change, sentence):
    program = change(partial_sums())
    with pytest.raises(UserError, match=f"^{sentence}"):
        program_image.save(program, tmp_path / "a.img")
    assert not list(tmp_path.iterdir())
    # Another writer may be less careful.
    with monkeypatch.context() as patch:
        patch.setattr(program_image, "check", lambda program: None)
        image = _saved(program, tmp_path)
    (tmp_path / "a.img").write_bytes(image)
    with pytest.raises(UserError, match=f"a.img: {sentence}"):
        program_image.load(tmp_path / "a.img")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda p: change_config(p, 2, read_mode=ReadMode.FOUR_PHASE),
         r"tile 2: read_mode = 4-phase: allowed is the program's, 1-phase"),
        (lambda p: change_tile(p, 2, codes=p.tiles[0].codes[1:]),
         r"tile 2: codes is uint8 \[5, 5, 4\]: allowed is uint8 \[6, 5, 4\]"),
        (lambda p: change_tile(p, 2, codes=p.tiles[0].codes.astype(np.int16)),
         r"tile 2: codes is int16 \[6, 5, 4\]: allowed is uint8 \[6, 5, 4\]"),
    ],
)  # fmt: skip
def test_what_an_image_cannot_hold_is_not_saved(tmp_path, change, sentence):
    with pytest.raises(UserError, match=f"^{sentence}"):
        program_image.save(change(partial_sums()), tmp_path / "a.img")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda p: change_tile(p, 3, tile=4), r"program: tile = 4: allowed is 0 to 3"),
        (lambda p: _wider(17, 5), r"tile 0: rows = 17: allowed is 1 to 16"),
        (lambda p: _wider(6, 17), r"tile 0: columns = 17: allowed is 1 to 16"),
        (lambda p: change_route(p, 0, TO_ALL, sinks=("east_2",)),
         r"tile 0: stream 10: sinks has 'east_2': allowed are east_1, west_1, south_1, north_1, "
         "gdpu, host, input, rx"),
        (lambda p: change_route(p, 0, TO_ALL, sinks=("west_1",)),
         r"tile 0: stream 10: sinks has 'west_1': allowed are links to tiles of the 2x2 grid"),
        (lambda p: change_route(p, 0, PARTIAL, sinks=("host",)),
         r"tile 0: stream 255: sinks has 'host': allowed on tiles 1, 3"),
        (lambda p: replace(p, inputs=(replace(p.inputs[0], port=2),)),
         r"inputs\[0\]: port = 2: allowed is 0 to 1"),
        (lambda p: change_config(p, 0, tx_binary16=True),
         r"tile 0: tx_binary16 = True: allowed where link.partial_sums is binary16, not int8"),
        (lambda p: change_route(p, 3, SUM, length=257),
         r"tile 3: stream 0: length = 257: allowed is 0 to 256"),
        (lambda p: replace(p, inputs=(replace(p.inputs[0], start=0, length=257),),
                           input_length=300),
         r"inputs\[0\]: length = 257: allowed is 1 to 256"),
    ],
)  # fmt: skip
def test_limits_of_the_chip_are_checked_where_it_is_known(tmp_path, change, sentence):
    program_image.save(change(partial_sums()), tmp_path / "a.img")
    program_image.load(tmp_path / "a.img")
    with pytest.raises(UserError, match=f"a.img: {sentence}"):
        program_image.load(tmp_path / "a.img", TINY)


def test_a_part_begins_with_a_beat(tmp_path):
    two = TINY.model_copy(
        update={
            "ldpu": TINY.ldpu.model_copy(update={"lanes": 2}),
            "link": TINY.link.model_copy(update={"units": 2}),
        }
    )
    program = replace(partial_sums(), chip_digest=chip_digest(two))
    program_image.save(program, tmp_path / "a.img")
    with pytest.raises(
        UserError, match=r"tile 2: stream 10: start = 3: allowed is a multiple of link.units \(2\)"
    ):
        program_image.load(tmp_path / "a.img", two)


def test_a_full_chip_goes_in_and_out(tmp_path):
    """64 tiles of 256x256: 16 MiB of codes."""
    hermes = chip.find("hermes")
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
    program_image.save(program, tmp_path / "a.img")
    assert _same(program_image.load(tmp_path / "a.img", hermes), program)
