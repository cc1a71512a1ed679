"""Windows and pooling as register words: every field reads back what it was made of."""

import re
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from test_spec_feature_map_check import LARGE

from caduceus.spec import feature_map_registers, formats
from caduceus.spec.chip import Chip
from caduceus.spec.errors import UserError
from caduceus.spec.fabric import PARTS
from caduceus.spec.feature_map import Pooling, Window
from caduceus.spec.feature_map_check import CHANNELS_MAX, EXTENT_MAX, KERNEL_MAX, check_feature_maps
from caduceus.spec.formats import ReadMode
from caduceus.spec.program import InputPart, TileConfig
from caduceus.spec.register import Register, RegisterField

HERMES = Chip.find("hermes")
FIELDS = [
    (register, field) for register in feature_map_registers.REGISTERS for field in register.fields
]


def _config(window: Window, pooling: Pooling | None = None) -> TileConfig:
    """With pixels of `window.packets` packets, about as long as each other."""
    cuts = [window.channels * cut // window.packets for cut in range(window.packets + 1)]
    parts = tuple(InputPart(0, end - start) for start, end in pairwise(cuts))
    return TileConfig(
        read_mode=ReadMode.ONE_PHASE, rows=1, columns=1,
        constants=np.zeros((1, len(formats.COLUMN_CONSTANTS)), np.uint16),
        window=window, pooling=pooling, parts=parts if len(parts) > 1 else (),
    )  # fmt: skip


def _fields(words: dict[str, int], name: str) -> dict[str, int]:
    """Fields of a word, signed ones as such."""
    found = {}
    for field in feature_map_registers.BY_NAME[name].fields:
        value = words[name] >> field.low & ((1 << field.width) - 1)
        found[field.name] = value - (value >> field.width - 1 << field.width) * field.signed
    return found


def _check(window: Window, description: Chip = HERMES) -> None:
    words = feature_map_registers.values(_config(window), description)
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
    ring = {name: words[name] for name in words if name.startswith("RING_")}
    assert {name: _fields(words, name) for name in ring} == {
        name: {"value": word} for name, word in ring.items()
    }
    _check_ring(window, ring, description)


def _check_ring(window: Window, ring: dict[str, int], description: Chip) -> None:
    """Each step leads from the byte that one result begins with to that of another."""
    pixels = description.buffers.activation // window.channels
    size = pixels * window.channels
    y, x = divmod(window.position, window.kernel)

    def place(row: int, column: int, images: int = 0) -> int:
        """Of the byte that the first row of a result is given, had the ring no end."""
        down = row * window.stride - window.padding + y
        across = window.columns[column] * window.stride - window.padding + x
        pixel = images * window.height * window.width + down * window.width + across
        return pixel * window.channels + window.channel

    last = window.group - 1
    begun = place(0, 0)
    expected = {
        "RING_PIXELS": pixels, "RING_SIZE": size, "RING_ORIGIN": begun,
        "RING_ROW": place(1, 0) - begun, "RING_MAP": place(0, 0, images=1) - begun,
        "RING_LINE": (window.width - window.kernel) * window.channels,
        "RING_RESULT": place(0, last) - place(0, last - 1) if last else ring["RING_RESULT"],
        "RING_GROUP": place(0, last + 1) - place(0, last) if window.groups > 1
        else ring["RING_GROUP"],
    }  # fmt: skip
    assert ring == {
        name: value if name in ("RING_PIXELS", "RING_SIZE") else value % size
        for name, value in expected.items()
    }


@pytest.mark.parametrize("description", [HERMES, LARGE])
@settings(deadline=None)
@given(data=st.data())
def test_every_window_that_is_allowed(description: Chip, data: st.DataObject) -> None:
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
    channels = draw(1, min(description.buffers.activation, CHANNELS_MAX))
    least = -(-channels // HERMES.array.rows)
    packets = draw(max(1, least), min(PARTS, channels)) if least <= PARTS else 1
    packets = data.draw(st.sampled_from((1, packets)))
    window = Window(
        height=height, width=width, channels=channels, kernel=kernel, stride=stride,
        padding=padding, position=draw(0, kernel**2 - 1), channel=draw(0, channels - 1),
        group=group, groups=groups, period=period, first=first, packets=packets,
    )  # fmt: skip
    check_feature_maps(_config(window), description, "tile 0")
    _check(window, description)


@pytest.mark.parametrize("channels", [1, CHANNELS_MAX])
def test_pixels_that_are_as_small_or_large_as_can_be(channels: int) -> None:
    """On the largest buffer: a ring of as many pixels, and pixels of as many bytes, as there are.

    Of one byte, too: a ring of 2**20 bytes needs a bit more than its addresses.
    """
    window = Window(
        height=EXTENT_MAX, width=EXTENT_MAX, channels=channels, kernel=KERNEL_MAX,
        stride=KERNEL_MAX, padding=KERNEL_MAX - 1, position=KERNEL_MAX**2 - 1,
        channel=channels - 1, group=1, groups=10, period=1,
    )  # fmt: skip
    check_feature_maps(_config(window), LARGE, "tile 0")
    _check(window, LARGE)
    words = feature_map_registers.values(_config(window), LARGE)
    if channels == 1:
        assert words["RING_PIXELS"] == words["RING_SIZE"] == LARGE.buffers.activation


def test_the_widest_map_with_the_largest_first_column() -> None:
    """What 12 bits of `left` and `skip` just hold."""
    window = Window(
        height=1, width=EXTENT_MAX, channels=1, kernel=1, stride=1, padding=0, position=0,
        channel=0, group=1, groups=1, period=EXTENT_MAX, first=EXTENT_MAX - 1,
    )  # fmt: skip
    _check(window)
    wider = replace(window, width=4095, first=4094)
    with pytest.raises(UserError, match="width: got 4095"):
        check_feature_maps(_config(wider), HERMES, "tile 0")
    with pytest.raises(ValueError, match=r"COLUMN\.left: got 4094, expected -2048 to 2047"):
        feature_map_registers.values(_config(wider), HERMES)


@pytest.mark.parametrize(
    ("register", "field"),
    FIELDS,
    ids=[f"{register.name}.{field.name}" for register, field in FIELDS],
)
def test_a_value_that_does_not_fit_its_field(register: Register, field: RegisterField) -> None:
    """Guard bits around: the ends of a field's range are nobody else's business."""
    least, most = 0, (1 << field.width) - 1
    if field.signed:
        least, most = -(1 << field.width - 1), (1 << field.width - 1) - 1
    for value in (least, most):
        word = feature_map_registers._word(register.name, **{field.name: value})
        assert _fields({register.name: word}, register.name) == {
            each.name: value if each is field else 0 for each in register.fields
        }
    for value in (least - 1, most + 1):
        sentence = f"{register.name}.{field.name}: got {value}, expected {least} to {most}"
        with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
            feature_map_registers._word(register.name, **{field.name: value})


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"kernel": 256}, "GATHER.kernel: got 256, expected "),
        ({"stride": 256}, "GATHER.stride: got 256, expected "),
        ({"padding": 256}, "GATHER.padding: got 256, expected "),
        ({"padding": -1}, "GATHER.padding: got -1, expected "),
        ({"height": 65_536}, "MAP.height: got 65536, expected "),
        ({"channels": 65_536}, "PIXEL.bytes: got 65536, expected "),
        ({"position": 256}, "POSITION.y: got 256, expected "),
        ({"channel": 65_536}, "POSITION.channel: got 65536, expected "),
        ({"groups": 65_536}, "RESULTS.groups: got 65536, expected "),
        ({"group": 256, "period": 256}, "COLUMN.group: got 256, expected "),
        ({"first": 2048}, "COLUMN.left: got 2048, expected "),
        ({"period": 4096}, "COLUMN.skip: got 4096, expected "),
    ],
)
def test_a_window_that_does_not_fit_its_registers(changes: dict, sentence: str) -> None:
    window = Window(
        height=9, width=9, channels=1, kernel=1, stride=1, padding=0, position=0, channel=0,
        group=1, groups=1, period=1,
    )  # fmt: skip
    _check(window)
    with pytest.raises(ValueError, match=rf"^{re.escape(sentence)}-?\d+ to \d+$"):
        feature_map_registers.values(_config(replace(window, **changes)), LARGE)


