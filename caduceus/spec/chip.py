"""The chip description: one YAML file that says every size of a chip.

`Chip.load` gives a frozen, validated `Chip`; a mistake in the file becomes one sentence that names
the file, the key, the value and the expected range.
"""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from caduceus.spec import document, formats
from caduceus.spec.document import Section, demand
from caduceus.spec.shipped import catalogue, shipped_folder, unknown

CHIPS = "caduceus.chips"
"""Package of the descriptions that ship with the library."""

Size = Annotated[int, Field(ge=1, le=64)]
BUFFER_MAX = 1 << 20
"""Bytes, or values, of a tile's buffer."""
COLUMNS_MAX = 512
"""Columns whose constants have addresses of their own (`caduceus.spec.registers`)."""


class Grid(Section):
    """Tiles of the chip: `rows` x `columns`."""

    rows: Size
    columns: Size


class Array(Section):
    """The PCM crossbar of one tile: inputs drive its rows, results leave its columns."""

    rows: Annotated[int, Field(ge=4, le=1024)]
    columns: Annotated[int, Field(ge=4, le=1024)]


class Adc(Section):
    """Analog-to-digital conversion.

    Attributes:
        cell_counts: counts that one cell at full conductance adds in a full-length pulse; sets the
            nominal gain. 40 on HERMES: 160 counts in the 512-slot verify read, 128 slots here.
        phase_limit: counts at which one conversion saturates. HERMES: 3.3 GHz for 128 ns.
    """

    # 250 is the most that the 24-bit gain code can express.
    cell_counts: Annotated[int, Field(ge=1, le=250)]
    phase_limit: Annotated[int, Field(ge=1, le=formats.COUNT_MAX)]


class Mvm(Section):
    """`mvm` clocks that a phase spends besides its 128 slots (precharge and conversion).

    HERMES: 133 ns for one phase, 520 ns for four, hence 5 and 2.
    """

    overhead_1phase: Annotated[int, Field(ge=2, le=64)]
    overhead_4phase: Annotated[int, Field(ge=2, le=64)]


class Ldpu(Section):
    """Local digital processing unit: columns finished per `sync` clock."""

    lanes: Size


class Link(Section):
    """Streams between tiles, and to and from the host.

    Attributes:
        units: bytes (INT8 values) per `sync` clock.
        partial_sums: what a tile may send to be added by another: INT8 as published, or binary16
            as well (our choice).
    """

    units: Size
    partial_sums: Literal["int8", "binary16"] = "int8"

    @property
    def value_bytes(self) -> int:
        """Bytes of the widest value that a packet may carry."""
        return 2 if self.partial_sums == "binary16" else 1


class Gdpu(Section):
    """Global digital processing unit: slices that compute LSTM cells, one per tile column.

    They stand in one row between the upper and the lower half of the tiles.

    Attributes:
        slices: one per column of tiles.
        units: LSTM units of a slice, each with a cell state of its own.
        lanes: pre-activations taken in per `sync` clock; four make one unit's step.
    """

    slices: Size
    units: Size
    lanes: Size = 1


class Adjacency(Section):
    """Distances at which tiles are linked, in both directions."""

    horizontal: tuple[Size, ...]
    vertical: tuple[Size, ...]


class Host(Section):
    """Tiles with a link to the host, each an AXI4-Stream at the chip's edge: [row, column]."""

    inputs: Annotated[tuple[tuple[int, int], ...], Field(min_length=1)]
    outputs: Annotated[tuple[tuple[int, int], ...], Field(min_length=1)]


class Buffers(Section):
    """Storage of a tile.

    Attributes:
        activation: bytes of feature maps that wait to be gathered into input vectors.
        gather: bytes of it that are written, and that are copied into a vector, per `sync` clock.
        rx: bytes of RX vectors that wait to be added.
        pool: values of pooling windows that are not complete yet.
    """

    activation: Annotated[int, Field(ge=16, le=BUFFER_MAX)]
    gather: Size
    rx: Annotated[int, Field(ge=16, le=BUFFER_MAX)]
    pool: Annotated[int, Field(ge=16, le=BUFFER_MAX)]


class PcmWrite(Section):
    """Write heads of a tile's array; each serves the same number of neighboring lines."""

    heads: Size = 32


class Clocks(Section):
    """Nominal clock rates in MHz, used for reports and for the simulated clocks."""

    mvm_mhz: Annotated[int, Field(ge=1, le=10_000)]
    sync_mhz: Annotated[int, Field(ge=1, le=10_000)]


class Emulation(Section):
    """How the PCM array is emulated on an FPGA (our choice throughout); simulation ignores it.

    Attributes:
        columns_per_clock: columns that are multiplied and added at once, each with block RAM and a
            multiplier of its own; divides `array.columns`. None: the largest power of two that
            does, 8 at most.
        read_noise: whether it has read noise; without it, states with noise are refused.
    """

    columns_per_clock: Annotated[int, Field(ge=1, le=1024)] | None = None
    read_noise: bool = True


