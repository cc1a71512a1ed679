"""The cocotb regression: every bench, in every variant, on every simulator it is for.

Pick some with pytest's `-k`, for example `-k "adc and icarus"`; the slow ones need `-m regress`.
`COCOTB_RANDOM_SEED` repeats or varies the stimulus.
"""

from pathlib import Path

import pytest

from caduceus.sim.runner import SimulationError
from tb import benches

FOLDER = Path(__file__).resolve().parent.parent / "build" / "rtl"


def _parameters() -> list:
    # By simulator, so that two workers seldom want the same Verilog at the same time.
    cases = sorted(benches.cases(benches.discover()), key=lambda case: case.simulator, reverse=True)
    return [
        pytest.param(case, id=case.id, marks=[pytest.mark.regress] if case.regress else [])
        for case in cases
    ]


@pytest.mark.parametrize("case", _parameters())
def test_rtl(case: benches.Case) -> None:
    """All cocotb tests of the bench pass, and there are some."""
    try:
        results = case.run(FOLDER)
    except SimulationError as error:
        pytest.fail(f"{error}\n{error.tail}", pytrace=False)
    if not results.ok:
        pytest.fail(results.report, pytrace=False)
