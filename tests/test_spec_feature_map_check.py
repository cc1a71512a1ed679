"""What a tile's program may say about feature maps: every limit, and the sentence beyond it."""

import re
from dataclasses import replace

import numpy as np
import pytest

from caduceus.spec import chip, formats
from caduceus.spec.chip import Chip
from caduceus.spec.errors import UserError
from caduceus.spec.feature_map import Pooling, Window
from caduceus.spec.feature_map_check import EXTENT_MAX, check_feature_maps
from caduceus.spec.formats import ReadMode
from caduceus.spec.program import InputPart, TileConfig

HERMES, WIDE = Chip.find("hermes"), Chip.find("hermes_wide")
LARGE = HERMES.model_copy(
    update={"buffers": chip.Buffers(activation=1 << 20, gather=8, rx=1 << 20, pool=1 << 20)}
)
"""As HERMES, with the largest buffers that a chip description may ask for."""
WINDOW = Window(
    height=8, width=10, channels=6, kernel=3, stride=1, padding=1, position=0, channel=0,
    group=2, groups=2, period=4, first=2,
)  # fmt: skip
"""Every other pair of columns, from the second on."""
POOLING = Pooling("max", 2, 8, 4)


def _config(window: Window | None, pooling: Pooling | None = None, **others: object) -> TileConfig:
    settings = {"rows": 54, "columns": 16} | others
    return TileConfig(
        read_mode=ReadMode.ONE_PHASE,
        constants=np.zeros((settings["columns"], len(formats.COLUMN_CONSTANTS)), np.uint16),
        window=window,
        pooling=pooling,
        **settings,
    )


def _parts(*lengths: int) -> tuple[InputPart, ...]:
    return tuple(InputPart(0, length) for length in lengths)


def test_what_is_allowed_passes() -> None:
    check_feature_maps(_config(WINDOW, POOLING), HERMES, "tile 0")
    check_feature_maps(_config(None), HERMES, "tile 0")
    check_feature_maps(_config(None, rx_enable=True, rx_parts=16), HERMES, "tile 0")
    most = Window(
        height=EXTENT_MAX, width=EXTENT_MAX, channels=4, kernel=255, stride=255, padding=254,
        position=255**2 - 1, channel=3, group=1, groups=10, period=1,
    )  # fmt: skip
    check_feature_maps(_config(most, rows=1), HERMES, "tile 0")
    two = replace(WINDOW, packets=2)
    check_feature_maps(_config(two, parts=_parts(4, 2, 4, 2)), HERMES, "tile 0")
    average = replace(POOLING, kind="average", size=4)
    check_feature_maps(_config(WINDOW, average), HERMES, "tile 0")


