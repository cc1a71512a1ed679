"""Read noise of the emulated array, sample after sample (definition: `spec.read_noise`)."""

from amaranth.hdl import Cat, Module, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from caduceus.spec import read_noise

_WORD = 32
_HALF = _WORD // 2
_WORDS = 4
PHASE_BITS = 16
SAMPLE_BITS = (max(read_noise.QUANTILES) * read_noise.BYTES_PER_SAMPLE).bit_length() + 1
_LEVEL_BITS = max(read_noise.QUANTILES).bit_length() + 1


class _Multiplier(wiring.Component):
    """Product of two 32-bit words, pipelined: one per clock, with `LATENCY` clocks.

    It adds four products of halves, with a register behind every operation, so that the longest
    path is an 18-bit multiplier or an adder.
    """

    LATENCY = 4

    a: In(_WORD)
    b: In(_WORD)
    product: Out(2 * _WORD)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        halves = [(x[:_HALF], x[_HALF:]) for x in (self.a, self.b)]
        low, high = Signal(_WORD), Signal(_WORD)
        crossed = [Signal(_WORD, name=f"crossed_{i}") for i in range(2)]
        low_2, high_2, middle = Signal(_WORD), Signal(_WORD), Signal(_WORD + 1)
        low_3, high_3, sum_3 = Signal(_HALF), Signal(_WORD), Signal(_WORD + 2)
        m.d.mvm += [
            low.eq(halves[0][0] * halves[1][0]),
            high.eq(halves[0][1] * halves[1][1]),
            crossed[0].eq(halves[0][0] * halves[1][1]),
            crossed[1].eq(halves[0][1] * halves[1][0]),
            low_2.eq(low),
            high_2.eq(high),
            middle.eq(crossed[0] + crossed[1]),
            low_3.eq(low_2),
            high_3.eq(high_2),
            sum_3.eq(middle + low_2[_HALF:]),
            self.product.eq(Cat(low_3, sum_3[:_HALF], (high_3 + sum_3[_HALF:])[:_WORD])),
        ]
        return m


class EmulatedNoise(wiring.Component):
    """Noise samples of the columns of one window, in order of columns.

    Throughput: about 20 clocks per sample. One Philox block, with two products per round on one
    multiplier, serves four columns. Back-pressure: a sample waits for `take`.

    A reset restarts at column 0.

    Attributes (domain `mvm`):
        seed_low, seed_high, tile, read, phase: address of the noise, see `spec.read_noise`; stable
            from a reset to the last sample.
        valid, sample: the next column's sample. take: the sample is consumed.
    """

    seed_low: In(_WORD)
    seed_high: In(_WORD)
    tile: In(_WORD)
    read: In(_WORD)
    phase: In(PHASE_BITS)
    valid: Out(1)
    sample: Out(signed(SAMPLE_BITS))
    take: In(1)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        words = [Signal(_WORD, name=f"word_{i}", reset_less=True) for i in range(_WORDS)]
        keys = [Signal(_WORD, name=f"key_{i}", reset_less=True) for i in range(2)]
        group = Signal(_HALF)
        block_ready = Signal()
        block_taken = Signal()
        self._rounds(m, words, keys, group, block_ready, block_taken)
        self._samples(m, Cat(words), block_ready, block_taken)
        return m

    def _rounds(
        self,
        m: Module,
        words: list[Signal],
        keys: list[Signal],
        group: Signal,
        block_ready: Signal,
        block_taken: Signal,
    ) -> None:
        """Compute block after block; each waits until it is taken."""
        m.submodules.multiplier = multiplier = _Multiplier()
        clocks = _Multiplier.LATENCY + 2
        step = Signal(range(clocks))
        number = Signal(range(read_noise.PHILOX_ROUNDS))
        left = Signal(2 * _WORD, reset_less=True)
        multipliers = read_noise.PHILOX_MULTIPLIERS
        m.d.comb += [multiplier.a.eq(words[0]), multiplier.b.eq(multipliers[0])]
        with m.If(step == 1):
            m.d.comb += [multiplier.a.eq(words[2]), multiplier.b.eq(multipliers[1])]
        right = multiplier.product

        def fresh(number: Value) -> list:
            return [
                words[0].eq(number), words[1].eq(self.read), words[2].eq(self.tile),
                words[3].eq(self.phase), keys[0].eq(self.seed_low), keys[1].eq(self.seed_high),
            ]  # fmt: skip

        with m.FSM(domain="mvm", name="rounds"):
            with m.State("BEGIN"):
                m.d.mvm += fresh(group)
                m.next = "ROUND"
            with m.State("ROUND"):
                m.d.mvm += step.eq(step + 1)
                with m.If(step == clocks - 2):
                    m.d.mvm += left.eq(multiplier.product)
                with m.If(step == clocks - 1):
                    m.d.mvm += [
                        words[0].eq(right[_WORD:] ^ words[1] ^ keys[0]),
                        words[1].eq(right[:_WORD]),
                        words[2].eq(left[_WORD:] ^ words[3] ^ keys[1]),
                        words[3].eq(left[:_WORD]),
                        *(
                            key.eq(key + weyl)
                            for key, weyl in zip(keys, read_noise.PHILOX_WEYL, strict=True)
                        ),
                        step.eq(0),
                        number.eq(number + 1),
                    ]
                    with m.If(number == read_noise.PHILOX_ROUNDS - 1):
                        m.next = "READY"
            with m.State("READY"):
                m.d.comb += block_ready.eq(1)
                with m.If(block_taken):
                    m.d.mvm += [group.eq(group + 1), number.eq(0), *fresh(group + 1)]
                    m.next = "ROUND"

    def _samples(self, m: Module, block: Value, ready: Signal, taken: Signal) -> None:
        """Compute a block's samples: sums of the levels that its bytes select."""
        m.submodules.levels = levels = Memory(
            shape=signed(_LEVEL_BITS), depth=len(read_noise.QUANTILES), init=read_noise.QUANTILES
        )
        level = levels.read_port(domain="mvm")
        bits = Signal(_WORD * _WORDS, reset_less=True)
        count = Signal(range(read_noise.BYTES_PER_SAMPLE + 1))
        left = Signal(range(_WORDS))
        m.d.comb += level.addr.eq(bits[:8])
        with m.FSM(domain="mvm", name="samples"):
            with m.State("EMPTY"), m.If(ready):
                m.d.comb += taken.eq(1)
                m.d.mvm += [bits.eq(block), left.eq(_WORDS - 1), count.eq(0), self.sample.eq(0)]
                m.next = "SUM"
            with m.State("SUM"):
                # A byte's level arrives one clock after its address.
                m.d.mvm += [bits.eq(bits >> 8), count.eq(count + 1)]
                with m.If(count != 0):
                    m.d.mvm += self.sample.eq(self.sample + level.data)
                with m.If(count == read_noise.BYTES_PER_SAMPLE):
                    m.d.mvm += bits.eq(bits)
                    m.next = "VALID"
            with m.State("VALID"):
                m.d.comb += self.valid.eq(1)
                with m.If(self.take):
                    m.d.mvm += [left.eq(left - 1), count.eq(0), self.sample.eq(0)]
                    m.next = "SUM"
                    with m.If(left == 0):
                        m.next = "EMPTY"
