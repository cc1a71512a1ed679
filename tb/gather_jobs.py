"""Jobs for the bench of the gather unit: windows, rings, and turns of packets."""

from dataclasses import dataclass, replace
from random import Random

import numpy as np

from caduceus.hdl.tile.gather_config import FIELDS
from caduceus.spec import feature_map_registers
from caduceus.spec.chip import Chip
from caduceus.spec.fabric import PARTS
from caduceus.spec.feature_map import Window
from caduceus.spec.formats import COLUMN_CONSTANTS, ReadMode
from caduceus.spec.program import TileConfig

BYTES_MAX = 700
"""Maximum size of a map, to keep the bench short."""


@dataclass(frozen=True)
class Job:
    """Configuration of the unit.

    Attributes:
        window: the window to gather.
        rows: of its vectors.
        ring: capacity in pixels.
        parts: bytes of the packets, in turn.
    """

    window: Window
    rows: int
    ring: int
    parts: tuple[int, ...]

    def oldest(self, result: int) -> int:
        """First pixel that result number `result`, or any later one of its map, needs."""
        return min(self.window.oldest(result), self.window.pixels)

    def described(self) -> dict[str, object]:
        """Settings by name."""
        return {"rows": self.rows, "ring": self.ring, "parts": len(self.parts), **vars(self.window)}

    @property
    def smallest_ring(self) -> int:
        """Minimum ring capacity in pixels: every result finds its own."""
        window = self.window
        held = (window.newest(n, self.rows) - self.oldest(n) + 1 for n in range(window.results))
        return max(1, *held)

    def accesses(self, result: int, lanes: int) -> int:
        """Clocks for the rows of result number `result` of its map, read or zero."""
        window = self.window
        row, column = divmod(result, window.groups * window.group)
        clocks = 0
        for segment in window.segments(self.rows):
            y = row * window.stride - window.padding + segment.y
            x = window.columns[column] * window.stride - window.padding + segment.x
            inside = 0 <= y < window.height and 0 <= x < window.width
            clocks += -(-segment.length // lanes) if inside else 1
        return clocks

    def ports(self, chip: Chip) -> dict[str, int]:
        """Port values of the configuration, by name."""
        ring = {"activation": self.ring * self.window.channels}
        small = chip.model_copy(update={"buffers": chip.buffers.model_copy(update=ring)})
        constants = np.zeros((1, len(COLUMN_CONSTANTS)), np.uint16)
        config = TileConfig(ReadMode.ONE_PHASE, self.rows, 1, constants, window=self.window)
        registers = feature_map_registers.values(config, small)
        found = {"rows": self.rows, "parts": len(self.parts)}
        for name, (register, key) in FIELDS.items():
            place = feature_map_registers.BY_NAME[register].field(key)
            value = registers[register] >> place.low
            found[f"config_{name}"] = value & ((1 << place.width) - 1)
        return found


def _cut(random: Random, total: int, pieces: int) -> list[int]:
    """Lengths of `pieces` pieces of a whole."""
    cuts = sorted(random.sample(range(1, total), pieces - 1))
    return [end - start for start, end in zip([0, *cuts], [*cuts, total], strict=True)]


def draw_job(random: Random, chip: Chip, largest: int = 9, channels: int = 24) -> Job:
    """A random job for `chip`, with maps of up to `largest` pixels square."""
    while True:
        depth = random.randint(1, min(channels, chip.array.rows))
        height, width = random.randint(1, largest), random.randint(1, largest)
        kernel = random.randint(1, 4)
        padding = random.randrange(kernel)
        stride = random.randint(1, 3)
        if min(height, width) + 2 * padding < kernel or height * width * depth > BYTES_MAX:
            continue
        start = random.choice((0, random.randrange(kernel**2 * depth)))
        most = min(chip.array.rows, kernel**2 * depth - start)
        rows = random.choice((most, random.randint(1, most)))
        across = (width + 2 * padding - kernel) // stride + 1
        group = random.choice((across, random.randint(1, across)))
        period = random.randint(group, across)
        first = random.randint(0, across - group)
        groups = random.randint(1, (across - first - group) // period + 1)
        packets = random.randint(1, min(4, depth))
        turns = random.randint(1, PARTS // packets)
        window = Window(
            height, width, depth, kernel, stride, padding, *divmod(start, depth), group, groups,
            period, first, packets,
        )  # fmt: skip
        parts = [length for _ in range(turns) for length in _cut(random, depth, packets)]
        job = Job(window, rows, 1, tuple(parts))
        smallest, most = job.smallest_ring, window.capacity(chip)
        if smallest <= most:
            ring = random.choice((smallest, smallest, random.randint(smallest, most), most))
            return replace(job, ring=ring)
