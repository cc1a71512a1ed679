"""The scoreboard: equality holds, every kind of difference is caught and named."""

import numpy as np
import pytest

from caduceus.sim.scoreboard import Mismatch, Scoreboard, With, compare, named, pixel_column

DESCRIBE = pixel_column("conv1", first=100)


def _matrix() -> np.ndarray:
    return np.arange(-60, 60, dtype=np.int8).reshape(12, 10)


def test_equal_arrays_of_different_types() -> None:
    assert compare(_matrix(), _matrix().astype(np.int64), DESCRIBE).compared == 120


def test_nothing_to_compare_counts_nothing() -> None:
    assert compare([], [], DESCRIBE).compared == 0


@pytest.mark.parametrize("bit", range(8))
def test_any_inverted_bit_is_reported_at_its_place(bit: int) -> None:
    for index in np.ndindex(12, 10):
        got = _matrix()
        got.view(np.uint8)[index] ^= 1 << bit
        with pytest.raises(Mismatch) as caught:
            compare(_matrix(), got, DESCRIBE)
        assert caught.value.index == index
        assert (caught.value.compared, caught.value.mismatches) == (120, 1)
        assert str(caught.value) == (
            f"layer conv1, pixel {100 + index[0]}, column {index[1]}: "
            f"expected {_matrix()[index]}, got {got[index]} (1 of 120 values differ)"
        )


def test_first_of_many_in_row_major_order() -> None:
    got = _matrix()
    got[3, 7] += 1
    got[3, 2] -= 1
    got[11, 0] += 1
    with pytest.raises(Mismatch, match=r"pixel 103, column 2: .*\(3 of 120 values differ\)"):
        compare(_matrix(), got, DESCRIBE)


def test_signs_are_not_lost_between_types() -> None:
    with pytest.raises(Mismatch, match="expected -1, got 255"):
        compare(np.array([-1], np.int8), np.array([255], np.uint8), lambda index: str(index))
    with pytest.raises(Mismatch, match="expected 0, got 256"):
        compare(np.array([0], np.uint8), np.array([256], np.int32), lambda index: str(index))


def test_a_missing_pixel_is_a_mismatch() -> None:
    with pytest.raises(Mismatch, match=r"expected shape \[12, 10\], got \[11, 10\]"):
        compare(_matrix(), _matrix()[:-1], DESCRIBE)


def test_only_integers_are_compared() -> None:
    with pytest.raises(TypeError, match="float64"):
        compare(_matrix(), _matrix().astype(float), DESCRIBE)
    with pytest.raises(TypeError, match=r"2\*\*63"):
        compare(np.array([2**63], np.uint64), np.array([2**63], np.uint64), lambda index: "here")


def test_the_name_of_the_place_is_the_callers() -> None:
    with pytest.raises(Mismatch, match=r"^tile 4: expected 1, got 2"):
        compare([1], [2], lambda index: f"tile {index[0] + 4}")


def test_settings_stand_behind_the_values() -> None:
    place = With("column 3", named(relu=True, rx_enable=np.bool_(False), scale=f"{0x3C00:#06x}"))
    with pytest.raises(Mismatch) as caught:
        compare([1], [2], lambda index: place)
    assert str(caught.value) == (
        "column 3: expected 1, got 2 (1 of 1 values differ), with relu=1 rx_enable=0 scale=0x3c00"
    )
    assert (caught.value.place, caught.value.expected, caught.value.got) == (place, 1, 2)


def test_groups_are_counted_and_the_first_of_each_is_the_least_in_order() -> None:
    score = Scoreboard(order=lambda mismatch: mismatch.place)
    for group, place, got in (("a", 3, 1), ("b", 2, 9), ("b", 1, 8), ("b", 1, 7), ("a", 0, 1)):
        score.add([1, 1], [got, 1], lambda index, place=place: place, group)
    assert list(score.groups) == ["a", "b"]
    assert (score.compared, score.mismatches) == (10, 3)
    assert (score.groups["a"].mismatches, score.groups["b"].mismatches) == (0, 3)
    assert (score.groups["b"].first.place, score.groups["b"].first.got) == (1, 8)
    assert score.first == str(score.groups["b"].first)
