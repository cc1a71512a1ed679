"""Values beyond their limits are in no program file: neither saved nor loaded."""

from dataclasses import replace

import numpy as np
import pytest
from chip_programs import (
    PARTIAL,
    SIDE,
    SUM,
    TINY,
    TO_ALL,
    change_config,
    change_route,
    change_tile,
    configuration,
    partial_sums,
)

from caduceus.spec import program_file
from caduceus.spec.errors import UserError
from caduceus.spec.formats import ReadMode
from caduceus.spec.program import Program, chip_digest


def _wider(rows: int, columns: int) -> Program:
    program = partial_sums()
    program = change_tile(program, 0, codes=np.zeros((rows, columns, 4), np.uint8))
    program = change_tile(program, 0, config=configuration(rows, columns))
    return change_route(program, 0, TO_ALL, length=rows)


def _turn(program: Program, parts: int, part: int) -> Program:
    """RX vectors come of `parts` streams in turn; the one there is has turn `part`."""
    return change_route(change_config(program, 3, rx_parts=parts), 3, PARTIAL, part=part)


# Refused by `save`, and by `load` without a chip description.
NEVER = [
    (lambda p: replace(p, chip=""), r"program: chip: got '', expected 1 to 200 printable"),
    (lambda p: replace(p, network="a\nb"), r"program: network: got 'a\\nb', expected 1 to 200"),
    (lambda p: replace(p, chip_digest="AB"), r"program: chip_digest: got 'AB', expected a SHA-256"),
    (lambda p: replace(p, input_length=0), r"program: input_length: got 0, expected 1 to"),
    (lambda p: replace(p, output_length=1 << 31), r"program: output_length: got 2147483648"),
    (lambda p: change_tile(p, 3, tile=-1), r"program: tile: got -1, expected 0 to"),
    (lambda p: change_tile(p, 0, tile=1), r"tile 1 comes after tile 1: expected ascending"),
    (lambda p: change_tile(p, 0, tile=9), r"tile 1 comes after tile 9: expected ascending"),
    (lambda p: change_tile(p, 2, tx_stream=None), r"tile 2: tx_stream is missing: expected conf"),
    (lambda p: change_tile(p, 1, tx_stream=3), r"tile 1: config is missing: expected config"),
    (lambda p: change_tile(p, 2, tx_stream=256), r"tile 2: tx_stream: got 256, expected 0 to 255"),
    (lambda p: change_config(p, 2, rx_scale=1 << 16), r"tile 2: rx_scale: got 65536, expected 0"),
    (lambda p: _wider(257, 5), r"tile 0: rows: got 257, expected 1 to 256"),
    (lambda p: _wider(6, 0), r"tile 0: columns: got 0, expected 1 to 256"),
    (lambda p: change_route(p, 3, SUM, stream=256), r"tile 3: stream: got 256, expected 0 to 255"),
    (lambda p: change_route(p, 3, SUM, stream=-1), r"tile 3: stream: got -1, expected 0 to 255"),
    (lambda p: change_route(p, 3, SUM, stream=SIDE), r"tile 3: stream 7 has several routes: exp"),
    (lambda p: change_route(p, 3, SUM, sinks=("up",)), r"tile 3: stream 0: sinks: got 'up', "
     "expected links, gdpu, host, input, rx"),
    (lambda p: change_route(p, 3, SUM, sinks=()), r"tile 3: stream 0: sinks: got \[\], expected"),
    (lambda p: change_route(p, 3, SUM, sinks=("host",) * 2), r"tile 3: stream 0: sinks: got \['ho"),
    (lambda p: change_route(p, 3, SUM, start=512), r"tile 3: stream 0: start: got 512, expected 0"),
    (lambda p: change_route(p, 3, SUM, length=513), r"tile 3: stream 0: length: got 513, expected"),
    (lambda p: change_route(p, 3, SUM, start=9, length=504), r"tile 3: stream 0: length: got 504"),
    (lambda p: _turn(p, 2, 2), r"tile 3: stream 255: part: got 2, expected 0 to 1"),
    (lambda p: _turn(p, 16, 16), r"tile 3: stream 255: part: got 16, expected 0 to 15"),
    (lambda p: change_route(p, 3, TO_ALL, length=5), r"tile 3: stream 10: length: got 5, "
     "expected for 'input' the tile's rows, 6"),
    (lambda p: change_route(p, 3, PARTIAL, length=4), r"tile 3: stream 255: length: got 4, "
     "expected for 'rx' the tile's columns in bytes, 5"),
    (lambda p: change_route(p, 1, TO_ALL, sinks=("input",)), r"tile 1: stream 10: sinks: got 'inp"
     "ut', expected it only on a tile with a config"),
    (lambda p: change_config(p, 3, rx_enable=False), r"tile 3: stream 255: sinks: got 'rx', "
     "expected it only with rx_enable"),
    (lambda p: replace(p, inputs=(replace(p.inputs[0], port=-1),)), r"inputs\[0\]: port: got -1"),
    (lambda p: replace(p, inputs=(replace(p.inputs[0], stream=256),)), r"inputs\[0\]: stream: got"),
    (lambda p: replace(p, inputs=(replace(p.inputs[0], length=0),)), r"inputs\[0\]: length: got 0"),
    (lambda p: replace(p, inputs=(replace(p.inputs[0], start=2),)), r"inputs\[0\]: start: got 2, "
     "expected 0 to 1"),
    (lambda p: replace(p, outputs=(p.outputs[0], replace(p.outputs[1], start=6))), r"outputs\[1\]: "
     "start: got 6, expected 0 to 5"),
    (lambda p: replace(p, outputs=p.outputs[:1]), r"outputs: value 0 of the 10 comes from no pack"),
    (lambda p: replace(p, output_length=12), r"outputs: value 10 of the 12 comes from no packet"),
    (lambda p: replace(p, outputs=p.outputs + p.outputs[:1]), r"outputs: value 10 of the 10 comes"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "sentence"), NEVER)
