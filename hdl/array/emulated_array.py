"""The PCM array for FPGAs: block RAM and multiply-accumulate behind the macro's boundary.

Counts equal those of the behavioral model bit for bit, including read noise. Conversions take
longer, as `busy` shows. States come in words through the `state_write` ports, not from files, and
`state_load` takes the written state, whatever its number. PCM writes are not emulated: a device
keeps the loaded code, and `heat` has no effect.
"""

from amaranth.hdl import ClockDomain, Module, ResetInserter, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from caduceus.hdl.array import pcm_array
from caduceus.hdl.array.emulated_adc import EmulatedAdc
from caduceus.hdl.array.emulated_charge import EmulatedCharge, lanes
from caduceus.hdl.array.emulated_noise import PHASE_BITS, EmulatedNoise
from caduceus.hdl.array.emulated_state import WORD_BITS, EmulatedState
from caduceus.spec.chip import Chip

MODULE = "emulated_array"


class EmulatedArray(wiring.Component):
    """An emulated PCM array with the ports of `caduceus.hdl.array.pcm_array`, clocks included.

    Latency: a conversion takes one clock per row plus six for each group of `lanes` columns, and
    ten for the last group; with read noise, at least 20 clocks per column. A window has at most 255
    slots. In a verify read, every row counts as driven throughout the window, as the interface
    requires.

    Args:
        chip: sizes, and `emulation`: columns per clock, and whether there is read noise.
    """

    def __init__(self, chip: Chip) -> None:
        self._chip = chip
        clocks = dict.fromkeys(pcm_array.CLOCKS, In(1))
        super().__init__({**clocks, **pcm_array.ports(chip)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        chip = self._chip
        for port, name in pcm_array.CLOCKS.items():
            domain = ClockDomain(name, reset_less=True)
            domain.clk = getattr(self, port)
            m.domains += domain
        m.submodules.state = state = EmulatedState(chip, lanes(chip))
        m.submodules.charge = charge = EmulatedCharge(chip)
        m.submodules.converters = converters = EmulatedAdc(chip)
        m.d.comb += [
            state.write.eq(self.state_write),
            state.first.eq(self.state_first),
            state.data.eq(self.state_data),
            charge.cell_write.eq(state.cell_write),
            charge.cell_address.eq(state.cell_address),
            charge.cell.eq(self.state_data),
            converters.column_write.eq(state.column_write),
            converters.column.eq(state.column),
            converters.word.eq(self.state_data),
        ]
        for name in (
            "pulse_add", "pulse_sub", "select_plus", "select_minus", "reference_level", "verify",
            "diagonal", "device", "integrate",
        ):  # fmt: skip
            m.d.comb += getattr(charge, name).eq(getattr(self, name))
        for name in ("read_enable", "read_bank", "read_group"):
            m.d.comb += getattr(converters, name).eq(getattr(self, name))
        m.d.comb += [
            converters.valid.eq(charge.valid),
            converters.charges.eq(charge.charges),
            charge.take.eq(converters.take),
            converters.clear.eq(self.clear),
            converters.clear_bank.eq(self.bank),
            self.busy.eq(charge.busy | converters.busy),
            self.read_p.eq(converters.read_p),
            self.read_n.eq(converters.read_n),
        ]
        with m.If(self.integrate):
            m.d.mvm += [converters.steer.eq(self.steer), converters.bank.eq(self.bank)]
        if chip.emulation.read_noise:
            self._make_noise(m, state, converters)
        return m

    def _make_noise(self, m: Module, state: EmulatedState, converters: EmulatedAdc) -> None:
        """Count reads and windows, and generate the noise that they address."""
        began = Signal()
        begins = self.integrate & ~began
        generator = EmulatedNoise()
        m.submodules.noise = ResetInserter({"mvm": begins})(generator)
        read = Signal(WORD_BITS, init=(1 << WORD_BITS) - 1)
        phase = Signal(PHASE_BITS)
        m.d.mvm += began.eq(self.integrate)
        with m.If(begins):
            m.d.mvm += [generator.phase.eq(phase), phase.eq(phase + 1)]
        with m.If(self.state_load):
            m.d.mvm += read.eq(-1)
        with m.If(self.clear):
            m.d.mvm += [read.eq(read + 1), phase.eq(0)]
        m.d.comb += [
            generator.seed_low.eq(state.seed_low),
            generator.seed_high.eq(state.seed_high),
            generator.tile.eq(state.tile),
            generator.read.eq(read),
            generator.take.eq(converters.sample_take),
            converters.noisy.eq(state.noisy),
            converters.sample.eq(generator.sample),
            converters.sample_valid.eq(generator.valid),
        ]
