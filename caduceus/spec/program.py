"""The program of a chip: the compiler's result, run by the golden model and the RTL."""

import hashlib
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from caduceus.spec import formats
from caduceus.spec.chip import Chip
from caduceus.spec.errors import UserError
from caduceus.spec.feature_map import Pooling, Window
from caduceus.spec.formats import ReadMode
from caduceus.spec.host_ends import HostEnds


@dataclass(frozen=True)
class InputPart:
    """A part of a tile's input vector that is a packet of its own: rows `start` on, `length`."""

    start: int
    length: int


@dataclass(frozen=True)
class TileConfig:
    """Configuration of one tile.

    Attributes:
        read_mode: 1-phase or 4-phase.
        rows: length of an input vector; the other rows of the array get 0.
        parts: the packets that make up an input vector, in the order of their numbers; each starts
            at a multiple of `link.units`; rows in no part get 0. Empty for a vector that is one
            packet.
        columns: length of a result vector.
        constants: uint16 [columns, 5], binary16 column constants in the order of
            `formats.COLUMN_CONSTANTS`.
        relu_1, relu_2: ReLU before and after the RX addition.
        rx_enable: whether one RX vector (INT8) is added to each result.
        rx_scale: binary16 factor of the RX vector.
        rx_binary16: RX vectors are binary16, two bytes per value, not INT8.
        tx_binary16: results are binary16, not rounded to INT8.
        window: what input vectors are gathered from; None for a tile that is sent its vectors. With
            it, `parts` are the packets that come in turn, of which `start` has no meaning, and
            `window.packets` of them make a pixel; empty if each pixel is one packet, always of the
            same stream.
        pooling: of the results before they leave; None without.
        rx_parts: streams whose packets are the RX vectors in turn.
    """

    read_mode: ReadMode
    rows: int
    columns: int
    constants: NDArray[np.uint16]
    relu_1: bool = False
    relu_2: bool = False
    rx_enable: bool = False
    rx_scale: int = formats.FP16_ONE
    rx_binary16: bool = False
    tx_binary16: bool = False
    parts: tuple[InputPart, ...] = ()
    window: Window | None = None
    pooling: Pooling | None = None
    rx_parts: int = 1

    @property
    def input_parts(self) -> tuple[InputPart, ...]:
        """All packets of an input vector, or pixel, the only one included."""
        whole = self.rows if self.window is None else self.window.channels
        return self.parts or (InputPart(0, whole),)

    @property
    def rx_bytes(self) -> int:
        """Length of an RX vector in bytes."""
        return self.columns * (2 if self.rx_binary16 else 1)

    @property
    def tx_bytes(self) -> int:
        """Length of a result vector in bytes."""
        return self.columns * (2 if self.tx_binary16 else 1)

    def __post_init__(self) -> None:
        shape = (self.columns, len(formats.COLUMN_CONSTANTS))
        if self.constants.shape != shape or self.constants.dtype != np.uint16:
            raise UserError(
                f"tile configuration: constants is {self.constants.dtype} "
                f"{list(self.constants.shape)}: expected uint16 {list(shape)}"
            )


@dataclass(frozen=True)
class Route:
    """Entry of a tile's route table for one stream.

    Attributes:
        stream: number in the preamble, 0 to `fabric.STREAMS` - 1.
        sinks: destinations, names of `fabric.sinks`; more than one is a multicast.
        start, length: the part of the payload that the tile's own INPUT or RX gets, in bytes;
            `start` is a multiple of `link.units`. Links and the host get all of it.
        part: which part of the tile's input vector it is, or whose turn it is where packets come in
            turn: see `TileConfig.window` and `rx_parts`.
    """

    stream: int
    sinks: tuple[str, ...]
    start: int
    length: int
    part: int = 0


@dataclass(frozen=True)
class Block:
    """The part of a network that a tile holds; for reports only.

    Attributes:
        layer: name of the layer.
        rows, columns: which row block and column block of its matrix.
        replica: which of several tiles with the same block.
    """

    layer: str
    rows: int = 0
    columns: int = 0
    replica: int = 0


@dataclass(frozen=True)
class TileProgram:
    """One tile of a chip's program.

    Attributes:
        tile: number of the tile.
        routes: entries of its route table.
        config: its configuration; None for a tile that only forwards.
        codes: uint8 [config.rows, config.columns, 4], target conductance codes; None
            for a tile that only forwards.
        tx_stream: preamble of its results; None for a tile that only forwards.
        block: the part of the network that it holds; None in a program made by hand.
    """

    tile: int
    routes: tuple[Route, ...]
    config: TileConfig | None = None
    codes: NDArray[np.uint8] | None = None
    tx_stream: int | None = None
    block: Block | None = None


@dataclass(frozen=True)
class GdpuConfig:
    """Configuration of a GDPU slice; all numbers but `units` are binary16 bits.

    Attributes:
        units: LSTM units in use; a gate vector has four times as many values.
        input_scale, input_offset: by gate, in the order of `gdpu.GATES`: scale and
            offset of an INT8 pre-activation; halved for the sigmoid gates.
        output_scale, output_offset: from a hidden unit to its INT8 steps.
    """

    units: int
    input_scale: tuple[int, ...]
    input_offset: tuple[int, ...]
    output_scale: int
    output_offset: int


