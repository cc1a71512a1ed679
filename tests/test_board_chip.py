"""The board's chip in RTL with its arrays emulated, as they are on the board."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from caduceus.export.bitstream import build
from caduceus.export.package.core_file import CHIP_TOP
from caduceus.sim.chip_design import TIMING
from caduceus.sim.chip_harness import clock_plusargs, write_harness
from caduceus.sim.chip_player import STREAMS
from caduceus.sim.harness_files import HARNESS_SOURCES
from caduceus.spec.formats import ReadMode
from tb import test_recurrent
from tb.benches import Case, Design, Variant
from tb.chips import sized

STEPS = 8


def _prepare(variant: Variant, folder: Path) -> Design:
    """The package's design that becomes the bitstream, between players that never pause."""
    chip = sized(variant.parameters)
    files = [folder / name for name in build.write_verilog(chip, CHIP_TOP, folder)]
    harness = write_harness(folder / "chip_harness.sv", chip)
    return Design(
        [*HARNESS_SOURCES, harness, *files],
        "chip_harness",
        plusargs=[f"+streams={STREAMS}", *clock_plusargs(*variant.parameters["clocks"])],
        build_args=TIMING,
    )


@pytest.mark.regress
@pytest.mark.parametrize(
    ("mode", "clocks"), [(ReadMode.ONE_PHASE, 865), (ReadMode.FOUR_PHASE, 3120)]
)
def test_an_lstm_is_equal_and_takes_what_the_manual_says(
    tmp_path: Path, mode: ReadMode, clocks: int
) -> None:
    parameters = {
        "chip": "ulx3s", "clocks": (1000, 1000), "by_words": True, "read_mode": mode,
        "text": STEPS,
    }  # fmt: skip
    bench = replace(test_recurrent.BENCH, prepare=_prepare)
    case = Case(bench, Variant(mode, parameters), "verilator")
    results = case.run(tmp_path, testcase="a_trained_network")
    assert results.ok and results.passed == 1, results.report
    reported = re.search(
        r"clocks from step to step at full speed: \[(.*)\]", results.log.read_text()
    )
    *periods, _ = reported[1].split(", ")  # the last step's state is for no other: a clock less
    assert periods and set(periods) == {str(clocks)}
