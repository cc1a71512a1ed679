"""PcmWrite in the golden model against Python integers, published figures, its own rules."""

from dataclasses import replace

import numpy as np
import pytest
from test_golden_read_noise import _philox

from caduceus.golden.reference.pcm_devices import PcmDevices
from caduceus.golden.reference.pcm_writer import PcmWriter, places
from caduceus.spec import formats, pcm_state, pcm_write, read_noise
from caduceus.spec.chip import Chip
from caduceus.spec.errors import UserError
from caduceus.spec.pcm_write import Procedure, Pulse

TINY, HERMES = Chip.find("tiny"), Chip.find("hermes")
COUNT = HERMES.nominal_gain * pcm_write.VERIFY_SLOTS / 2**formats.GAIN_FRACTION
"""Counts of a verify read for each conductance code."""


def _array(rows: int, columns: int, heads: int = 32) -> Chip:
    sizes = {"rows": rows, "columns": columns}
    return TINY.model_copy(
        update={
            "array": TINY.array.model_copy(update=sizes),
            "pcm_write": TINY.pcm_write.model_copy(update={"heads": heads}),
        }
    )


def _state(description: Chip, seed: int = 7, code: int = 0) -> pcm_state.PcmState:
    shape = (1, description.array.rows, description.array.columns, 4)
    return pcm_state.ideal(description, np.full(shape, code, np.uint8), seed)


def _sample(seed: int, tile: int, cell: tuple[int, int, int], domain: int, number: int = 0) -> int:
    row, column, device = cell
    counter = [row * 65536 + column, number, tile, domain]
    word = _philox(counter, [seed & 0xFFFFFFFF, seed >> 32])[device]
    return sum(read_noise.QUANTILES[word >> shift & 0xFF] for shift in (0, 8, 16, 24))