class Chip(Section):
    """A whole chip description.

    >>> chip = caduceus.Chip.find("hermes")
    >>> print(chip.tiles, chip.array.rows, chip.array.columns)
    64 256 256
    """

    format: Literal[1]
    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=100)]
    grid: Grid
    array: Array
    adc: Adc
    mvm: Mvm
    ldpu: Ldpu
    link: Link
    gdpu: Gdpu
    adjacency: Adjacency
    host: Host
    buffers: Buffers
    clocks: Clocks
    pcm_write: PcmWrite = PcmWrite()
    emulation: Emulation = Emulation()

    @property
    def tiles(self) -> int:
        """Number of tiles; tile (row, column) is number row * grid.columns + column."""
        return self.grid.rows * self.grid.columns

    @property
    def nominal_gain(self) -> int:
        """ADC gain code at which a full cell in a full pulse adds `adc.cell_counts` counts."""
        charge = formats.INT8_MAX * formats.CELL_MAX
        return round(self.adc.cell_counts * 2**formats.GAIN_FRACTION / charge)

    @property
    def column_groups(self) -> int:
        """Groups of columns that the LDPU's lanes finish together."""
        return self.array.columns // self.ldpu.lanes

    @property
    def emulated_columns(self) -> int:
        """Columns that an emulated array works on at once."""
        columns = self.array.columns
        return self.emulation.columns_per_clock or min(8, columns & -columns)

    def rx_place(self, length: int) -> int:
        """Bytes of the RX buffer that a packet of `length` bytes takes: whole beats."""
        return -(-length // self.link.units) * self.link.units

    @model_validator(mode="after")
    def _sizes_agree(self) -> "Chip":
        lanes, columns = self.ldpu.lanes, self.array.columns
        demand(
            columns <= COLUMNS_MAX, "array.columns", columns,
            f"at most {COLUMNS_MAX}, so that every column's constants have addresses",
        )  # fmt: skip
        demand(lanes.bit_count() == 1, "ldpu.lanes", lanes, "a power of two")
        demand(columns % lanes == 0, "ldpu.lanes", lanes, f"a divisor of array.columns ({columns})")
        at_once = self.emulated_columns
        expected = f"a divisor of array.columns ({columns})"
        demand(columns % at_once == 0, "emulation.columns_per_clock", at_once, expected)
        units, rows = self.link.units, self.array.rows
        demand(units.bit_count() == 1, "link.units", units, "a power of two")
        demand(rows % units == 0, "link.units", units, f"a divisor of array.rows ({rows})")
        slices, grid = self.gdpu.slices, self.grid
        demand(
            slices == grid.columns,
            "gdpu.slices",
            slices,
            f"the same as grid.columns ({grid.columns})",
        )
        demand(
            4 * self.gdpu.units <= columns, "gdpu.units", self.gdpu.units,
            f"at most a quarter of array.columns ({columns})",
        )  # fmt: skip
        lanes, gates = self.gdpu.lanes, 4 * self.gdpu.units
        demand(lanes.bit_count() == 1, "gdpu.lanes", lanes, "a power of two")
        demand(
            gates % lanes == 0, "gdpu.lanes", lanes, f"a divisor of four times gdpu.units ({gates})"
        )
        buffers = self.buffers
        gather = buffers.gather
        fits = gather.bit_count() == 1 and gather >= units and rows % gather == 0
        demand(
            fits, "buffers.gather", gather,
            f"a power of two from link.units ({units}) on that divides array.rows ({rows})",
        )  # fmt: skip
        for key, step in (
            ("activation", gather),
            ("rx", units),
            ("pool", self.ldpu.lanes),
        ):
            size = getattr(buffers, key)
            demand(size % step == 0, f"buffers.{key}", size, f"a multiple of {step}")
        charge = formats.INT8_MAX * formats.CELL_MAX
        most = (formats.CHARGE_LIMIT - 1) // charge
        demand(
            self.array.rows <= most, "array.rows", self.array.rows,
            f"at most {most}, so that every column charge is exact in binary32",
        )  # fmt: skip
        for axis, distances, size in (
            ("horizontal", self.adjacency.horizontal, grid.columns),
            ("vertical", self.adjacency.vertical, grid.rows),
        ):
            fits = all(distance < size for distance in distances)
            demand(
                fits and len(set(distances)) == len(distances), f"adjacency.{axis}",
                list(distances), f"distinct distances below {size}",
            )  # fmt: skip
        for key in ("inputs", "outputs"):
            places = getattr(self.host, key)
            inside = all(0 <= r < grid.rows and 0 <= c < grid.columns for r, c in places)
            demand(
                inside and len(set(places)) == len(places), f"host.{key}",
                [list(place) for place in places],
                f"distinct tiles [row, column] of the {grid.rows}x{grid.columns} grid",
            )  # fmt: skip
        return self

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Read and validate the chip description at `path`.

        Raises:
            UserError: the file cannot be read, is not YAML, or breaks the schema.
        """
        return document.load(path, cls, "chip description")

    @classmethod
    def available(cls) -> list[str]:
        """Names of the chip descriptions that ship with the library.

        Raises:
            UserError: the installation is broken.
        """
        found = catalogue(shipped_folder(CHIPS), "*.yaml", "chip descriptions")
        return [path.stem for path in found]

    @classmethod
    def find(cls, name: str) -> Self:
        """The shipped chip description called `name`, or the file `name` if it ends in .yaml.

        Raises:
            UserError: the name is unknown (the sentence lists the known ones), or the file is
                bad.
        """
        if name.endswith((".yaml", ".yml")):
            return cls.load(name)
        names = cls.available()
        if name not in names:
            raise unknown("chip", name, names)
        return cls.load(shipped_folder(CHIPS) / f"{name}.yaml")