@pytest.mark.parametrize(
    ("window", "pooling", "others"),
    [
        (replace(WINDOW, channels=8192), None, {}),
        (replace(WINDOW, position=8, channel=5), None, {"rows": 1}),
        # A pixel that is one packet may be longer than the array has rows.
        (replace(WINDOW, channels=300), None, {}),
        (replace(WINDOW, channels=4096, packets=16), None, {"parts": _parts(*[256] * 16)}),
        # Columns to the last, whatever the period would reach beyond it.
        (replace(WINDOW, first=4), None, {}),
        (replace(WINDOW, group=10, groups=1, period=10, first=0), None, {}),
        (replace(WINDOW, width=600, group=255, groups=2, period=255), None, {}),
        (replace(WINDOW, height=255, width=255, kernel=255, padding=0, group=1, groups=1, period=1,
                 first=0), None, {}),
        (WINDOW, replace(POOLING, size=4), {}),
        (WINDOW, replace(POOLING, kind="average", size=1), {}),
        (replace(WINDOW, height=16, width=16, group=16, groups=1, period=16, first=0),
         Pooling("average", 16, 16, 16), {}),
        (replace(WINDOW, height=255, width=255, group=255, groups=1, period=255, first=0),
         Pooling("max", 255, 255, 255), {}),
        # Nothing is added, so RX vectors may be of any length.
        (None, None, {"rx_parts": 16, "columns": HERMES.buffers.rx + 1}),
        (None, None, {"rx_enable": True, "columns": HERMES.buffers.rx}),
        (None, None, {"rx_enable": True, "rx_binary16": True, "columns": HERMES.buffers.rx // 2}),
    ],
)  # fmt: skip
def test_the_largest_values_pass(window, pooling, others: dict) -> None:
    check_feature_maps(_config(window, pooling, **others), HERMES, "tile 0")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"height": 0}, "height: got 0, expected 1 to 2047"),
        ({"height": 2048}, "height: got 2048, expected 1 to 2047"),
        ({"width": 0}, "width: got 0, expected 1 to 2047"),
        ({"width": 2048}, "width: got 2048, expected 1 to 2047"),
        ({"stride": 0}, "stride: got 0, expected 1 to 255"),
        ({"stride": 256}, "stride: got 256, expected 1 to 255"),
        ({"padding": -1}, "padding: got -1, expected 0 to 255"),
        ({"padding": 65_536}, "padding: got 65536, expected 0 to 255"),
        ({"kernel": 11}, "kernel: got 11, expected 1 to 10"),
        ({"kernel": 0}, "kernel: got 0, expected 1 to 10"),
        ({"width": 5, "kernel": 8}, "kernel: got 8, expected 1 to 7"),
        ({"height": 600, "width": 600, "kernel": 256}, "kernel: got 256, expected 1 to 255"),
        ({"padding": 3}, "padding: got 3, expected 0 to 2"),
        ({"channels": 0}, "channels: got 0, expected 1 to 8192"),
        ({"channels": 8193}, "channels: got 8193, expected 1 to 8192"),
        ({"channel": -1}, "channel: got -1, expected 0 to 5"),
        ({"channel": 6}, "channel: got 6, expected 0 to 5"),
        ({"position": -1}, "position: got -1, expected 0 to 8"),
        ({"position": 9}, "position: got 9, expected 0 to 8"),
        ({"position": 1}, "rows from its position on: got 54, expected 1 to 48"),
        ({"channel": 1}, "rows from its position on: got 54, expected 1 to 53"),
        ({"group": 0}, "group: got 0, expected 1 to 255"),
        ({"width": 600, "group": 256, "period": 256}, "group: got 256, expected 1 to 255"),
        ({"groups": 11}, "groups: got 11, expected 1 to 10"),
        ({"groups": 0}, "groups: got 0, expected 1 to 10"),
        ({"period": 1}, "period: got 1, expected 2 to 10"),
        ({"period": 11}, "period: got 11, expected 2 to 10"),
        ({"first": -1}, "first: got -1, expected 0 to 9"),
        ({"first": 10}, "first: got 10, expected 0 to 9"),
        ({"first": 5}, "columns: got 11, expected 1 to 10"),
        ({"packets": 0}, "packets: got 0, expected 1 to 1"),
        ({"packets": 2}, "packets: got 2, expected 1 to 1"),
    ],
)
def test_a_window_beyond_its_limits(changes: dict, sentence: str) -> None:
    with pytest.raises(UserError, match=f"^tile 7: window: {re.escape(sentence)}$"):
        check_feature_maps(_config(replace(WINDOW, **changes)), HERMES, "tile 7")


@pytest.mark.parametrize(
    ("lengths", "packets", "sentence"),
    [
        ((1,) * 17, 1, "parts: got 17, expected 1 to 16"),
        ((3, 3, 3), 2, "parts: got 3, expected a multiple of packets (2)"),
        ((4, 3), 2, "bytes of a pixel's parts: got 7, expected 6 to 6"),
        ((4, 2, 4, 1), 2, "bytes of a pixel's parts: got 5, expected 6 to 6"),
        ((4, 2, 3, 3), 2, "parts differ from pixel to pixel: expected the same"),
    ],
)
def test_parts_that_are_no_pixels(lengths: tuple, packets: int, sentence: str) -> None:
    config = _config(replace(WINDOW, packets=packets), parts=_parts(*lengths))
    with pytest.raises(UserError, match=f"^tile 7: window: {re.escape(sentence)}$"):
        check_feature_maps(config, HERMES, "tile 7")


@pytest.mark.parametrize("lengths", [(257, 43), (43, 257)])
def test_a_part_longer_than_the_array_is_refused(lengths: tuple) -> None:
    window = replace(WINDOW, channels=300, packets=2)
    config = _config(window, parts=_parts(*lengths))
    with pytest.raises(UserError, match="window: bytes of a part: got 257, expected 1 to 256"):
        check_feature_maps(config, HERMES, "tile 7")


