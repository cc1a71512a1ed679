"""The register block's description: what it refuses to be made of, and flags as fields."""

from enum import IntFlag

import pytest

from caduceus.hdl.common.register_block import RegisterBlock
from caduceus.host.chip import named
from caduceus.spec import chip, gdpu_registers, registers
from caduceus.spec.chip import Chip
from caduceus.spec.register import Register, RegisterTable, flags, word


def _register(name: str, address: int) -> Register:
    return Register(name, address, "rw", 0, word("value"), "")


@pytest.mark.parametrize(
    ("found", "tables", "sentence"),
    [
        ([_register("A", 8), _register("B", 8)], {}, "B: address 0x8 is that of A"),
        (
            [_register("A", 0x104)], {RegisterTable("t", 0x100, 4, "rw"): 4},
            "t: address 0x104 is that of A",
        ),
        (
            [], {RegisterTable("t", 0x100, 8, "rw", words=2): 33},
            r"t: base: got 0x100, expected a multiple of 0x200 for 33 entries of 8 bytes",
        ),
    ],
)  # fmt: skip
def test_everything_has_an_address_of_its_own(found, tables, sentence):
    with pytest.raises(ValueError, match=sentence):
        RegisterBlock(found, tables)


@pytest.mark.parametrize("name", Chip.available())
def test_tables_of_the_chips_have_their_addresses(name):
    description = Chip.find(name)
    RegisterBlock(registers.REGISTERS, registers.tables(description))
    RegisterBlock(gdpu_registers.REGISTERS, gdpu_registers.tables(description.gdpu.units))


def test_a_chip_with_more_columns_than_have_addresses_is_refused():
    description = Chip.find("tiny").model_dump()
    description["array"]["columns"] = 1024
    with pytest.raises(ValueError, match=r"array.columns: got 1024, expected at most 512"):
        chip.Chip.model_validate(description)


def test_places_of_a_table_are_its_addresses():
    table = RegisterTable("t", 0x100, 16, "rw", words=3)
    inside = {table.address(entry, word): (entry, word) for entry in range(5) for word in range(3)}
    for address in range(0xC0, 0x180):
        assert table.place(address, 5) == inside.get(address)


def test_flags_are_fields_of_their_bits():
    class Flag(IntFlag):
        FIRST = 1
        THIRD = 4

    found = flags({Flag.FIRST: "one", Flag.THIRD: "three"})
    assert [(field.name, field.low, field.width, field.doc) for field in found] == [
        ("first", 0, 1, "one"), ("third", 2, 1, "three")
    ]  # fmt: skip


@pytest.mark.parametrize("table", [registers, gdpu_registers])
def test_error_registers_have_all_their_flags(table):
    fields = {field.name: 1 << field.low for field in table.BY_NAME["ERROR"].fields}
    assert fields == {flag.name.lower(): flag.value for flag in table.Error}


def test_errors_are_named():
    found = {
        3: registers.Error.INPUT_SHORT | registers.Error.RX_LONG,
        "slice 0": gdpu_registers.Error.INPUT_LONG,
    }
    assert named(found) == "tile 3: INPUT_SHORT|RX_LONG, slice 0: INPUT_LONG"
