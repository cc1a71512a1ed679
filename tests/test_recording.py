"""Recordings of simulated tiles are read as `result_recorder.sv` says that it writes them."""

import numpy as np
import pytest

from caduceus.sim import recording


def test_results_and_packets(tmp_path):
    (tmp_path / "results_5.txt").write_text(
        "r01ff80 1250 2*2500\ns7f 9000\nr020304 9999 1*5000 1*2500\ns81 20000\nr0005"
    )
    found = recording.one_tile(tmp_path, 5, 1)
    results, sent = found.results, found.sent
    assert results.dtype == sent.dtype == np.int8
    assert results.tolist() == [[1, -1, -128], [2, 3, 4]]
    assert sent.tolist() == [[127], [-127]]
    assert [found.time_ps(False, 0, beat) for beat in range(4)] == [1250, 3750, 6250, None]
    assert [found.time_ps(False, 1, beat) for beat in range(3)] == [9999, 14999, 17499]
    assert [found.time_ps(True, vector, 0) for vector in range(3)] == [9000, 20000, None]


def test_binary16_is_low_byte_first(tmp_path):
    (tmp_path / "results_0.txt").write_text("r003cffff 5\n")
    found = recording.one_tile(tmp_path, 0, 2)
    results, sent = found.results, found.sent
    assert results.dtype == np.uint16
    assert results.tolist() == [[0x3C00, 0xFFFF]]
    assert sent.shape == (0, 0)


@pytest.mark.parametrize("text", ["r01\nr0102\n", "x01\n", "r0g\n"])
def test_what_is_not_a_recording_is_refused(tmp_path, text):
    (tmp_path / "results_1.txt").write_text(text)
    with pytest.raises(ValueError):
        recording.one_tile(tmp_path, 1, 1)


def test_activity(tmp_path):
    (tmp_path / "activity_3.txt").write_text("1250 1\n2000 3\n18446744073000 c\n99")
    changes = recording.activity(tmp_path, 3)
    assert changes.tolist() == [[1250, 1], [2000, 3], [18446744073000, 12]]
    (tmp_path / "activity_4.txt").write_text("")
    assert recording.activity(tmp_path, 4).shape == (0, 2)
    with pytest.raises(OSError):
        recording.activity(tmp_path, 5)
