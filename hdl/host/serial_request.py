"""The present request of a serial bridge: its bytes and arguments, and its reply."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value, ValueLike
from amaranth.lib import wiring

from caduceus.hdl.host.serial_link import BYTE, FrameSender
from caduceus.spec import serial_protocol as protocol
from caduceus.spec.serial_protocol import ARGUMENTS, Operation, Status

_ARGUMENT_BYTES = max(protocol.arguments_length(operation) for operation in Operation)


class SerialRequest:
    """Signals and common states of a bridge's FSM (domain `sync`).

    All states belong to one `m.FSM()`. The states of `begin_states` come first and lead to the
    state with the operation's name. That state or a later one calls `finish`, which leads to the
    states of `end_states`.

    Attributes:
        byte: the request's next byte, valid if `take` returns 1.
        ended: the request's last byte was accepted.
        done: count of words or bytes for the reply, 16 bits; initially 0.
    """

    def __init__(self, m: Module, asked: wiring.PureInterface, sender: FrameSender) -> None:
        self._m, self._asked, self._sender = m, asked, sender
        self.byte = asked.payload.byte
        self.ended = Signal(name="ended")
        self.done = Signal(16, name="done")
        self._sequence, self._operation = Signal(BYTE), Signal(BYTE)
        self._argument = Signal(_ARGUMENT_BYTES * BYTE)
        self._status = Signal(BYTE)
        self._repeats, self._counts = Signal(), Signal()  # form of the reply

    def arguments(self, kind: Operation) -> dict[str, Value]:
        """Arguments of an operation, valid once all have arrived; the last one is the highest."""
        low = (_ARGUMENT_BYTES - protocol.arguments_length(kind)) * BYTE
        found = {}
        for name, length in ARGUMENTS[kind]:
            found[name] = self._argument[low : low + length * BYTE]
            low += length * BYTE
        return found

    def take(self) -> Value:
        """Accept a byte of the request in this clock; return whether it is valid."""
        m, asked = self._m, self._asked
        m.d.comb += asked.ready.eq(1)
        m.d.sync += self.ended.eq(Mux(asked.valid, asked.payload.last, self.ended))
        return asked.valid

    def say(self, byte: ValueLike, last: ValueLike = 0) -> None:
        """Append a byte to the reply in this clock."""
        reply = self._sender.input
        self._m.d.comb += [
            reply.valid.eq(1),
            reply.payload.byte.eq(byte),
            reply.payload.last.eq(last),
        ]

    def finish(self, outcome: ValueLike = Status.DONE, count: bool = False) -> None:
        """Drain the request, then append `done` if `count`, and the status."""
        self._m.d.sync += [self._status.eq(outcome), self._counts.eq(count)]
        self._m.next = "DRAIN"

    def begin_states(self) -> None:
        """Receive sequence number, operation and arguments; or repeat the last reply, or LOST."""
        m, asked, sender = self._m, self._asked, self._sender
        sequence, operation, status = self._sequence, self._operation, self._status
        previous, in_session = Signal(BYTE), Signal()
        missing = Signal(range(_ARGUMENT_BYTES + 1))  # argument bytes that have not arrived
        with m.State("SEQUENCE"):
            m.d.sync += [self.done.eq(0), self._repeats.eq(0), self._counts.eq(0)]
            # The sender may still be sending the reply before.
            m.d.comb += asked.ready.eq(~sender.busy)
            with m.If(asked.valid & ~sender.busy):
                m.d.sync += sequence.eq(self.byte)
                m.next = "OPERATION"
        with m.State("OPERATION"):
            m.d.sync += operation.eq(self.byte)
            with m.If(self.take()):
                m.next = "DECIDE"
        with m.State("DECIDE"):
            next_one = sequence == (previous + 1)[:BYTE]
            m.d.sync += status.eq(Status.REFUSED)
            with m.If((operation != Operation.HELLO) & in_session & (sequence == previous)):
                m.d.sync += self._repeats.eq(1)
                m.next = "DRAIN"
            with m.Else():
                self.say(sequence)
                m.d.sync += [previous.eq(sequence), in_session.eq(1)]
                m.next = "HEAD"
                with m.If((operation != Operation.HELLO) & ~(in_session & next_one)):
                    m.d.sync += [in_session.eq(0), status.eq(Status.LOST)]
        with m.State("HEAD"):
            self.say(operation | protocol.REPLY)
            m.next = "DRAIN"
            with m.Switch(operation):
                for kind in Operation:
                    with m.Case(kind):
                        m.d.sync += missing.eq(protocol.arguments_length(kind))
                        with m.If(status != Status.LOST):
                            m.next = "ARGUMENTS"
        with m.State("ARGUMENTS"):
            with m.If(missing == 0), m.Switch(operation):
                for kind in Operation:
                    with m.Case(kind):
                        m.next = kind.name
            with m.Elif(self.ended):
                m.next = "STATUS"
            with m.Else(), m.If(self.take()):
                m.d.sync += [
                    missing.eq(missing - 1),
                    self._argument.eq(Cat(self._argument[BYTE:], self.byte)),
                ]

    def end_states(self) -> None:
        """Drain the rest of the request; append count and status to the reply."""
        m = self._m
        with m.State("DRAIN"):
            with m.If(~self.ended):
                self.take()
            with m.Elif(self._repeats):
                m.d.comb += self._sender.again.eq(1)
                m.next = "SEQUENCE"
            with m.Elif(self._counts):
                self.say(self.done[:BYTE])
                m.next = "DONE HIGH"
            with m.Else():
                m.next = "STATUS"
        with m.State("DONE HIGH"):
            self.say(self.done[BYTE:])
            m.next = "STATUS"
        with m.State("STATUS"):
            self.say(self._status, last=1)
            m.next = "SEQUENCE"
