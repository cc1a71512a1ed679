"""Bench of the emulated array: the behavioral array's tests, with the same golden twin.

States come word by word. A conversion takes several clocks, so tests that rely on the behavioral
array's single-clock conversion are left out.
"""

from pathlib import Path

from caduceus.hdl.array.emulated_array import MODULE, EmulatedArray
from caduceus.hdl.common import verilog
from caduceus.spec import formats
from tb.benches import Bench, Design, Variant
from tb.pcm_macro import array_chip
from tb.test_pcm_array import (  # noqa: F401 (cocotb finds the tests here)
    arbitrary_pulses,
    clear_and_windows_touch_only_their_bank,
    every_bit_of_the_state_matters,
    extreme_inputs,
    loads_any_state_at_any_time,
    nothing_before_the_first_load,
    pulses_outside_windows_do_nothing,
    random_mvms,
    reading_keeps_its_word_and_its_order,
    reference_currents,
    saturation,
    set_up_of_a_window_may_change_when_it_is_over,
    sizes,
)


def _prepare(variant: Variant, folder: Path) -> Design:
    chip = array_chip(variant.parameters)
    chip = chip.model_copy(
        update={"emulation": chip.emulation.model_copy(update=variant.parameters["emulation"])}
    )
    return Design([verilog.write(EmulatedArray(chip), MODULE, folder / f"{MODULE}.v")], MODULE)


def _sizes(*args: int, at_once: int, **more: int) -> dict:
    """Parameters of a variant that processes `at_once` columns per clock."""
    return sizes(*args, by_words=True, **more) | {"emulation": {"columns_per_clock": at_once}}


BENCH = Bench(
    name="emulated_array",
    covers=(
        "emulated_array",
        "emulated_adc",
        "emulated_charge",
        "emulated_state",
        "emulated_noise",
    ),
    variants=(
        Variant("tiny", _sizes(16, 16, 1, at_once=4), regress=("icarus",)),
        Variant(
            "odd", _sizes(36, 6, 2, phase_limit=formats.COUNT_MAX, at_once=3), regress=("icarus",)
        ),
        Variant("least", _sizes(4, 4, 4, phase_limit=300, at_once=4), regress=("verilator",)),
        Variant("one_by_one", _sizes(12, 20, 4, at_once=1), regress=("icarus",)),
        Variant(
            "board", _sizes(64, 64, 1, mvms=10, at_once=8), simulators=("verilator",), regress=True
        ),
        Variant(
            "hermes",
            _sizes(256, 256, 1, mvms=5, at_once=32),
            simulators=("verilator",),
            regress=True,
        ),
    ),
    prepare=_prepare,
)
