"""Windows and pooling as register words: every field reads back what it was made of."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from spec import chip, formats, image_registers
from spec.errors import UserError
from spec.feature_map import Pooling, Window
from spec.formats import ReadMode
from spec.image_check import EXTENT_MAX, KERNEL_MAX, check_images
from spec.program import TileConfig

HERMES = chip.find("hermes")


def _config(window: Window, pooling: Pooling | None = None) -> TileConfig:
    return TileConfig(
        read_mode=ReadMode.ONE_PHASE, rows=1, columns=1,
        constants=np.zeros((1, len(formats.COLUMN_CONSTANTS)), np.uint16),
        window=window, pooling=pooling,
    )  # fmt: skip


def _fields(words: dict[str, int], name: str) -> dict[str, int]:
    """Fields of a word, signed ones as such."""
    found = {}
    for field in image_registers.BY_NAME[name].fields:
        value = words[name] >> field.low & ((1 << field.width) - 1)
        found[field.name] = value - (value >> field.width - 1 << field.width) * field.signed
    return found


def _check(window: Window) -> None:
    words = image_registers.values(_config(window), HERMES)
    assert all(0 <= word < 1 << 32 for word in words.values())
    assert _fields(words, "GATHER") == {
        "enable": 1, "kernel": window.kernel, "stride": window.stride, "padding": window.padding
    }  # fmt: skip
    assert _fields(words, "MAP") == {"height": window.height, "width": window.width}
    assert _fields(words, "PIXEL") == {"bytes": window.channels, "packets": window.packets}
    assert _fields(words, "POSITION") == {
        "y": window.position // window.kernel, "x": window.position % window.kernel,
        "channel": window.channel,
    }  # fmt: skip
    assert _fields(words, "RESULTS") == {"rows": window.result_rows, "groups": window.groups}
    # x of a window is that of its result times the stride, less the padding.
    first, last = window.columns[0], window.columns[window.group - 1]
    left = first * window.stride - window.padding
    skip = (first + window.period - last) * window.stride
    assert _fields(words, "COLUMN") == {"group": window.group, "left": left, "skip": skip}
    for name, word in words.items():
        if name.startswith("RING_"):
            (field,) = image_registers.BY_NAME[name].fields
            assert 0 <= word < 1 << field.width, name


@given(st.data())
def test_every_window_that_is_allowed(data: st.DataObject) -> None:
    def draw(least: int, most: int) -> int:
        """Often one of the two."""
        assume(least <= most)
        return data.draw(st.sampled_from((least, most)) | st.integers(least, most))

    height, width = draw(1, EXTENT_MAX), draw(1, EXTENT_MAX)
    kernel = draw(1, min(KERNEL_MAX, 3 * min(height, width)))
    padding, stride = draw(0, kernel - 1), draw(1, KERNEL_MAX)
    assume(kernel <= min(height, width) + 2 * padding)
    across = (width + 2 * padding - kernel) // stride + 1
    group = draw(1, min(across, KERNEL_MAX))
    period = draw(group, across)
    first = draw(0, across - group)
    groups = draw(1, 1 + (across - group - first) // period)
    channels = draw(1, HERMES.buffers.activation)
    window = Window(
        height=height, width=width, channels=channels, kernel=kernel, stride=stride,
        padding=padding, position=draw(0, kernel**2 - 1), channel=draw(0, channels - 1),
        group=group, groups=groups, period=period, first=first,
    )  # fmt: skip
    check_images(_config(window), HERMES, "tile 0")
    _check(window)


def test_the_widest_map_with_the_largest_first_column() -> None:
    """What 12 bits of `left` and `skip` just hold."""
    window = Window(
        height=1, width=EXTENT_MAX, channels=1, kernel=1, stride=1, padding=0, position=0,
        channel=0, group=1, groups=1, period=EXTENT_MAX, first=EXTENT_MAX - 1,
    )  # fmt: skip
    _check(window)
    wider = replace(window, width=4095, first=4094)
    with pytest.raises(UserError, match="width = 4095"):
        check_images(_config(wider), HERMES, "tile 0")
    with pytest.raises(ValueError, match=r"COLUMN\.left = 4094: does not fit 12 bits"):
        image_registers.values(_config(wider), HERMES)


@pytest.mark.parametrize("kind", ["max", "average"])
@pytest.mark.parametrize("size", [1, 2, 16])
def test_pooling(kind: str, size: int) -> None:
    window = Window(
        height=33, width=2 * size + 1, channels=1, kernel=1, stride=1, padding=0, position=0,
        channel=0, group=1, groups=2 * size + 1, period=1,
    )  # fmt: skip
    config = _config(window, Pooling(kind, size, 33, 2 * size + 1))
    check_images(config, HERMES, "tile 0")
    words = image_registers.values(config, HERMES)
    pool = _fields(words, "POOL")
    assert image_registers.POOL_KINDS[pool["kind"]] == kind
    assert (pool["size"], 1 << pool["shift"]) == (size, size * size)
    assert _fields(words, "POOL_MAP") == {"height": 33, "width": 2 * size + 1}
    assert _fields(words, "POOL_WINDOWS") == {
        "down": 33 // size, "across": (2 * size + 1) // size
    }  # fmt: skip


def test_without_a_window_the_unit_is_off() -> None:
    off = replace(_config(Window(1, 1, 1, 1, 1, 0, 0, 0, 1, 1, 1)), window=None, rx_parts=3)
    assert image_registers.values(off, HERMES) == {"RX_PARTS": 3, "GATHER": 0, "POOL": 0}
