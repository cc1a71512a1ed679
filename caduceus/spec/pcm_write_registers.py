"""The registers of a tile that program its array, diagonal by diagonal.

A host writes the targets of a diagonal, then PCM_WRITE, waits until STATUS.pcm_write is 0, and
reads the results. Meanwhile STATUS.busy is 1, and the input stream waits.
"""

from caduceus.spec import pcm_write
from caduceus.spec.register import Register, RegisterField, RegisterTable, word

REGISTERS: tuple[Register, ...] = (
    Register(
        "PCM_WRITE", 0x0A4, "wo", 0,
        (
            RegisterField("diagonal", 0, 16, "number of the diagonal"),
            RegisterField("devices", 16, 2, "1 or 2 of each cell are in use; 0: only read"),
            RegisterField("device", 20, 2, "which one is read, where `devices` is 0"),
        ),
        "Begins to program the devices of a diagonal towards the targets, or to read one of each "
        "cell. Refused while a state is loaded.",
        locked=True,
    ),
    Register(
        "PROCEDURE", 0x0A8, "rw",
        pcm_write.MARGIN | pcm_write.ITERATIONS << 8
        | pcm_write.STEP << 16 | pcm_write.FIRST << 24,
        (
            RegisterField(
                "margin", 0, pcm_write.MARGIN_BITS, "counts; an error below is within it"
            ),
            RegisterField(
                "iterations", 8, pcm_write.ITERATION_BITS, "pulses until a device is given up"
            ),
            RegisterField(
                "step", 16, pcm_write.STEP_BITS, "amplitude codes, in 1/16, for a count of error"
            ),
            RegisterField(
                "first", 24, pcm_write.AMPLITUDE_BITS,
                "amplitude code from which the first pulse is reckoned",
            ),
        ),
        "How devices are iterated.",
        locked=True,
    ),
    Register("PULSES", 0x0AC, "ro", 0, word("count"), "PcmWrite pulses."),
    Register("VERIFY_READS", 0x0B0, "ro", 0, word("count"), "Reads of a device of each cell."),
)  # fmt: skip

TARGET_TABLE = RegisterTable("targets", 0x1000, 4, "wo")
"""A target for each line of the diagonal."""
RESULT_TABLE = RegisterTable("line_results", 0x2000, 4, "ro")
"""What came of each line."""

TARGET_FIELDS = (
    RegisterField(
        "value", 0, 32, f"signed: counts, {-pcm_write.TARGET_MAX} to {pcm_write.TARGET_MAX}",
        True,
    ),
)  # fmt: skip

RESULT_FIELDS = (
    RegisterField(
        "error", 0, pcm_write.ERROR_BITS,
        "signed: last read of the iterated device less its goal; after a read, the counts", True,
    ),
    RegisterField("iterations", 16, pcm_write.ITERATION_BITS, "pulses that it was given"),
    RegisterField("device", 24, 2, "which one was iterated, or read"),
    RegisterField("within", 28, 1, "the error is within the margin"),
)  # fmt: skip


def program_word(diagonal: int, devices: int, device: int = 0) -> int:
    """A value of PCM_WRITE."""
    fields = zip(REGISTERS[0].fields, (diagonal, devices, device), strict=True)
    return sum(value << field.low for field, value in fields)


def procedure_word(procedure: pcm_write.Procedure) -> int:
    """The value of PROCEDURE that says so."""
    return sum(getattr(procedure, field.name) << field.low for field in REGISTERS[1].fields)


def result(value: int) -> dict[str, int]:
    """Fields of a result."""
    found = {}
    for field in RESULT_FIELDS:
        bits = value >> field.low & (1 << field.width) - 1
        found[field.name] = bits - (bits >> field.width - 1 << field.width) * field.signed
    return found
