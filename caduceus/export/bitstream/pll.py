"""The board's clock: the ECP5's PLL, from 25 MHz."""

from dataclasses import dataclass

from amaranth.hdl import Instance, Signal, Value

from caduceus.spec.errors import UserError

INPUT_MHZ = 25
_OSCILLATOR_MHZ = range(400, 801)
"""Range of the PLL's oscillator (Lattice, FPGA-DS-02012)."""
_DIVIDER = range(1, 129)


@dataclass(frozen=True)
class Dividers:
    """Settings of a PLL whose oscillator runs at `feedback` times the input frequency.

    Attributes:
        feedback: divider from the oscillator to the input frequency.
        output: divider from the oscillator to the output frequency.
    """

    feedback: int
    output: int


def dividers(megahertz: int) -> Dividers:
    """Dividers that give exactly `megahertz`, with the fastest possible oscillator.

    Raises:
        UserError: no dividers give this frequency; the sentence names the nearest possible ones.
    """
    for feedback in reversed(_DIVIDER):
        oscillator = feedback * INPUT_MHZ
        if oscillator in _OSCILLATOR_MHZ and oscillator % megahertz == 0:
            output = oscillator // megahertz
            if output in _DIVIDER:
                return Dividers(feedback, output)
    found = sorted({
        feedback * INPUT_MHZ // output
        for feedback in _DIVIDER
        if feedback * INPUT_MHZ in _OSCILLATOR_MHZ
        for output in _DIVIDER
        if feedback * INPUT_MHZ % output == 0
    })  # fmt: skip
    near = sorted(sorted(found, key=lambda rate: abs(rate - megahertz))[:4])
    raise UserError(
        f"clocks.sync_mhz: the board's PLL cannot make it from {INPUT_MHZ} MHz: got {megahertz}, "
        f"expected for example {', '.join(map(str, near))}"
    )


def pll(clock: Value, megahertz: int, output: Signal, locked: Signal) -> Instance:
    """A PLL from `clock`, of `INPUT_MHZ`, to `output`; `locked` is 1 once the output is stable.

    The PLL's first output only closes the feedback loop, so the second can have any frequency that
    divides the oscillator's.
    """
    found = dividers(megahertz)
    fed_back = Signal(name="pll_fed_back")
    return Instance(
        "EHXPLLL",
        a_ICP_CURRENT="12",
        a_LPF_RESISTOR="8",
        p_CLKI_DIV=1,
        p_CLKFB_DIV=1,
        p_FEEDBK_PATH="CLKOP",
        p_CLKOP_ENABLE="ENABLED",
        p_CLKOP_DIV=found.feedback,
        p_CLKOP_CPHASE=found.feedback - 1,
        p_CLKOS_ENABLE="ENABLED",
        p_CLKOS_DIV=found.output,
        p_CLKOS_CPHASE=found.output - 1,
        i_CLKI=clock,
        i_CLKFB=fed_back,
        i_RST=0,
        i_STDBY=0,
        i_PLLWAKESYNC=0,
        i_PHASESEL0=0,
        i_PHASESEL1=0,
        i_PHASEDIR=0,
        i_PHASESTEP=0,
        i_PHASELOADREG=0,
        i_ENCLKOP=0,
        i_ENCLKOS=0,
        o_CLKOP=fed_back,
        o_CLKOS=output,
        o_LOCK=locked,
    )
