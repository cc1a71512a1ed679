"""What a tile's program may say about feature maps: gathering, pooling, packets in turn."""

from itertools import cycle

from spec.chip import Chip
from spec.errors import UserError
from spec.fabric import PARTS
from spec.feature_map import Window
from spec.program import TileConfig

EXTENT_MAX = (1 << 12) - 1
"""Height and width of a feature map (our choice, as are the other limits here)."""
KERNEL_MAX = 255
POOL_MAX = 16
"""Height and width of a pooling window: sums of 256 values fit 16 bits."""


def check_images(config: TileConfig, chip: Chip | None, where: str) -> None:
    """Demand that window, pooling and turns of a tile fit each other, and with `chip` its buffers.

    Raises:
        UserError: they do not; the sentence begins with `where` and names the key.
    """
    _demand(1, config.rx_parts, PARTS, where, "rx_parts")
    if chip and config.rx_enable:
        _demand(1, config.rx_bytes, chip.buffers.rx, where, "bytes of an RX vector")
    if config.window is not None:
        _check_window(config, config.window, chip, f"{where}: window")
    if config.pooling is not None:
        _check_pooling(config, chip, f"{where}: pooling")


def _demand(least: int, value: int, most: int, where: str, key: str) -> None:
    if not least <= value <= most:
        raise UserError(f"{where}: {key} = {value}: allowed is {least} to {most}")


def _check_window(config: TileConfig, window: Window, chip: Chip | None, where: str) -> None:
    for key in ("height", "width"):
        _demand(1, getattr(window, key), EXTENT_MAX, where, key)
    _demand(1, window.stride, KERNEL_MAX, where, "stride")
    _demand(0, window.padding, KERNEL_MAX, where, "padding")
    smallest = min(window.height, window.width)
    _demand(1, window.kernel, min(KERNEL_MAX, smallest + 2 * window.padding), where, "kernel")
    _demand(0, window.padding, window.kernel - 1, where, "padding")
    most = chip.buffers.activation if chip else 1 << 20
    _demand(1, window.channels, most, where, "channels")
    _demand(0, window.channel, window.channels - 1, where, "channel")
    _demand(0, window.position, window.kernel**2 - 1, where, "position")
    last = window.kernel**2 * window.channels - window.position * window.channels - window.channel
    _demand(1, config.rows, last, where, "rows from its position on")
    across = (window.width + 2 * window.padding - window.kernel) // window.stride + 1
    _demand(1, window.group, KERNEL_MAX, where, "group")
    _demand(1, window.groups, across, where, "groups")
    _demand(window.group, window.period, across, where, "period")
    _demand(0, window.first, across - 1, where, "first")
    end = window.first + (window.groups - 1) * window.period + window.group
    _demand(1, end, across, where, "columns")
    lengths = [part.length for part in config.input_parts]
    _demand(1, len(lengths), PARTS, where, "parts")
    _demand(1, window.packets, len(lengths), where, "packets")
    if chip and len(lengths) > 1:
        _demand(1, max(lengths), chip.array.rows, where, "bytes of a part")
    if len(lengths) % window.packets:
        raise UserError(
            f"{where}: {len(lengths)} parts: allowed is a multiple of packets ({window.packets})"
        )
    for first in range(0, len(lengths), window.packets):
        pixel = sum(lengths[first : first + window.packets])
        _demand(window.channels, pixel, window.channels, where, "bytes of a pixel's parts")
    same = all(a == b for a, b in zip(lengths, cycle(lengths[: window.packets]), strict=False))
    if not same:
        raise UserError(f"{where}: parts differ from pixel to pixel: allowed are the same")


def _check_pooling(config: TileConfig, chip: Chip | None, where: str) -> None:
    pooling, window = config.pooling, config.window
    if window is None:
        raise UserError(f"{where}: without a window: allowed is one with a window")
    if config.tx_binary16:
        raise UserError(f"{where}: with tx_binary16: allowed are INT8 results")
    down, across = window.result_rows, window.groups * window.group
    for key, wanted in (("height", down), ("width", across)):
        _demand(wanted, getattr(pooling, key), wanted, where, key)
    most = min(down, across)
    if pooling.kind == "average":
        most = min(most, POOL_MAX)
        if pooling.size.bit_count() != 1:
            raise UserError(
                f"{where}: size = {pooling.size}: allowed for an average is a power of two"
            )
    _demand(1, pooling.size, min(most, KERNEL_MAX), where, "size")
    if chip:
        groups = -(-config.columns // chip.ldpu.lanes)
        values = pooling.across * groups * chip.ldpu.lanes
        _demand(1, values, chip.buffers.pool, where, "values of a row of windows")
