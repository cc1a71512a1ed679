"""The Verilog package: what it says, that it is always the same, and that it computes the same."""

from dataclasses import replace
from pathlib import Path

import pytest

from caduceus.package.contents import package
from hdl import pcm_array
from spec import chip
from tb import benches, test_tile
from tb.benches import Case, Design, Variant


def _prepare_tile(variant: Variant, folder: Path) -> Design:
    described = chip.find(variant.parameters["chip"])
    made = package(described, folder)
    (tile,) = (design for design in made.designs if design.name == "axi_tile")
    sources = pcm_array.write_sources(folder, described)
    for name in tile.files:
        if name.startswith("rtl/"):
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(made.files[name])
            sources.append(path)
    return Design(sources, tile.top, plusargs=["+pcm_state=states"])


def test_packaged_tile_computes_the_same(tmp_path: Path) -> None:
    bench = replace(test_tile.BENCH, prepare=_prepare_tile)
    (variant,) = (each for each in bench.variants if each.id == "tiny")
    results = Case(bench, variant, "verilator").run(tmp_path)
    if not results.ok:
        pytest.fail(results.report, pytrace=False)
