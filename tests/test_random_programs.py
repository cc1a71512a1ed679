"""The random programs of the chip's bench: sound for golden, and as varied as they are meant."""

from collections import Counter
from itertools import islice

import numpy as np
import pytest
from fabric_model import runs_through

from caduceus.compiler import deadlock
from caduceus.golden import machine
from caduceus.spec import chip, program_file
from caduceus.spec.chip import Array, Chip, Gdpu
from caduceus.spec.fabric import INPUT, PAYLOAD_MAX, RX
from caduceus.spec.formats import ReadMode
from caduceus.spec.program_codes import computing
from tb.chips import sized
from tb.random_programs import describe, hops, programs, random_devices, random_vectors

TINY = Chip.find("tiny")
GRID = Chip.find("hermes").model_copy(
    update={"array": Array(rows=16, columns=16), "gdpu": Gdpu(slices=8, units=4)}
)
WIDE = sized({"chip": "tiny", "lanes": 4})


def drawn(description: chip.Chip, count: int, seed: int = 0) -> list:
    return list(islice(programs(np.random.default_rng(seed), description, 12), count))


@pytest.mark.parametrize("description", [TINY, WIDE, GRID], ids=["tiny", "wide", "grid"])
def test_golden_runs_every_one(description):
    random = np.random.default_rng(1)
    for program in drawn(description, 20):
        deadlock.check(program, description)
        state = random_devices(random, program, description)
        x = random_vectors(random, program, 3)
        outputs = machine.run(program, description, state, x).outputs
        assert outputs.shape == (3, 1, program.output_length)


@pytest.mark.parametrize("description", [TINY, GRID], ids=["tiny", "grid"])
@pytest.mark.parametrize("long_packets", [False, True])
def test_every_one_gets_through_a_coarse_fabric(description, long_packets):
    for seed, program in enumerate(drawn(description, 10, seed=2)):
        assert runs_through(program, description, 4, seed, long_packets, 1), describe(program)


def test_same_seed_same_programs(tmp_path):
    images = []
    for attempt in range(2):
        path = tmp_path / f"{attempt}.bin"
        program_file.save(drawn(TINY, 3, seed=5)[-1], path)
        images.append(path.read_bytes())
    assert images[0] == images[1]


def test_everything_occurs():
    seen: Counter[str] = Counter()
    for program in drawn(GRID, 60, seed=3):
        seen[program.read_mode] += 1
        seen["two computing tiles or more"] += len(computing(program)) > 1
        for stream in program.inputs:
            seen["packet of a full payload"] += stream.length > PAYLOAD_MAX - 40
        for tile in program.tiles:
            seen["tile that forwards only"] += tile.config is None
            for route in tile.routes:
                seen["slice"] += route.start > 0
                seen["multicast"] += len(route.sinks) > 1
                seen["multicast with its own part"] += len(route.sinks) > 1 and INPUT in route.sinks
                seen["partial sums"] += RX in route.sinks
                seen["link over a tile"] += any(sink.endswith("_2") for sink in route.sinks)
    wanted = {*ReadMode, "two computing tiles or more", "packet of a full payload", "slice",
              "tile that forwards only", "multicast", "multicast with its own part",
              "partial sums", "link over a tile"}  # fmt: skip
    assert {name for name, count in seen.items() if count >= 3} >= wanted, seen


def test_hops_are_counted_at_every_link_controller():
    found = next(
        program
        for program in programs(np.random.default_rng(4), TINY, 1)
        if len(program.tiles) == 1 and len(program.inputs) == 1
    )
    # The vector comes in, and the results leave: each once through the one link controller.
    assert hops(found, TINY) == 2


def test_description_names_every_stream():
    (program,) = drawn(TINY, 1, seed=6)
    text = describe(program)
    for tile in program.tiles:
        assert f"tile {tile.tile}:" in text
        for route in tile.routes:
            assert f"stream={route.stream}," in text
