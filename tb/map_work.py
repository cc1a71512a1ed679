"""Random feature maps for a tile that gathers its vectors from them, and the expected results."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import cycle
from random import Random

import numpy as np
from numpy.typing import NDArray

from caduceus.golden.fast.tile import Tile
from caduceus.golden.reference import gather, pool
from caduceus.spec.chip import Chip
from caduceus.spec.fabric import PARTS
from caduceus.spec.feature_map import Pooling
from caduceus.spec.feature_map_check import POOL_MAX, check_feature_maps
from caduceus.spec.formats import ReadMode
from caduceus.spec.pcm_state import PcmState
from caduceus.spec.program import InputPart, TileConfig
from tb.gather_jobs import draw_job
from tb.tile_bench import random_config, random_state, with_binary16

RESULTS_MAX = 40
"""Maximum size of a map, to keep the bench short."""
LARGEST = 7
"""Height and width of a map."""


@dataclass(frozen=True)
class MapWork:
    """A configuration with a window, a state, feature maps, and RX vectors.

    Attributes:
        config, state: as of `tb.tile_bench.Work`.
        maps: int8 [n, height, width, channels].
        rx: one vector per result of the array, before pooling; or None.
    """

    config: TileConfig
    state: PcmState
    maps: NDArray[np.int8]
    rx: NDArray[np.int8] | NDArray[np.uint16] | None

    def results(self, chip: Chip) -> NDArray:
        """Results of the golden model for every vector, [n * window.results, columns]."""
        config = self.config
        x = gather.vectors(config.window, config.rows, self.maps)
        return Tile(chip, self.state).run(config, x, self.rx)

    def expected(self, chip: Chip) -> NDArray:
        """Packets that leave the tile."""
        results, pooling = self.results(chip), self.config.pooling
        if pooling is None:
            return results
        columns = self.config.columns
        maps = results.reshape(len(self.maps), pooling.height, pooling.width, columns)
        return pool.pool(pooling, maps).reshape(-1, columns)

    def vectors_of(self, packets: int) -> int:
        """Number of vectors from the first packets of a single map."""
        window = self.config.window
        last = packets // window.packets - 1
        for result in range(window.results):
            if max(0, window.newest(result, self.config.rows)) > last:
                return result
        return window.results

    def packets(self) -> Iterator[tuple[bytes, int]]:
        """Payloads, pixel by pixel, with their part numbers."""
        parts = cycle(enumerate(self.config.input_parts))
        for pixel in self.maps.reshape(-1, self.config.window.channels):
            start = 0
            for _ in range(self.config.window.packets):
                number, part = next(parts)
                yield pixel[start : start + part.length].tobytes(), number
                start += part.length


def random_pooling(random: Random, chip: Chip, config: TileConfig) -> Pooling | None:
    """A pooling that fits the results of `config`; sometimes None."""
    window = config.window
    height, width = window.result_rows, window.groups * window.group
    kind = random.choice((None, "max", "average"))
    if kind is None or config.tx_binary16:
        return None
    size = random.randint(1, min(height, width, POOL_MAX))
    if kind == "average":
        size = 1 << size.bit_length() - 1
    return Pooling(kind, size, height, width)


def random_map_work(random: np.random.Generator, chip: Chip, maps: int) -> MapWork:
    """Any configuration of the chip for feature maps."""
    draws = Random(int(random.integers(1 << 62)))
    while True:
        job = draw_job(draws, chip, LARGEST)
        if job.window.results <= RESULTS_MAX and job.smallest_ring <= job.window.capacity(chip):
            break
    mode = draws.choice(tuple(ReadMode))
    flags = (draws.random() < 0.5 for _ in range(3))
    config = with_binary16(random, chip, random_config(random, chip, mode, *flags))
    packets = job.window.packets
    parts = [InputPart(0, length) for length in job.parts[:packets]] * (len(job.parts) // packets)
    config = replace(
        config,
        rows=job.rows,
        window=job.window,
        parts=tuple(parts) if len(parts) > 1 else (),
        rx_parts=draws.choice((1, draws.randint(2, PARTS))) if config.rx_enable else 1,
    )
    pooling = random_pooling(draws, chip, config)
    if pooling is not None:
        config = replace(_narrower(config, pooling, chip), pooling=pooling)
    check_feature_maps(config, chip, "tile")
    window = config.window
    shape = (maps, window.height, window.width, window.channels)
    values = random.integers(-128, 128, shape, dtype=np.int8)
    return MapWork(config, random_state(random, chip), values, _random_rx(random, config, maps))


def _narrower(config: TileConfig, pooling: Pooling, chip: Chip) -> TileConfig:
    """The configuration, limited to as many columns as a row of windows has places for."""
    lanes = chip.ldpu.lanes
    columns = min(config.columns, chip.buffers.pool // pooling.across // lanes * lanes)
    return replace(config, columns=columns, constants=config.constants[:columns])


def _random_rx(
    random: np.random.Generator, config: TileConfig, maps: int
) -> NDArray[np.int8] | NDArray[np.uint16] | None:
    """RX vectors for all results, if the tile adds any."""
    if not config.rx_enable:
        return None
    shape = (maps * config.window.results, config.columns)
    rx = random.integers(-128, 128, shape, dtype=np.int8)
    if config.rx_binary16:
        return (rx * random.uniform(0, 2)).astype(np.float16).view(np.uint16)
    return rx
