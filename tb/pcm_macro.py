"""Drivers of the PCM macro's ports: states, windows of pulses, readout."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from cocotb.clock import Clock
from cocotb.handle import SimHandleBase
from cocotb.triggers import FallingEdge, RisingEdge, Timer
from numpy.typing import NDArray

from caduceus.spec import formats, pcm_state
from caduceus.spec.chip import Chip
from caduceus.spec.formats import Phase, ReadMode, Steer
from caduceus.spec.pcm_state import PcmState
from tb.chips import sized
from tb.readout import Readout

STATES = "states"
"""Folder of the state files, in the simulation's working folder."""
PLUSARG = f"+pcm_state={STATES}"


@dataclass(frozen=True)
class Window:
    """One integration window.

    Attributes:
        add, sub: bool [slots, rows], drive of the row in the slot.
        select_plus, select_minus, steer: as the macro's ports.
        reference: its port `reference_level`.
    """

    add: NDArray[np.bool_]
    sub: NDArray[np.bool_]
    select_plus: bool
    select_minus: bool
    steer: Steer
    reference: int = 0

    def lengths(self) -> NDArray[np.int64]:
        """Signed number of driven slots per row."""
        return self.add.sum(axis=0, dtype=np.int64) - self.sub.sum(axis=0, dtype=np.int64)

    def charge(self, codes: NDArray[np.uint8]) -> NDArray[np.int64]:
        """Charge of every column of devices `codes` [rows, columns, 4], by definition."""
        devices = codes.astype(np.int64)
        plus = devices[..., 0] + devices[..., 1]
        minus = devices[..., 2] + devices[..., 3]
        charge = self.lengths() @ (plus * self.select_plus - minus * self.select_minus)
        if self.reference:
            charge = np.full_like(charge, len(self.add) * self.reference)
        return charge if self.steer == Steer.BY_SIGN else np.abs(charge)


def array_chip(parameters: Mapping[str, Any]) -> Chip:
    """The chip of a variant, whose `phase_limit` may be set; see `tb.chips.sized` for the rest."""
    chip = sized({"chip": "tiny", "gdpu_units": 1, **parameters})
    limit = parameters.get("phase_limit", chip.adc.phase_limit)
    return chip.model_copy(update={"adc": chip.adc.model_copy(update={"phase_limit": limit})})


def window(phase: Phase, add: NDArray[np.bool_], sub: NDArray[np.bool_]) -> Window:
    """A window of `phase` with these pulses."""
    return Window(add, sub, phase.select_plus, phase.select_minus, phase.steer)


def replaced(windows: Iterable[Window], reference: int) -> list[Window]:
    """The windows with a reference current instead of the cells' current."""
    return [replace(each, reference=reference) for each in windows]


def pwm_windows(x: NDArray[np.int8], mode: ReadMode) -> list[Window]:
    """Windows of an MVM as an input modulator drives them: pulses start at the first slot."""
    magnitude = np.abs(np.clip(x, -formats.INT8_MAX, formats.INT8_MAX))
    on = np.arange(formats.SLOTS)[:, np.newaxis] < magnitude
    windows = []
    for phase in formats.PHASES[mode]:
        positive, negative = on & (x > 0) & phase.drive_positive, on & (x < 0)
        negative &= phase.drive_negative
        if phase.steer == Steer.BY_SIGN:
            windows.append(window(phase, positive, negative))
        else:
            windows.append(window(phase, positive | negative, np.zeros_like(on)))
    return windows


def _integers(bits: NDArray[np.bool_]) -> list[int]:
    """Rows of bits as integers, first bit lowest."""
    packed = np.packbits(bits, axis=-1, bitorder="little")
    return [int.from_bytes(row.tobytes(), "little") for row in packed]