def _after(before: int, set_: bool, amplitude: int, drawn: int, moved: int, noise: int) -> int:
    """The model of `caduceus.spec.pcm_write` in Python's unbounded integers."""
    if drawn < -3072:
        return before
    conductance = min(max(348 + (74 * drawn >> 10), 0), 1023)
    if set_:
        return min(max(conductance + (6 * noise >> 10), 0), 255)
    place = 16 * amplitude + (192 * moved >> 10) + (64 * noise >> 10)
    if place < 16 * 56:
        return min(before + (max(conductance - before, 0) * 128 >> 8), 255)
    place = min(place, 16 * 256 - 1)
    left, right = pcm_write.CURVE[place // 16 : place // 16 + 2]
    value = left * (16 - place % 16) + right * (place % 16)
    return min((conductance * value >> 12) + (5 * abs(noise) >> 10), 255)


def test_a_pulse_does_what_the_model_says():
    random = np.random.default_rng(1)
    seed, tile = 0x123456789ABCDEF0, 5
    devices = PcmDevices(seed, tile, 40, 60)
    for number in range(60):
        codes = random.integers(0, 256, (40, 60, 4), dtype=np.uint8)
        before = codes.copy()
        chosen = random.choice(40 * 60, 30, replace=False)
        rows, columns = np.divmod(chosen, 60)
        device, shape = int(random.integers(4)), Pulse(number % 3 == 0)
        amplitudes = random.integers(0, 256, 30)
        numbers = random.integers(0, 1 << 32, 30)
        devices.pulse(codes, rows, columns, device, shape, amplitudes, numbers)
        for row, column, amplitude, count in zip(
            rows.tolist(), columns.tolist(), amplitudes.tolist(), numbers.tolist(), strict=True
        ):
            cell = row, column, device
            expected = _after(
                int(before[cell]),
                shape is Pulse.SET,
                amplitude,
                _sample(seed, tile, cell, 0x80000000),
                _sample(seed, tile, cell, 0x80000001),
                _sample(seed, tile, cell, 0x80000002, count),
            )
            assert codes[cell] == expected, f"{cell}, {shape!r}, amplitude {amplitude}"
        changed = codes != before
        changed[rows, columns, device] = False
        assert not changed.any(), "another device was changed"


def test_devices_are_as_good_as_the_published_ones():
    devices = PcmDevices(3, 0, 256, 256)
    rows, columns = (each.ravel() for each in np.indices((256, 256)))
    codes = np.zeros((256, 256, 4), np.uint8)
    counts = {}
    for number, (name, shape) in enumerate((("set", Pulse.SET), ("reset", Pulse.SQUARE))):
        for device in range(4):
            amplitude = np.full(rows.shape, pcm_write.AMPLITUDE_MAX)
            order = np.full(rows.shape, number)
            devices.pulse(codes, rows, columns, device, shape, amplitude, order)
        counts[name] = codes[~devices.stuck] * COUNT
    assert (counts["set"] > 50).mean() > 0.99
    assert (counts["reset"] < 5).mean() > 0.99
    # Codes end at 80.6 counts: the 10th percentile is below, the 11th not much.
    assert np.percentile(devices.conductance * COUNT, 10) == pytest.approx(80, abs=0.7)
    assert np.percentile(counts["set"], 9) < 80 < np.percentile(counts["set"], 12)
    assert devices.stuck.mean() == pytest.approx(1 / 740, rel=0.2)


def test_a_pulse_that_melts_forgets_what_was_before():
    devices = PcmDevices(3, 0, 16, 16)
    rows, columns = (each.ravel() for each in np.indices((16, 16)))
    free = ~devices.stuck[..., 0].ravel()
    means = []
    for amplitude in range(90, 256, 15):
        found = []
        for before in (0, 255):
            codes = np.full((16, 16, 4), before, np.uint8)
            devices.pulse(
                codes, rows, columns, 0, Pulse.SQUARE,
                np.full(256, amplitude), np.full(256, amplitude),
            )  # fmt: skip
            found.append(codes[..., 0].ravel()[free].astype(int))
        # Some devices do not melt at the lowest of these amplitudes.
        if amplitude > 110:
            assert (found[0] == found[1]).all(), amplitude
        means.append(found[1].mean())
    assert (np.diff(means) <= 0).all() or np.diff(means)[:-3].max() < 0


@pytest.mark.parametrize(("rows", "columns"), [(16, 16), (8, 20), (20, 12), (4, 259)])
def test_diagonals_cover_an_array_once(rows: int, columns: int):
    description = _array(rows, columns)
    met = np.zeros((rows, columns), int)
    for diagonal in range(pcm_write.diagonals(description)):
        where = places(description, diagonal)
        met[where] += 1
        assert all(len(set(each.tolist())) == pcm_write.lines(description) for each in where)
    assert (met == 1).all()


@pytest.mark.parametrize(
    ("lines", "heads", "cycles", "used"),
    [(256, 32, 8, 32), (16, 32, 1, 16), (20, 3, 7, 3), (20, 16, 2, 10), (12, 64, 1, 12)],
)
def test_heads_share_the_lines(lines: int, heads: int, cycles: int, used: int):
    description = _array(lines, 260, heads)
    assert (pcm_write.head_lines(description), pcm_write.heads(description)) == (cycles, used)


def test_published_currents():
    assert pcm_write.amplitude_ua(0) == 125
    assert pcm_write.amplitude_ua(pcm_write.AMPLITUDE_MAX) == 700


@pytest.mark.parametrize("devices", [1, 2])
def test_what_is_left_of_the_procedure(devices: int):
    """Devices that are not iterated are SET or RESET, and iterated ones are near their goals."""
    description = _array(256, 16, 4)
    state = _state(description)
    pcm_writer = PcmWriter(description, state)
    random = np.random.default_rng(devices)
    largest = 80 * devices
    totals, wanted = [], []
    for diagonal in range(60):
        targets = random.integers(-largest, largest + 1, 16) * (random.random(16) > 0.3)
        found = pcm_writer.program(diagonal, targets, Procedure(devices))
        rows, columns = places(description, diagonal)
        stuck = PcmDevices(state.seed, 0, 256, 16).stuck[rows, columns].any(axis=1)
        codes = pcm_writer.codes[rows, columns].astype(int)
        for line in np.flatnonzero(~stuck):
            target, device = int(targets[line]), int(found.device[line])
            if target == 0:
                assert (codes[line] * COUNT < 9).all()
                assert not found.within[line] and found.iterations[line] == 0
                continue
            assert device // 2 == (target < 0) and (devices == 2 or device % 2 == 0)
            others = np.delete(codes[line], device) * COUNT
            between = (others > 9) & (others < 40)
            assert not between.any(), "a device that is not iterated is neither SET nor RESET"
            assert (others > 40).sum() <= devices - 1
            assert found.within[line] == (abs(found.error[line]) < 5)
            assert found.within[line] or found.iterations[line] == 30
            if found.within[line]:
                totals.append(codes[line] @ [1, 1, -1, -1] * COUNT)
                wanted.append(target)
    # Within the margin, and what RESET devices and rounding add.
    assert np.std(np.subtract(totals, wanted)) < 4
    assert len(wanted) > 400


class ByHand:
    """Program-and-verify of docs/pcm_write.md on ideal converters, one device after the other."""

    def __init__(self, description: Chip, state: pcm_state.PcmState) -> None:
        self.chip, self.seed = description, state.seed
        self.codes = state.codes[0].astype(int).tolist()
        self.gain = int(state.gain_p[0, 0])
        self.reads = self.pulses = 0

    def count(self, cell: tuple[int, int], device: int) -> int:
        row, column = cell
        charge = 512 * self.codes[row][column][device]
        return min(charge * self.gain >> 32, self.chip.adc.phase_limit)

    def pulse(self, device: int, shape: Pulse, cells: list, amplitudes: dict[int, int]) -> None:
        """Pulse these lines: each head drives one of its lines at a time."""
        shared = pcm_write.head_lines(self.chip)
        for turn in range(shared):
            here = [line for line in amplitudes if line % shared == turn]
            for line in here:
                row, column = cells[line]
                cell = row, column, device
                self.codes[row][column][device] = _after(
                    self.codes[row][column][device],
                    shape is Pulse.SET,
                    amplitudes[line],
                    _sample(self.seed, 0, cell, 0x80000000),
                    _sample(self.seed, 0, cell, 0x80000001),
                    _sample(self.seed, 0, cell, 0x80000002, self.pulses),
                )
            self.pulses += bool(here)

    def program(self, cells: list, targets: list[int], how: Procedure) -> list[tuple]:
        """Error, pulses, device, and whether it is within the margin, of each line."""
        polarity = [(2, 3) if target < 0 else (0, 1) for target in targets]
        inuse = [pair[: how.devices] if target else () for pair, target in
                 zip(polarity, targets, strict=True)]  # fmt: skip
        for device in range(4):
            self.pulse(device, Pulse.SQUARE, cells, dict.fromkeys(range(len(cells)), 255))
        for device in range(4):
            chosen = [line for line, devices in enumerate(inuse) if device in devices]
            self.pulse(device, Pulse.SET, cells, dict.fromkeys(chosen, 255))
        goals = {line: abs(target) for line, target in enumerate(targets) if target}
        iterated = {line: polarity[line][0] for line in goals}
        if how.devices == 2:
            reset = {}
            self.reads += len({device for devices in inuse for device in devices})
            for line, target in goals.items():
                first, second = (self.count(cells[line], device) for device in polarity[line])
                lower, higher = polarity[line] if first <= second else polarity[line][::-1]
                if target > max(first, second):
                    iterated[line], goals[line] = lower, target - max(first, second)
                else:
                    iterated[line], reset[line] = higher, lower
            for device in range(4):
                here = [line for line, other in reset.items() if other == device]
                self.pulse(device, Pulse.SQUARE, cells, dict.fromkeys(here, 255))
        found = [(0, 0, 0, False)] * len(targets)
        for device in range(4):
            amplitudes = {line: how.first for line, which in iterated.items() if which == device}
            pulses = dict.fromkeys(amplitudes, 0)
            while amplitudes:
                self.reads += 1
                for line in list(amplitudes):
                    error = self.count(cells[line], device) - goals[line]
                    within = abs(error) < how.margin
                    found[line] = error, pulses[line], device, within
                    if within or pulses[line] == how.iterations:
                        del amplitudes[line]
                        continue
                    moved = amplitudes[line] + (error * how.step + 8 >> 4)
                    amplitudes[line] = min(max(moved, 0), 255)
                    pulses[line] += 1
                self.pulse(device, Pulse.SQUARE, cells, amplitudes)
        return found


@pytest.mark.parametrize(
    "procedure",
    [
        Procedure(1),
        Procedure(2),
        Procedure(2, margin=2, iterations=63, step=40, first=255),
        Procedure(1, margin=1, iterations=5, step=255, first=0),
        Procedure(2, iterations=1),
        Procedure(1, iterations=2),
        Procedure(1, iterations=0),
    ],
)
def test_every_count_of_the_procedure(procedure: Procedure):
    """Errors, pulses of each device, and reads and pulses in all, with 1 to 3 lines per head."""
    random = np.random.default_rng(procedure.iterations)
    pulses: list[int] = []
    for rows, columns, heads in ((6, 9, 2), (9, 4, 4), (5, 5, 64)):
        description = _array(rows, columns, heads)
        state = _state(description, seed=int(random.integers(1 << 63)), code=40)
        golden, by_hand = PcmWriter(description, state), ByHand(description, state)
        for diagonal in (0, 3):
            cells = list(zip(*(each.tolist() for each in places(description, diagonal)),
                             strict=True))  # fmt: skip
            largest = 80 * procedure.devices
            targets = random.integers(-largest, largest + 1, len(cells))
            targets[random.integers(len(cells))] = 0
            found = golden.program(diagonal, targets, procedure)
            got = list(zip(*(each.tolist() for each in (
                found.error, found.iterations, found.device, found.within)), strict=True)
            )  # fmt: skip
            assert got == by_hand.program(cells, targets.tolist(), procedure)
            assert (golden.reads, golden.pulses) == (by_hand.reads, by_hand.pulses)
            assert golden.codes.tolist() == by_hand.codes
            pulses += found.iterations.tolist()
    # It means something: devices are given up, or done after different numbers of pulses.
    few = procedure.iterations <= 5
    assert max(pulses) == procedure.iterations if few else len(set(pulses)) > 5


def test_read_noise_addresses_go_on_after_verify_reads():
    description = _array(16, 16)
    state = replace(_state(description), noise=np.full((1, 16), 300, np.uint16))
    pcm_writer = PcmWriter(description, state)
    pcm_writer.codes[:] = 200
    reads = [pcm_writer.read(3, 1) for _ in range(4)]
    assert pcm_writer.reads == 4
    assert len({each.tobytes() for each in reads}) == 4, "two reads have the same noise"
    assert np.array(reads).mean() == pytest.approx(200 * COUNT - 0.5, abs=1)


def test_what_cannot_be_programmed_is_refused():
    pcm_writer = PcmWriter(TINY, _state(TINY))
    targets = np.zeros(16, np.int64)
    with pytest.raises(UserError, match=r"^diagonal: got 16, expected 0 to 15$"):
        pcm_writer.program(16, targets, Procedure(1))
    with pytest.raises(UserError, match=r"^targets: expected 16 from -255 to 255$"):
        pcm_writer.program(0, targets - 256, Procedure(1))
    with pytest.raises(UserError, match=r"^targets: expected 16"):
        pcm_writer.program(0, targets[1:], Procedure(1))
    with pytest.raises(UserError, match=r"^devices: got 0, expected 1 or 2$"):
        pcm_writer.program(0, targets, Procedure(0))


@pytest.mark.parametrize(
    ("key", "most"),
    [("devices", 2), ("margin", 255), ("iterations", 63), ("step", 255), ("first", 255)],
)
def test_a_procedure_fits_its_registers(key: str, most: int):
    for value in (0, most):
        assert getattr(Procedure(**{"devices": 1, key: value}), key) == value
    for value in (-1, most + 1):
        with pytest.raises(UserError, match=rf": {key}: got {value}, expected 0 to {most}$"):
            Procedure(**{"devices": 1, key: value})
