"""What a tile's program may say about feature maps: gathering, pooling, packets in turn."""

from itertools import cycle

from caduceus.spec.chip import Chip
from caduceus.spec.errors import UserError, demand_range
from caduceus.spec.fabric import PARTS
from caduceus.spec.feature_map import Window
from caduceus.spec.program import TileConfig

EXTENT_MAX = 2047
"""Height and width of a feature map (our choice, as are the other limits here)."""
KERNEL_MAX = 255
CHANNELS_MAX = (1 << 16) - 1
"""Bytes of a pixel."""
POOL_MAX = 16
"""Height and width of a pooling window: sums of 256 values fit 16 bits."""


def check_feature_maps(config: TileConfig, chip: Chip | None, where: str) -> None:
    """Demand that window, pooling and turns of a tile fit each other, and with `chip` its buffers.

    Raises:
        UserError: they do not; the sentence begins with `where` and names the key.
    """
    demand_range(1, config.rx_parts, PARTS, where, "rx_parts")
    if chip and config.rx_enable:
        place = chip.rx_place(config.rx_bytes)
        demand_range(1, place, chip.buffers.rx, where, "bytes of an RX vector")
    if config.window is not None:
        _check_window(config, config.window, chip, f"{where}: window")
    if config.pooling is not None:
        _check_pooling(config, chip, f"{where}: pooling")


def _check_window(config: TileConfig, window: Window, chip: Chip | None, where: str) -> None:
    for key in ("height", "width"):
        demand_range(1, getattr(window, key), EXTENT_MAX, where, key)
    demand_range(1, window.stride, KERNEL_MAX, where, "stride")
    demand_range(0, window.padding, KERNEL_MAX, where, "padding")
    smallest = min(window.height, window.width)
    demand_range(1, window.kernel, min(KERNEL_MAX, smallest + 2 * window.padding), where, "kernel")
    demand_range(0, window.padding, window.kernel - 1, where, "padding")
    most = min(chip.buffers.activation, CHANNELS_MAX) if chip else CHANNELS_MAX
    demand_range(1, window.channels, most, where, "channels")
    demand_range(0, window.channel, window.channels - 1, where, "channel")
    demand_range(0, window.position, window.kernel**2 - 1, where, "position")
    last = window.kernel**2 * window.channels - window.position * window.channels - window.channel
    demand_range(1, config.rows, last, where, "rows from its position on")
    across = (window.width + 2 * window.padding - window.kernel) // window.stride + 1
    demand_range(1, window.group, KERNEL_MAX, where, "group")
    demand_range(1, window.groups, across, where, "groups")
    demand_range(window.group, window.period, across, where, "period")
    demand_range(0, window.first, across - 1, where, "first")
    end = window.first + (window.groups - 1) * window.period + window.group
    demand_range(1, end, across, where, "columns")
    lengths = [part.length for part in config.input_parts]
    demand_range(1, len(lengths), PARTS, where, "parts")
    demand_range(1, window.packets, len(lengths), where, "packets")
    if chip and len(lengths) > 1:
        demand_range(1, max(lengths), chip.array.rows, where, "bytes of a part")
    if len(lengths) % window.packets:
        raise UserError(
            f"{where}: parts: got {len(lengths)}, expected a multiple of packets ({window.packets})"
        )
    for first in range(0, len(lengths), window.packets):
        pixel = sum(lengths[first : first + window.packets])
        demand_range(window.channels, pixel, window.channels, where, "bytes of a pixel's parts")
    same = all(a == b for a, b in zip(lengths, cycle(lengths[: window.packets]), strict=False))
    if not same:
        raise UserError(f"{where}: parts differ from pixel to pixel: expected the same")


def _check_pooling(config: TileConfig, chip: Chip | None, where: str) -> None:
    pooling, window = config.pooling, config.window
    if window is None:
        raise UserError(f"{where}: without a window: expected one with a window")
    if config.tx_binary16:
        raise UserError(f"{where}: with tx_binary16: expected INT8 results")
    down, across = window.result_rows, window.groups * window.group
    for key, wanted in (("height", down), ("width", across)):
        demand_range(wanted, getattr(pooling, key), wanted, where, key)
    most = min(down, across)
    if pooling.kind == "average":
        most = min(most, POOL_MAX)
        if pooling.size.bit_count() != 1:
            raise UserError(
                f"{where}: size: got {pooling.size}, expected a power of two for an average"
            )
    demand_range(1, pooling.size, min(most, KERNEL_MAX), where, "size")
    if chip:
        groups = -(-config.columns // chip.ldpu.lanes)
        values = pooling.across * groups * chip.ldpu.lanes
        if values > chip.buffers.pool:
            raise UserError(
                f"{where}: values of a row of windows: got {values}, expected at most "
                f"buffers.pool, {chip.buffers.pool}"
            )
