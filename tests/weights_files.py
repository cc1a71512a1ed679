"""Comparing files of weights by what is in them."""

from pathlib import Path

import numpy as np


def same_arrays(one: Path, other: Path) -> bool:
    """Whether two `.npz` files hold the same arrays in the same order, bit for bit.

    The archives' own bytes depend on the Python that wrote them (3.11.4 changed a header field).
    """
    with np.load(one) as first, np.load(other) as second:
        return first.files == second.files and all(
            (first[name].dtype, first[name].shape, first[name].tobytes())
            == (second[name].dtype, second[name].shape, second[name].tobytes())
            for name in first.files
        )
