"""What a tile's program may say about feature maps: every limit, and the sentence beyond it."""

import re
from dataclasses import replace

import numpy as np
import pytest

from spec import chip, formats
from spec.errors import UserError
from spec.feature_map import Pooling, Window
from spec.formats import ReadMode
from spec.image_check import EXTENT_MAX, check_images
from spec.program import InputPart, TileConfig

HERMES, CADUCEUS = chip.find("hermes"), chip.find("caduceus")
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
    check_images(_config(WINDOW, POOLING), HERMES, "tile 0")
    check_images(_config(None), HERMES, "tile 0")
    check_images(_config(None, rx_enable=True, rx_parts=16), HERMES, "tile 0")
    most = Window(
        height=EXTENT_MAX, width=EXTENT_MAX, channels=4, kernel=255, stride=255, padding=254,
        position=255**2 - 1, channel=3, group=1, groups=10, period=1,
    )  # fmt: skip
    check_images(_config(most, rows=1), HERMES, "tile 0")
    two = replace(WINDOW, packets=2)
    check_images(_config(two, parts=_parts(4, 2, 4, 2)), HERMES, "tile 0")
    average = replace(POOLING, kind="average", size=4)
    check_images(_config(WINDOW, average), HERMES, "tile 0")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"height": 0}, "height = 0: allowed is 1 to 2047"),
        ({"width": 2048}, "width = 2048: allowed is 1 to 2047"),
        ({"stride": 0}, "stride = 0: allowed is 1 to 255"),
        ({"stride": 256}, "stride = 256: allowed is 1 to 255"),
        ({"padding": -1}, "padding = -1: allowed is 0 to 255"),
        ({"padding": 65_536}, "padding = 65536: allowed is 0 to 255"),
        ({"kernel": 11}, "kernel = 11: allowed is 1 to 10"),
        ({"kernel": 0}, "kernel = 0: allowed is 1 to 10"),
        ({"padding": 3}, "padding = 3: allowed is 0 to 2"),
        ({"channels": 0}, "channels = 0: allowed is 1 to 8192"),
        ({"channels": 8193}, "channels = 8193: allowed is 1 to 8192"),
        ({"channel": 6}, "channel = 6: allowed is 0 to 5"),
        ({"position": 9}, "position = 9: allowed is 0 to 8"),
        ({"position": 1}, "rows from its position on = 54: allowed is 1 to 48"),
        ({"channel": 1}, "rows from its position on = 54: allowed is 1 to 53"),
        ({"group": 0}, "group = 0: allowed is 1 to 255"),
        ({"groups": 11}, "groups = 11: allowed is 1 to 10"),
        ({"groups": 0}, "groups = 0: allowed is 1 to 10"),
        ({"period": 1}, "period = 1: allowed is 2 to 10"),
        ({"first": 10}, "first = 10: allowed is 0 to 9"),
        ({"first": 5}, "columns = 11: allowed is 1 to 10"),
        ({"packets": 2}, "packets = 2: allowed is 1 to 1"),
    ],
)
def test_a_window_beyond_its_limits(changes: dict, sentence: str) -> None:
    with pytest.raises(UserError, match=f"^tile 7: window: {re.escape(sentence)}$"):
        check_images(_config(replace(WINDOW, **changes)), HERMES, "tile 7")


@pytest.mark.parametrize(
    ("lengths", "packets", "sentence"),
    [
        ((1,) * 17, 1, "parts = 17: allowed is 1 to 16"),
        ((3, 3, 3), 2, "3 parts: allowed is a multiple of packets (2)"),
        ((4, 3), 2, "bytes of a pixel's parts = 7: allowed is 6 to 6"),
        ((4, 2, 3, 3), 2, "parts differ from pixel to pixel: allowed are the same"),
    ],
)
def test_parts_that_are_no_pixels(lengths: tuple, packets: int, sentence: str) -> None:
    config = _config(replace(WINDOW, packets=packets), parts=_parts(*lengths))
    with pytest.raises(UserError, match=f"^tile 7: window: {re.escape(sentence)}$"):
        check_images(config, HERMES, "tile 7")


def test_a_part_longer_than_the_array_is_refused() -> None:
    window = replace(WINDOW, channels=300, packets=2)
    config = _config(window, parts=_parts(257, 43))
    with pytest.raises(UserError, match="window: bytes of a part = 257: allowed is 1 to 256"):
        check_images(config, HERMES, "tile 7")


@pytest.mark.parametrize(
    ("pooling", "others", "sentence"),
    [
        ({"height": 7}, {}, "height = 7: allowed is 8 to 8"),
        ({"width": 5}, {}, "width = 5: allowed is 4 to 4"),
        ({"size": 5}, {}, "size = 5: allowed is 1 to 4"),
        ({"size": 0}, {}, "size = 0: allowed is 1 to 4"),
        ({"kind": "average", "size": 3}, {}, "size = 3: allowed for an average is a power of two"),
        ({}, {"tx_binary16": True}, "with tx_binary16: allowed are INT8 results"),
    ],
)
def test_pooling_beyond_its_limits(pooling: dict, others: dict, sentence: str) -> None:
    config = _config(WINDOW, replace(POOLING, **pooling), **others)
    with pytest.raises(UserError, match=f"^tile 7: pooling: {re.escape(sentence)}$"):
        check_images(config, HERMES, "tile 7")


def test_an_average_of_more_values_than_its_sum_holds_is_refused() -> None:
    window = replace(WINDOW, height=32, width=32, group=32, groups=1, period=32, first=0)
    config = _config(window, Pooling("average", 32, 32, 32))
    with pytest.raises(UserError, match="pooling: size = 32: allowed is 1 to 16"):
        check_images(config, HERMES, "tile 7")


def test_pooling_without_a_window_is_refused() -> None:
    with pytest.raises(UserError, match="pooling: without a window: allowed is one with a window"):
        check_images(_config(None, POOLING), HERMES, "tile 7")


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
        check_images(config, description, "tile 7")
        buffers = description.buffers.model_copy(update={"pool": values - 8})
        with pytest.raises(UserError, match=f"keeps {values} values, 8 too many: allowed is buf"):
            check_images(config, description.model_copy(update={"buffers": buffers}), "tile 7")


def test_rx_limits() -> None:
    config = _config(None, rx_enable=True, rx_parts=17)
    with pytest.raises(UserError, match="tile 7: rx_parts = 17: allowed is 1 to 16"):
        check_images(config, HERMES, "tile 7")
    # 17 bytes are two beats of 16.
    config = _config(None, columns=17, rx_enable=True)
    buffers = CADUCEUS.buffers.model_copy(update={"rx": 16})
    with pytest.raises(UserError, match="bytes of an RX vector = 32: allowed is 1 to 16"):
        check_images(config, CADUCEUS.model_copy(update={"buffers": buffers}), "tile 7")


def test_without_a_chip_only_its_own_limits_count() -> None:
    check_images(_config(replace(WINDOW, channels=8193)), None, "tile 7")
    with pytest.raises(UserError, match="channels = 65536: allowed is 1 to 65535"):
        check_images(_config(replace(WINDOW, channels=65_536)), None, "tile 7")
