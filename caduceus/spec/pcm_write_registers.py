"""Registers of a tile for PCM writes (program-and-verify), diagonal by diagonal.

The host writes the targets of a diagonal, then PCM_WRITE, waits until STATUS.pcm_write is 0, and
reads the results. Meanwhile STATUS.busy is 1, and the input stream is not ready.
"""

from caduceus.spec import pcm_write
from caduceus.spec.register import Register, RegisterField, RegisterTable, word

REGISTERS: tuple[Register, ...] = (
    Register(
        "PCM_WRITE", 0x0A4, "wo", 0,
        (
            RegisterField("diagonal", 0, 16, "number of the diagonal"),
            RegisterField("devices", 16, 2, "devices in use per cell: 1 or 2; 0: only read"),
            RegisterField("device", 20, 2, "device to read if `devices` is 0"),
        ),
        "Starts the PCM write of a diagonal to its targets, or a read of one device of each of its "
        "cells. Refused while the array loads a state.",
        locked=True,
    ),
    Register(
        "PROCEDURE", 0x0A8, "rw",
        pcm_write.MARGIN | pcm_write.ITERATIONS << 8
        | pcm_write.STEP << 16 | pcm_write.FIRST << 24,
        (
            RegisterField(
                "margin", 0, pcm_write.MARGIN_BITS, "margin in counts; a device is done when its "
                    "error is below"
            ),
            RegisterField(
                "iterations", 8, pcm_write.ITERATION_BITS, "pulses after which a device is given up"
            ),
            RegisterField(
                "step", 16, pcm_write.STEP_BITS, "amplitude change per count of error, in 1/16 code"
            ),
            RegisterField(
                "first", 24, pcm_write.AMPLITUDE_BITS,
                "amplitude code to which the first pulse's change is added",
            ),
        ),
        "Parameters of the program-and-verify iteration.",
        locked=True,
    ),
    Register("PULSES", 0x0AC, "ro", 0, word("count"), "Pulses of PCM writes."),
    Register("VERIFY_READS", 0x0B0, "ro", 0, word("count"), "Verify reads, each of one device per "
        "cell of a diagonal."),
)  # fmt: skip

TARGET_TABLE = RegisterTable("targets", 0x1000, 4, "wo")
"""Target of each line of the diagonal."""
RESULT_TABLE = RegisterTable("line_results", 0x2000, 4, "ro")
"""Result of each line of the diagonal."""

TARGET_FIELDS = (
    RegisterField(
        "value", 0, 32, f"signed: counts, {-pcm_write.TARGET_MAX} to {pcm_write.TARGET_MAX}",
        True,
    ),
)  # fmt: skip

RESULT_FIELDS = (
    RegisterField(
        "error", 0, pcm_write.ERROR_BITS,
        "signed: last read of the iterated device minus its goal; after a read, the counts", True,
    ),
    RegisterField("iterations", 16, pcm_write.ITERATION_BITS, "pulses of the device"),
    RegisterField("device", 24, 2, "device that was iterated or read"),
    RegisterField("within", 28, 1, "the error is within the margin"),
)  # fmt: skip


def pcm_write_word(diagonal: int, devices: int, device: int = 0) -> int:
    """A value of PCM_WRITE."""
    fields = zip(REGISTERS[0].fields, (diagonal, devices, device), strict=True)
    return sum(value << field.low for field, value in fields)


def procedure_word(procedure: pcm_write.Procedure) -> int:
    """A value of PROCEDURE."""
    return sum(getattr(procedure, field.name) << field.low for field in REGISTERS[1].fields)


def result(value: int) -> dict[str, int]:
    """Decode the fields of a result."""
    found = {}
    for field in RESULT_FIELDS:
        bits = value >> field.low & (1 << field.width) - 1
        found[field.name] = bits - (bits >> field.width - 1 << field.width) * field.signed
    return found