class PcmMacro:
    """Drives one macro. Methods that take time end just after a rising edge of the array's clock.

    Args:
        dut: the macro, or a design with its ports.
        rows, columns, lanes: sizes.
        mvm_clock, read_clock: names of the clock inputs.
        by_words: whether states are written word by word, instead of loaded from files.
    """

    def __init__(
        self,
        dut: SimHandleBase,
        rows: int,
        columns: int,
        lanes: int,
        mvm_clock: str = "clk",
        read_clock: str = "read_clk",
        by_words: bool = False,
    ) -> None:
        self.dut: Any = dut
        self.rows = rows
        self.clock = getattr(dut, mvm_clock)
        self.readout = Readout(dut, columns, lanes, read_clock)
        self.read = self.readout.read
        self.mvm_ps = 0
        self._by_words = by_words

    def idle(self) -> None:
        """Idle inputs."""
        for name in (
            "state_load", "state_index", "pulse_add", "pulse_sub", "select_plus", "select_minus",
            "steer", "reference_level", "bank", "clear", "integrate", "verify", "heat",
            "head_write", "state_write", "state_first",
        ):  # fmt: skip
            # A design around the macro may not expose all of its ports.
            if hasattr(self.dut, name):
                getattr(self.dut, name).value = 0
        self.readout.idle()

    async def start(self, mvm_ps: int = 1000, read_ps: int = 2500) -> None:
        """Drive idle inputs; start clocks of these periods."""
        self.idle()
        # A design of registers must not see an edge before its inputs.
        await Timer(1, "ps")
        Clock(self.clock, mvm_ps, "ps", impl="gpi").start()
        Clock(self.readout.clock, read_ps, "ps", impl="gpi").start()
        self.mvm_ps = mvm_ps
        await self.clocks(2)

    async def clocks(self, count: int) -> None:
        """Pass `count` rising edges of the array's clock, starting anywhere between two edges."""
        if count:
            await RisingEdge(self.clock)
        if count > 2:
            # One event instead of one per edge; it lies between two edges.
            await Timer((count - 2) * self.mvm_ps + self.mvm_ps // 2, "ps")
        if count > 1:
            await RisingEdge(self.clock)

    async def load(self, state: PcmState, tile: int = 0, index: int = 0) -> None:
        """Load a tile of `state`, from the file number `index` or word by word."""
        if self._by_words:
            await self._write(pcm_state.words(state, tile).tolist())
            index = pcm_state.WRITTEN
        Path(STATES).mkdir(exist_ok=True)
        if not self._by_words:
            pcm_state.write_hex(state, tile, Path(STATES, f"state_{index}.hex"))
        self.dut.state_index.value = index
        self.dut.state_load.value = 1
        await RisingEdge(self.clock)
        self.dut.state_load.value = 0
        self.dut.state_index.value = 0xFFFF
        await RisingEdge(self.clock)

    async def _write(self, words: list[int]) -> None:
        """Write the words of a state through their ports."""
        dut, clock = self.dut, self.readout.clock
        await RisingEdge(clock)
        dut.state_write.value, dut.state_first.value = 1, 1
        for word in words:
            dut.state_data.value = word
            await RisingEdge(clock)
            dut.state_first.value = 0
        dut.state_write.value = 0
        await RisingEdge(clock)
        await RisingEdge(self.clock)

    async def clear(self, bank: int) -> None:
        """Start an MVM into `bank`; its first window may follow at once."""
        self.dut.bank.value = bank
        self.dut.clear.value = 1
        await RisingEdge(self.clock)
        self.dut.clear.value = 0

    async def window(
        self, window: Window, bank: int, after: Mapping[str, int] | None = None
    ) -> None:
        """Play a window and wait for its conversion, at least the clock after its last slot.

        The next window may follow at once. `after` sets further ports in that last clock; they keep
        these values.
        """
        dut = self.dut
        dut.bank.value = bank
        dut.select_plus.value = int(window.select_plus)
        dut.select_minus.value = int(window.select_minus)
        dut.steer.value = int(window.steer)
        dut.reference_level.value = window.reference
        dut.integrate.value = 1
        waited = 0
        before = (None, None)
        for add, sub in zip(_integers(window.add), _integers(window.sub), strict=True):
            if (add, sub) != before:
                await self.clocks(waited)
                dut.pulse_add.value, dut.pulse_sub.value = add, sub
                before, waited = (add, sub), 0
            waited += 1
        await self.clocks(waited)
        dut.integrate.value = 0
        for name, value in (after or {}).items():
            getattr(dut, name).value = value
        await RisingEdge(self.clock)
        # busy may fall and rise again within one edge.
        while dut.busy.value != 0:
            await FallingEdge(dut.busy)
            await RisingEdge(self.clock)

    async def mvm(self, windows: Iterable[Window], bank: int, gap: int = 0) -> None:
        """Clear `bank` and play the windows, with `gap` additional clocks around each of them."""
        await self.clear(bank)
        for each in windows:
            if gap:
                await self.clocks(gap)
            await self.window(each, bank)