@pytest.mark.parametrize(
    ("pooling", "others", "sentence"),
    [
        ({"height": 7}, {}, "height: got 7, expected 8 to 8"),
        ({"width": 5}, {}, "width: got 5, expected 4 to 4"),
        ({"size": 5}, {}, "size: got 5, expected 1 to 4"),
        ({"size": 0}, {}, "size: got 0, expected 1 to 4"),
        (
            {"kind": "average", "size": 3},
            {},
            "size: got 3, expected a power of two for an average",
        ),
        ({}, {"tx_binary16": True}, "with tx_binary16: expected INT8 results"),
    ],
)
def test_pooling_beyond_its_limits(pooling: dict, others: dict, sentence: str) -> None:
    config = _config(WINDOW, replace(POOLING, **pooling), **others)
    with pytest.raises(UserError, match=f"^tile 7: pooling: {re.escape(sentence)}$"):
        check_feature_maps(config, HERMES, "tile 7")


@pytest.mark.parametrize(
    ("kind", "size", "down", "across", "most"),
    [
        ("average", 32, 32, 32, 16),  # more values than its sum holds
        ("max", 256, 300, 300, 255),
        ("max", 4, 3, 9, 3),
        ("average", 4, 9, 3, 3),
    ],
)
def test_pooling_windows_that_are_too_large(kind, size, down, across, most: int) -> None:
    columns = {"group": 1, "groups": across, "period": 1, "first": 0}
    window = replace(WINDOW, height=down, width=across, **columns)
    config = _config(window, Pooling(kind, size, down, across))
    with pytest.raises(UserError, match=f"pooling: size: got {size}, expected 1 to {most}$"):
        check_feature_maps(config, HERMES, "tile 7")


def test_pooling_without_a_window_is_refused() -> None:
    with pytest.raises(UserError, match="pooling: without a window: expected one with a window"):
        check_feature_maps(_config(None, POOLING), HERMES, "tile 7")


def test_a_row_of_windows_has_to_fit() -> None:
    """Two windows across, and columns in whole groups of lanes."""
    for lanes, values in ((1, 2 * 17), (8, 2 * 24)):
        description = HERMES.model_copy(
            update={
                "ldpu": HERMES.ldpu.model_copy(update={"lanes": lanes}),
                "buffers": HERMES.buffers.model_copy(update={"pool": values}),
            }
        )
        config = _config(WINDOW, POOLING, columns=17)
        check_feature_maps(config, description, "tile 7")
        buffers = description.buffers.model_copy(update={"pool": values - 8})
        with pytest.raises(UserError, match=f"a row of windows: got {values}, expected at"):
            check_feature_maps(
                config, description.model_copy(update={"buffers": buffers}), "tile 7"
            )


def test_rx_limits() -> None:
    config = _config(None, rx_enable=True, rx_parts=17)
    with pytest.raises(UserError, match="tile 7: rx_parts: got 17, expected 1 to 16"):
        check_feature_maps(config, HERMES, "tile 7")
    # 17 bytes are two beats of 16, and 34 are three.
    for binary16, place in ((False, 32), (True, 48)):
        config = _config(None, columns=17, rx_enable=True, rx_binary16=binary16)
        enough, small = (
            WIDE.model_copy(update={"buffers": WIDE.buffers.model_copy(update={"rx": rx})})
            for rx in (place, place - 16)
        )
        check_feature_maps(config, enough, "tile 7")
        sentence = f"tile 7: bytes of an RX vector: got {place}, expected 1 to {place - 16}"
        with pytest.raises(UserError, match=f"^{sentence}$"):
            check_feature_maps(config, small, "tile 7")


@pytest.mark.parametrize("description", [None, LARGE])
def test_without_a_smaller_buffer_the_format_limits_channels(description) -> None:
    check_feature_maps(_config(replace(WINDOW, channels=65_535)), description, "tile 7")
    with pytest.raises(UserError, match="channels: got 65536, expected 1 to 65535"):
        check_feature_maps(_config(replace(WINDOW, channels=65_536)), description, "tile 7")


def test_without_a_chip_its_limits_do_not_count() -> None:
    check_feature_maps(
        _config(replace(WINDOW, channels=300, packets=2), parts=_parts(257, 43)), None, ""
    )
    check_feature_maps(_config(WINDOW, POOLING, columns=4096), None, "tile 7")
    check_feature_maps(_config(None, columns=HERMES.buffers.rx + 1, rx_enable=True), None, "tile 7")
