"""How a range that is too long is cut."""

from math import ceil


def cut(size: int, most: int) -> tuple[range, ...]:
    """As few equal blocks as there can be, of at most `most`; the last one may be smaller."""
    step = ceil(size / ceil(size / most))
    return tuple(range(start, min(start + step, size)) for start in range(0, size, step))
