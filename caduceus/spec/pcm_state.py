"""The PCM state file: every device's conductance code and every converter's character.

A sealed file (`caduceus.spec.sealed`) with magic number `CADU-PCM`: its SHA-256 covers all other
bytes, so that a file with any bit changed is refused. RTL and golden model read the same file; the
behavioral array reads one tile of it as a memory content, in 32-bit words:

    0                       MEMORY_MAGIC
    1                       rows << 16 | columns
    2, 3                    noise seed, low and high word
    4                       tile number
    5 ..                    one word per cell, row by row: g1+ | g2+ << 8 | g1- << 16 | g2- << 24
    then, per column        gain_p, gain_n, offset_n << 16 | offset_p, noise
"""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from caduceus.spec import formats
from caduceus.spec.chip import Chip
from caduceus.spec.errors import UserError, shown
from caduceus.spec.sealed import Sealed

FORMAT = 2
MEMORY_MAGIC = 0x50434D31
WRITTEN = 0xFFFF
"""Number of the state that a host writes word by word, instead of one that comes from a file."""
MEMORY_HEADER_WORDS = 5
MEMORY_COLUMN_WORDS = 4


@dataclass(frozen=True)
class _Field:
    """An array of the file: its type, the shape after the tile axis, and its largest value."""

    dtype: str
    axes: tuple[str, ...]
    largest: int


FIELDS: dict[str, _Field] = {
    "codes": _Field("<u1", ("rows", "columns", "devices"), formats.DEVICE_MAX),
    "gain_p": _Field("<u4", ("columns",), (1 << formats.GAIN_BITS) - 1),
    "gain_n": _Field("<u4", ("columns",), (1 << formats.GAIN_BITS) - 1),
    "offset_p": _Field("<i2", ("columns",), (1 << formats.OFFSET_BITS - 1) - 1),
    "offset_n": _Field("<i2", ("columns",), (1 << formats.OFFSET_BITS - 1) - 1),
    "noise": _Field("<u2", ("columns",), (1 << formats.NOISE_BITS) - 1),
}


@dataclass(frozen=True)
class PcmState:
    """Devices and converters of `tiles` tiles.

    Attributes:
        chip: name of the chip description the state was made for.
        seed: 64-bit seed of the read noise.
        codes: uint8 [tiles, rows, columns, 4], conductance codes in the order of
            `formats.DEVICES`.
        gain_p, gain_n: uint32 [tiles, columns], ADC gain codes (24 bits used).
        offset_p, offset_n: int16 [tiles, columns], ADC offset codes.
        noise: uint16 [tiles, columns], read-noise codes.
        note: how the devices were made (model, age, yield); free text for people.
    """

    chip: str
    seed: int
    codes: NDArray[np.uint8]
    gain_p: NDArray[np.uint32]
    gain_n: NDArray[np.uint32]
    offset_p: NDArray[np.int16]
    offset_n: NDArray[np.int16]
    noise: NDArray[np.uint16]
    note: str = field(default="", compare=False)

    @property
    def tiles(self) -> int:
        """Number of tiles."""
        return self.codes.shape[0]

    @property
    def rows(self) -> int:
        """Rows of each array."""
        return self.codes.shape[1]

    @property
    def columns(self) -> int:
        """Columns of each array."""
        return self.codes.shape[2]

    def __post_init__(self) -> None:
        if not 0 <= self.seed < 1 << 64:
            raise UserError(f"PCM state: seed: got {shown(self.seed)}, expected 0 to 2**64 - 1")
        if self.codes.ndim != 4 or min(self.codes.shape) < 1:
            raise UserError(
                f"PCM state: codes: shape: got {list(self.codes.shape)}, "
                "expected [tiles, rows, columns, 4]"
            )
        sizes = {"rows": self.rows, "columns": self.columns, "devices": len(formats.DEVICES)}
        for name, spec in FIELDS.items():
            array = getattr(self, name)
            shape = (self.tiles, *(sizes[axis] for axis in spec.axes))
            if array.dtype != np.dtype(spec.dtype) or array.shape != shape:
                raise UserError(
                    f"PCM state: {name}: got {array.dtype} {list(array.shape)}, "
                    f"expected {np.dtype(spec.dtype)} {list(shape)}"
                )
            if int(array.max()) > spec.largest:
                raise UserError(
                    f"PCM state: {name}: got {int(array.max())}, expected at most {spec.largest}"
                )


def ideal(chip: Chip, codes: NDArray[np.uint8], seed: int = 0) -> PcmState:
    """A state of ideal devices: `codes` as given, nominal gain, no offset, no read noise."""
    tiles, columns = codes.shape[0], chip.array.columns
    gain = np.full((tiles, columns), chip.nominal_gain, dtype=np.uint32)
    return PcmState(
        chip=chip.name,
        seed=seed,
        codes=np.ascontiguousarray(codes),
        gain_p=gain,
        gain_n=gain.copy(),
        offset_p=np.zeros((tiles, columns), dtype=np.int16),
        offset_n=np.zeros((tiles, columns), dtype=np.int16),
        noise=np.zeros((tiles, columns), dtype=np.uint16),
        note="ideal devices",
    )


_FILE = Sealed(b"CADU-PCM", FORMAT, PcmState, "PCM state")


def save(state: PcmState, path: Path | str) -> None:
    """Write `state` to `path`: the same state gives the same bytes; never leaves half a file.

    Raises:
        UserError: the file cannot be written.
    """
    _FILE.save(state, path)


def load(path: Path | str, chip: Chip | None = None) -> PcmState:
    """Read a PCM state file; with `chip`, demand that it was made for that description.

    Raises:
        UserError: missing, cut short, altered, of another format version, or for another chip.
    """
    state = _FILE.load(path)
    if chip is not None:
        made_for = (state.chip, state.rows, state.columns)
        wanted = (chip.name, chip.array.rows, chip.array.columns)
        if made_for != wanted:
            raise UserError(
                f"{path}: chip: got {shown(made_for[0])} with {made_for[1]}x{made_for[2]} arrays, "
                f"expected '{wanted[0]}' with {wanted[1]}x{wanted[2]}"
            )
    return state


def words(state: PcmState, tile: int) -> NDArray[np.uint32]:
    """The memory content of one tile, laid out as the module's header says."""
    seed = state.seed
    header = np.array(
        [MEMORY_MAGIC, state.rows << 16 | state.columns, seed & 0xFFFFFFFF, seed >> 32, tile],
        dtype=np.uint32,
    )
    cells = state.codes[tile].reshape(-1, 4).copy().view("<u4").reshape(-1)
    offset_p = state.offset_p[tile].view(np.uint16).astype(np.uint32)
    offset_n = state.offset_n[tile].view(np.uint16).astype(np.uint32)
    columns = np.stack(
        [state.gain_p[tile], state.gain_n[tile], offset_n << 16 | offset_p, state.noise[tile]],
        axis=1,
    ).astype(np.uint32)
    return np.concatenate([header, cells, columns.reshape(-1)])


def write_hex(state: PcmState, tile: int, path: Path | str) -> None:
    """Write the memory content of one tile as hexadecimal text, one word per line (`$readmemh`)."""
    lines = words(state, tile).astype(">u4").tobytes().hex("\n", 4)
    Path(path).write_text(lines + "\n", encoding="ascii")
