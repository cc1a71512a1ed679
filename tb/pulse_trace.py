"""Checker of the input modulator's ports, against the expected pulses.

A bench records all ports clock by clock, and this module then derives what each should have been.
From `clear` on, an MVM follows from its vector and from the array's busy time. The earliest `clear`
follows from the vector's commit and the counter banks.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from caduceus.golden.reference import modulator
from caduceus.sim.scoreboard import With, compare, named
from caduceus.spec.chip import Chip
from caduceus.spec.formats import PHASES, SLOTS, ReadMode

COMMIT_SEEN = 2
"""`mvm` edges after a vector's commit before the vector is visible."""


@dataclass
class Trace:
    """Values of the ports, one entry per `mvm` clock, sampled at its rising edge."""

    time: list[int] = field(default_factory=list)
    pulse_add: list[int] = field(default_factory=list)
    pulse_sub: list[int] = field(default_factory=list)
    select_plus: list[int] = field(default_factory=list)
    select_minus: list[int] = field(default_factory=list)
    steer: list[int] = field(default_factory=list)
    bank: list[int] = field(default_factory=list)
    clear: list[int] = field(default_factory=list)
    integrate: list[int] = field(default_factory=list)
    bank_put: list[int] = field(default_factory=list)
    array_busy: list[int] = field(default_factory=list)
    bank_full: list[int] = field(default_factory=list)

    PULSES = ("pulse_add", "pulse_sub")
    LINES = ("select_plus", "select_minus", "steer", "bank")
    OUTPUTS = (*PULSES, *LINES, "clear", "integrate", "bank_put")


@dataclass(frozen=True)
class Sent:
    """A vector, int8 [rows], padded with zeros, and the time of its commit, in ps."""

    vector: NDArray[np.int8]
    mode: ReadMode
    commit: int


@dataclass(frozen=True)
class Played:
    """The MVMs of a trace, one entry each: clocks, counted from the start of the trace.

    Attributes:
        cleared: clock of `clear`.
        put: clock of `bank_put`.
        due: the clock before which `clear` could not be decided, with a free bank.
        in_window: bool [clocks].
    """

    cleared: list[int]
    put: list[int]
    due: list[int]
    in_window: NDArray[np.bool_]

    @staticmethod
    def check(trace: Trace, sent: Sequence[Sent], chip: Chip) -> "Played":
        """Compare `trace` with the vectors `sent`: every port in every clock."""
        got = {name: np.array(getattr(trace, name)) for name in Trace.OUTPUTS[2:]}
        got |= {name: _bits(getattr(trace, name), chip.array.rows) for name in Trace.PULSES}
        want = {name: np.zeros_like(values) for name, values in got.items()}
        cleared = [int(clock) for clock in np.flatnonzero(got["clear"])]
        assert len(cleared) == len(sent), f"{len(sent)} vectors, {len(cleared)} MVMs"
        put, due = [], []
        for number, (vector, clear) in enumerate(zip(sent, cleared, strict=True)):
            due.append(_check_start(trace, clear, vector.commit, put, number))
            want["clear"][clear] = 1
            put.append(_play(want, chip, vector, clear, number % 2, trace.array_busy))
        in_window = want["integrate"] == 1
        for name in Trace.LINES:  # only checked while in use
            matters = in_window.copy()
            if name == "bank":
                for first, last in zip(cleared, put, strict=True):
                    matters[first : last + 1] = True
            got[name] = np.where(matters, got[name], 0)
            want[name] = np.where(matters, want[name], 0)
        for name in ("clear", "integrate", "bank_put", *Trace.LINES, *Trace.PULSES):
            compare(want[name], got[name], _describe(name, cleared, sent))
        return Played(cleared, put, due, in_window)


def _check_start(trace: Trace, clear: int, commit: int, put: Sequence[int], number: int) -> int:
    """Check that an MVM starts once vector, bank and sequencer allow; returns its `due` clock."""
    seen = int(np.searchsorted(trace.time, commit, side="right")) + COMMIT_SEEN
    due = max(seen, put[-1] if put else 0)
    free = due
    while trace.bank_full[free] >> number % 2 & 1:
        free += 1
    assert clear - 1 == free, f"MVM {number} was started in clock {clear - 1}: expected {free}"
    return due


def _play(
    want: dict[str, NDArray], chip: Chip, sent: Sent, clear: int, bank: int, busy: Sequence[int]
) -> int:
    """Write into `want` the port values after `clear`; returns the clock of `bank_put`."""
    overhead = {
        ReadMode.ONE_PHASE: chip.mvm.overhead_1phase,
        ReadMode.FOUR_PHASE: chip.mvm.overhead_4phase,
    }[sent.mode]
    precharge, conversion = overhead // 2, overhead - overhead // 2
    slot = np.arange(SLOTS)[:, np.newaxis]
    over = clear - 1
    for phase in PHASES[sent.mode]:
        first = over + 1 + precharge
        window = slice(first, first + SLOTS)
        pulses = modulator.signed_pulses(sent.vector[np.newaxis], phase).astype(np.int64)
        want["integrate"][window] = 1
        want["pulse_add"][window] = slot < pulses
        want["pulse_sub"][window] = slot < -pulses
        want["select_plus"][window] = phase.select_plus
        want["select_minus"][window] = phase.select_minus
        want["steer"][window] = phase.steer
        over = first + SLOTS + conversion - 1
        while busy[over]:
            over += 1
    want["bank"][clear : over + 1] = bank
    want["bank_put"][over] = 1 << bank
    return over


def _bits(words: Sequence[int], rows: int) -> NDArray[np.uint8]:
    """Integers as rows of bits, lowest first."""
    size = -(-rows // 8)
    raw = np.frombuffer(b"".join(word.to_bytes(size, "little") for word in words), np.uint8)
    return np.unpackbits(raw.reshape(-1, size), axis=1, bitorder="little")[:, :rows]


def _describe(
    name: str, cleared: Sequence[int], sent: Sequence[Sent]
) -> Callable[[tuple[int, ...]], object]:
    def describe(index: tuple[int, ...]) -> object:
        number = int(np.searchsorted(cleared, index[0], side="right")) - 1
        text = ""
        if number < 0:
            where = f"clock {index[0]}, before the first MVM"
        else:
            after, mode = index[0] - cleared[number], sent[number].mode
            settings = {"read_mode": mode, "bank": number % 2}
            if len(index) > 1:
                settings["input"] = int(sent[number].vector[index[1]])
            where = f"MVM {number}, {after} clocks after its clear"
            text = named(**settings)
        place = f"{name}{f', row {index[1]}' if index[1:] else ''}, {where}"
        return With(place, text) if text else place

    return describe
