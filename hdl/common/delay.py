"""A value some clocks ago."""

from amaranth.hdl import Module, Signal, Value


class Delay:
    """A value and its copies one, two, ... clocks later, made as they are asked for.

    The copies have no reset: whether one counts is told by a valid bit that is delayed as well.
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