@pytest.mark.parametrize(("kind", "size"), [
    ("max", 1), ("max", 2), ("max", 16), ("max", 255), ("average", 1), ("average", 2),
    ("average", 16),
])  # fmt: skip
def test_pooling(kind: str, size: int) -> None:
    down, across = size + 17, 2 * size + 1
    window = Window(
        height=down, width=across, channels=1, kernel=1, stride=1, padding=0, position=0,
        channel=0, group=1, groups=across, period=1,
    )  # fmt: skip
    config = _config(window, Pooling(kind, size, down, across))
    check_feature_maps(config, HERMES, "tile 0")
    words = feature_map_registers.values(config, HERMES)
    pool = _fields(words, "POOL")
    assert feature_map_registers.POOL_KINDS[pool["kind"]] == kind
    assert pool["size"] == size
    if kind == "average":
        assert 1 << pool["shift"] == size * size
    assert _fields(words, "POOL_MAP") == {"height": down, "width": across}
    assert _fields(words, "POOL_WINDOWS") == {"down": down // size, "across": across // size}


def test_without_a_window_the_unit_is_off() -> None:
    off = replace(_config(Window(1, 1, 1, 1, 1, 0, 0, 0, 1, 1, 1)), window=None, rx_parts=3)
    assert feature_map_registers.values(off, HERMES) == {"RX_PARTS": 3, "GATHER": 0, "POOL": 0}