def test_values_beyond_their_limits_are_refused(tmp_path, monkeypatch, change, sentence):
    program = change(partial_sums())
    with pytest.raises(UserError, match=f"^{sentence}"):
        program_file.save(program, tmp_path / "a.img")
    assert not list(tmp_path.iterdir())
    # Another writer may be less careful.
    with monkeypatch.context() as patch:
        patch.setattr(program_file, "check", lambda program: None)
        program_file.save(program, tmp_path / "a.img")
    with pytest.raises(UserError, match=f"a.img: {sentence}"):
        program_file.load(tmp_path / "a.img")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda p: change_config(p, 2, read_mode=ReadMode.FOUR_PHASE),
         r"tile 2: read_mode: got 4-phase, expected the program's, 1-phase"),
        (lambda p: change_tile(p, 2, codes=p.tiles[0].codes[1:]),
         r"tile 2: codes: got uint8 \[5, 5, 4\], expected uint8 \[6, 5, 4\]"),
        (lambda p: change_tile(p, 2, codes=p.tiles[0].codes.astype(np.int16)),
         r"tile 2: codes: got int16 \[6, 5, 4\], expected uint8 \[6, 5, 4\]"),
    ],
)  # fmt: skip
def test_what_a_file_cannot_hold_is_not_saved(tmp_path, change, sentence):
    with pytest.raises(UserError, match=f"^{sentence}"):
        program_file.save(change(partial_sums()), tmp_path / "a.img")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda p: change_tile(p, 3, tile=4), r"program: tile: got 4, expected 0 to 3"),
        (lambda p: _wider(17, 5), r"tile 0: rows: got 17, expected 1 to 16"),
        (lambda p: _wider(6, 17), r"tile 0: columns: got 17, expected 1 to 16"),
        (lambda p: change_route(p, 0, TO_ALL, sinks=("east_2",)),
         r"tile 0: stream 10: sinks: got 'east_2', expected east_1, west_1, south_1, north_1, "
         "gdpu, host, input, rx"),
        (lambda p: change_route(p, 0, TO_ALL, sinks=("west_1",)),
         r"tile 0: stream 10: sinks: got 'west_1', expected links to tiles of the 2x2 grid"),
        (lambda p: change_route(p, 0, PARTIAL, sinks=("host",)),
         r"tile 0: stream 255: sinks: got 'host', expected it only on tiles 1, 3"),
        (lambda p: replace(p, inputs=(replace(p.inputs[0], port=2),)),
         r"inputs\[0\]: port: got 2, expected 0 to 1"),
        (lambda p: change_config(p, 0, tx_binary16=True),
         r"tile 0: tx_binary16: got True, expected False, as link.partial_sums is int8"),
        (lambda p: change_route(p, 3, SUM, length=257),
         r"tile 3: stream 0: length: got 257, expected 0 to 256"),
        (lambda p: replace(p, inputs=(replace(p.inputs[0], start=0, length=257),),
                           input_length=300),
         r"inputs\[0\]: length: got 257, expected 1 to 256"),
    ],
)  # fmt: skip
def test_limits_of_the_chip_are_checked_where_it_is_known(tmp_path, change, sentence):
    program_file.save(change(partial_sums()), tmp_path / "a.img")
    program_file.load(tmp_path / "a.img")
    with pytest.raises(UserError, match=f"a.img: {sentence}"):
        program_file.load(tmp_path / "a.img", TINY)


def test_a_part_begins_with_a_beat(tmp_path):
    two = TINY.model_copy(
        update={
            "ldpu": TINY.ldpu.model_copy(update={"lanes": 2}),
            "link": TINY.link.model_copy(update={"units": 2}),
        }
    )
    program = replace(partial_sums(), chip_digest=chip_digest(two))
    program_file.save(program, tmp_path / "a.img")
    with pytest.raises(
        UserError, match=r"tile 2: stream 10: start: got 3, expected a multiple of link.units \(2\)"
    ):
        program_file.load(tmp_path / "a.img", two)
