"""Jobs on netlists: benches of the regression, and their selected tests."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from netlists import design
from tb import test_cnn, test_recurrent, test_tile
from tb.benches import Bench, Case, Variant

SIMULATOR = "verilator"
_CHIP = {"chip": "tiny", "clocks": (1000, 1000), "by_words": True, "recorded": False}
"""Equal clock rates, as on the board; states are written through registers."""


@dataclass(frozen=True)
class Job:
    """A bench around a netlist.

    Attributes:
        name: of the job.
        what: printed description.
        bench: the RTL's bench.
        around: replaces the bench's design by the netlist; receives the folder of all jobs.
        parameters: of the variant.
        tests: selected tests of the bench; None for all.
    """

    name: str
    what: str
    bench: Bench
    around: Callable[[Bench, Path], Bench]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    tests: tuple[str, ...] | None = None

    def case(self, folder: Path) -> Case:
        """The case to run, with all files in `folder`."""
        variant = Variant(f"netlist_{self.name}", self.parameters, (SIMULATOR,))
        return Case(self.around(self.bench, folder), variant, SIMULATOR)


def _chip(bench: Bench, folder: Path) -> Bench:
    return design.of_chip(bench, folder / "chip")


TILE = Job(
    "tile",
    "one tile of 16x16 with its array emulated, the tile's bench",
    test_tile.BENCH,
    lambda bench, folder: design.of_tile(bench, folder / "axi_tile"),
    {**_CHIP, "vectors": 2},
    # All except `mvms_overlap`, which tests the speed of the behavioral array.
    (
        "random_programs", "full_size", "vectors_in_parts", "every_flipped_bit_is_reported",
        "malformed_vectors", "reset_at_any_moment", "locked_while_busy", "a_write_meets_a_vector",
        "reference_currents", "a_blank_array_gives_the_bias",
    ),
)  # fmt: skip
"""A tile behind AXI."""
ALTERED = Job(
    "altered",
    "the same with one inverted bit in a look-up table, which the comparison must report",
    test_tile.BENCH,
    lambda bench, folder: design.of_tile(bench, folder / "axi_tile", ("caduceus_ldpu", "result")),
    TILE.parameters,
    ("random_programs",),
)
"""The check of the check."""
CNN = Job(
    "cnn",
    "a chip of 2x2 tiles with emulated arrays, networks: resnet_tiny and two at random",
    test_cnn.BENCH,
    _chip,
    {**_CHIP, "named": ["resnet_tiny"], "networks": 2},
    ("random_networks", "networks_of_the_project"),
)
"""Convolutional networks."""
RECURRENT = Job(
    "recurrent",
    "the same chip, networks: lstm_tiny and one at random",
    test_recurrent.BENCH,
    _chip,
    {**_CHIP, "networks": 1, "text": 3},
    ("random_networks", "a_trained_network"),
)
"""Recurrent networks, their states included."""
JOBS = (TILE, CNN, RECURRENT)
