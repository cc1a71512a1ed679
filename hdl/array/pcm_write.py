"""The PCM-write unit of a tile: the PCM writer and its pulse sequencer."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from caduceus.hdl.array.pcm_array import PcmArray
from caduceus.hdl.array.pcm_writer import Order, PcmWriter
from caduceus.hdl.array.pulse_sequencer import PulseSequencer
from caduceus.spec import formats, pcm_write
from caduceus.spec.chip import Chip
from caduceus.spec.formats import Steer
from caduceus.spec.pcm_write import Pulse


class PcmWrite(wiring.Component):
    """Writes the PCM devices of an array; owns the array's ports while `busy` is 1.

    Latency: see docs/pcm_write.md. Back-pressure: while `busy`, MVMs wait.

    Attributes (domain `sync`):
        order: from the registers, see `caduceus.hdl.array.pcm_writer`.
        busy: this component owns the array.
        pulsed, verified: pulse of one clock each: a pulse or a verify read has begun.
        head_write, head, head_on, head_amplitude, diagonal, device, line: to the array; while
            `busy`, also read_enable and read_group, of bank 0.
        p, n: the array's counters.

    Attributes (domain `mvm`):
        heat, heat_set: to the array. verify, clear, integrate, steer: to the array for verify
            reads, into bank 0, with every row driven while `integrate` is 1; 0 unless `busy`.
        array_busy: the array is still converting the last window.
    """

    def __init__(self, chip: Chip) -> None:
        self._chip = chip
        counts = chip.ldpu.lanes * formats.COUNT_BITS
        super().__init__(
            {
                "order": In(Order(chip)),
                "busy": Out(1),
                "pulsed": Out(1),
                "verified": Out(1),
                "head_write": Out(1),
                "head": Out(pcm_write.HEAD_BITS),
                "head_on": Out(1),
                "head_amplitude": Out(pcm_write.AMPLITUDE_BITS),
                "diagonal": Out(pcm_write.DIAGONAL_BITS),
                "device": Out(range(len(formats.DEVICES))),
                "line": Out(pcm_write.LINE_BITS),
                "read_enable": Out(1),
                "read_group": Out(range(max(2, chip.column_groups))),
                "p": In(counts),
                "n": In(counts),
                "heat": Out(1),
                "heat_set": Out(Pulse),
                "verify": Out(1),
                "clear": Out(1),
                "integrate": Out(1),
                "steer": Out(Steer),
                "array_busy": In(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.pcm_writer = pcm_writer = PcmWriter(self._chip)
        m.submodules.sequencer = sequencer = PulseSequencer()
        connect(m, flipped(self.order), pcm_writer.order)
        # A command's operands are held until the next command, even through a reset: a pulse that a
        # reset cuts short must end at the devices where it began.
        held = {
            port: Signal.like(getattr(pcm_writer, port), name=f"held_{port}", reset_less=True)
            for port in ("command", "diagonal", "device", "line")
        }
        with m.If(pcm_writer.command_start):
            m.d.sync += [kept.eq(getattr(pcm_writer, port)) for port, kept in held.items()]
        m.d.comb += [
            sequencer.start.eq(pcm_writer.command_start),
            sequencer.command.eq(held.pop("command")),
            pcm_writer.command_busy.eq(sequencer.busy),
            pcm_writer.p.eq(self.p),
            pcm_writer.n.eq(self.n),
            sequencer.array_busy.eq(self.array_busy),
            # Charge of g+ devices goes to P, of g- devices to N.
            self.steer.eq(Mux(held["device"][1], Steer.N, Steer.P)),
            *(getattr(self, port).eq(kept) for port, kept in held.items()),
        ]
        for port in (
            "busy", "pulsed", "verified", "head_write", "head", "head_on", "head_amplitude",
            "read_enable", "read_group",
        ):  # fmt: skip
            m.d.comb += getattr(self, port).eq(getattr(pcm_writer, port))
        for port in ("heat", "heat_set", "verify", "clear", "integrate"):
            m.d.comb += getattr(self, port).eq(getattr(sequencer, port))
        return m

    def share(
        self, m: Module, array: PcmArray, modulator: wiring.Component, reader: wiring.Component
    ) -> None:
        """Share the array's ports with the MVM path, which is idle while `busy` is 1."""
        for port in (
            "head_write", "head", "head_on", "head_amplitude", "diagonal", "device", "line",
            "heat", "heat_set", "verify",
        ):  # fmt: skip
            m.d.comb += getattr(array, port).eq(getattr(self, port))
        drives = self.integrate.replicate(self._chip.array.rows)
        m.d.comb += [
            array.pulse_add.eq(modulator.pulse_add | drives),
            array.pulse_sub.eq(modulator.pulse_sub),
            array.select_plus.eq(modulator.select_plus),
            array.select_minus.eq(modulator.select_minus),
            array.steer.eq(Mux(self.verify, self.steer, modulator.steer)),
            array.bank.eq(modulator.bank & ~self.verify),
            array.clear.eq(modulator.clear | self.clear),
            array.integrate.eq(modulator.integrate | self.integrate),
            modulator.array_busy.eq(array.busy),
            self.array_busy.eq(array.busy),
            array.read_enable.eq(reader.read_enable | self.read_enable),
            array.read_bank.eq(reader.read_bank & ~self.busy),
            array.read_group.eq(Mux(self.busy, self.read_group, reader.read_group)),
            self.p.eq(array.read_p),
            self.n.eq(array.read_n),
        ]
