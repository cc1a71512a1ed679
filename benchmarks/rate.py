"""Calls a second of processor time. Standard library only: every interpreter measures alike."""

import time
from collections.abc import Callable
from statistics import median

ROUNDS = 7
"""Measurements a figure; the median counts."""


def rate(call: Callable[[], object], seconds: float, rounds: int = ROUNDS) -> float:
    """Calls a second, median of `rounds` measurements of `seconds` or a little more each."""
    call()  # what is prepared once does not count
    rates = []
    for _ in range(rounds):
        calls, start = 0, time.process_time()
        while not calls or (spent := time.process_time() - start) < seconds:
            call()
            calls += 1
        rates.append(calls / spent)
    return median(rates)