@dataclass(frozen=True)
class SliceProgram:
    """One GDPU slice of a chip's program.

    A sequence begins with the stored hidden state, sent as stream `first`. Each step's gate vector
    gives the new hidden state, sent as `stream`, after the sequence's last step as `last`. `first`
    goes to the tiles that need the state of the step before, `last` to those that need the state of
    the same step, `stream` to both.

    Attributes:
        slice: number of the slice.
        config: its configuration.
        sides: where its packets leave: `fabric.NORTH`, `fabric.SOUTH`, or both.
        first, stream, last: preambles.
    """

    slice: int
    config: GdpuConfig
    sides: tuple[str, ...]
    first: int
    stream: int
    last: int


@dataclass(frozen=True)
class HostStream:
    """A stream to or from the host: one packet per vector.

    Attributes:
        port: number of the host's AXI4-Stream, in the order of `chip.host`.
        stream: its preamble.
        start, length: which part of the program's input or output vector it carries, in bytes.
    """

    port: int
    stream: int
    start: int
    length: int


@dataclass(frozen=True)
class ProgramTensor:
    """Shape and scale of a network's input or output.

    Attributes:
        shape: height, width, channels, or the size of a vector.
        scale: real value of one INT8 step.
    """

    shape: tuple[int, ...]
    scale: float


@dataclass(frozen=True)
class Program:
    """The program of a whole chip: one output vector per input vector.

    Where tiles gather their vectors from feature maps, an input vector is a pixel; an image is
    `input_pixels` input vectors and gives `output_pixels` output vectors.

    Attributes:
        chip: name of the chip description; chip_digest: `chip_digest(chip)` of it.
        network: name of the network.
        read_mode: of every tile.
        tiles: the tiles in use, by number.
        inputs, outputs: the host's streams. For every input vector the host sends one packet of
            each input, in this order; it receives one of each output.
        input_length, output_length: lengths of the vectors.
        slices: the GDPU slices in use, by number. With any, an input vector is one step
            of a sequence.
        input_pixels, output_pixels: vectors per image.
        input, output: the network's tensors, all their vectors together. None for a program
            made by hand or read back from a chip's registers.
        symbols: the characters that input vectors stand for; None without.
        embedding: int8 [entries, input_length], vectors of the symbols, or of the host's embedding
            if `host` has one; None without either.
        sample: typical inputs, for the read noise and for calibration: int8
            [n, input_pixels, input_length], of sequences [1, steps, input_length]; or None.
        largest_code: the largest cell code that the compiler used.
        host: what the host does to inputs and outputs.
        per_core: whether a layer's columns share the largest weight, as published.
    """

    chip: str
    chip_digest: str
    network: str
    read_mode: ReadMode
    tiles: tuple[TileProgram, ...]
    inputs: tuple[HostStream, ...]
    outputs: tuple[HostStream, ...]
    input_length: int
    output_length: int
    slices: tuple[SliceProgram, ...] = ()
    input_pixels: int = 1
    output_pixels: int = 1
    input: ProgramTensor | None = None
    output: ProgramTensor | None = None
    symbols: str | None = None
    embedding: NDArray[np.int8] | None = None
    sample: NDArray[np.int8] | None = None
    largest_code: int = formats.CELL_MAX
    host: HostEnds = field(default_factory=HostEnds)
    per_core: bool = False

    @property
    def sequences(self) -> bool:
        """Whether inputs are sequences, of which an input vector is one step."""
        return bool(self.slices)

    def vectors(self, x: ArrayLike) -> NDArray[np.int8]:
        """A network's inputs as the program takes them.

        Args:
            x: int8, inputs one after another in any shape; sequences [n, steps, input_length], or
                the steps of one in any other shape.

        Returns:
            int8 [n, input_pixels, input_length], or [n, steps, input_length] for sequences.

        Raises:
            UserError: `x` is of another type, or not a whole number of inputs.
        """
        where = f"inputs of {self.network}"
        x = as_array(x, where)
        each = self.input_length * (1 if self.sequences else self.input_pixels)
        if x.dtype != np.int8 or not x.size or x.size % each:
            raise UserError(
                f"{where}: got {x.dtype} {list(x.shape)}, expected int8, {each} values "
                f"{'a step' if self.sequences else 'each'}"
            )
        pixels = self.input_pixels
        if self.sequences:
            several = x.ndim == 3 and x.shape[2] == self.input_length
            pixels = x.shape[1] if several else x.size // self.input_length
        return x.reshape(-1, pixels, self.input_length)


def as_array(x: ArrayLike, where: str) -> NDArray:
    """What numpy makes of it.

    Raises:
        UserError: nothing, as rows differ in length.
    """
    try:
        return np.asarray(x)
    except ValueError:
        raise UserError(f"{where}: got rows that differ in length, expected an array") from None


def chip_digest(chip: Chip) -> str:
    """SHA-256 of the chip description's content, in hexadecimal."""
    return hashlib.sha256(chip.model_dump_json().encode()).hexdigest()
