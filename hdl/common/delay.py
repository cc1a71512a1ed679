"""Delay lines."""

from amaranth.hdl import Module, Signal, Value


class Delay:
    """A value and its delayed copies; `delay[n]` is the value `n` clocks of `sync` later.

    A copy is made on first use. Copies have no reset: a valid bit of the same delay accompanies
    them.
    """

    def __init__(self, module: Module, value: Value, name: str) -> None:
        self._module, self._taps, self._name = module, [value], name

    def __getitem__(self, clocks: int) -> Value:
        while len(self._taps) <= clocks:
            tap = Signal(
                len(self._taps[0]), name=f"{self._name}_{len(self._taps)}", reset_less=True
            )
            self._module.d.sync += tap.eq(self._taps[-1])
            self._taps.append(tap)
        return self._taps[clocks]
