"""All files of a chip's Verilog package, and the file lists of its designs."""

from dataclasses import dataclass
from pathlib import Path

from caduceus.export.package import arrays, core_file, manual, rtl
from caduceus.export.package.core_file import CHIP_TOP, TILE_TOP
from caduceus.hdl.array import emulated_array, pcm_array
from caduceus.hdl.array.emulated_array import EmulatedArray
from caduceus.hdl.fabric.chip import Chip as DesignedChip
from caduceus.hdl.fabric.chip_sources import GATE
from caduceus.hdl.fabric.chip_tile import ChipTile
from caduceus.hdl.fabric.grid import GDPU_MODULE, GRID_MODULE, LINK_MODULE, TILE_MODULE, Grid, Link
from caduceus.hdl.gdpu.gdpu_slice import GdpuSlice
from caduceus.hdl.tile.axi_tile import AxiTile
from caduceus.spec.chip import Chip

EMULATED, BLACK_BOX = "array/emulated", "array/black_box"
FREE_RUNNING, LATCH = "gate/free_running", "gate/latch"
_ARRAY_FILE = f"{pcm_array.MODULE}.v"


@dataclass(frozen=True)
class Design:
    """A design: a top module with all its files.

    Attributes:
        name: of the design.
        top: its top module.
        files: paths relative to the package.
        emulates_many: it has many emulated arrays, which take a flattening tool a long time.
    """

    name: str
    top: str
    files: tuple[str, ...]
    emulates_many: bool = False

    @property
    def list_name(self) -> str:
        """Name of its file list."""
        return f"{self.name}.f"


@dataclass(frozen=True)
class Package:
    """Files of a package by their relative paths, and its designs."""

    files: dict[str, str]
    designs: tuple[Design, ...]


def package(chip: Chip, folder: Path) -> Package:
    """Make the package of a chip.

    Args:
        chip: its description.
        folder: scratch space for Yosys; no file remains.

    Raises:
        UserError: Yosys refuses the design.
    """
    designed = {
        CHIP_TOP: DesignedChip(chip),
        GRID_MODULE: Grid(chip),
        TILE_MODULE: ChipTile(chip),
        GDPU_MODULE: GdpuSlice(chip),
        LINK_MODULE: Link(chip),
        TILE_TOP: AxiTile(chip),
        emulated_array.MODULE: EmulatedArray(chip),
    }
    modules = rtl.modules(designed, folder)

    def files(place: str, *tops: str) -> list[str]:
        return [f"{place}/{name}.v" for name in rtl.within(modules, *tops)]

    in_chip = files("rtl", CHIP_TOP, GRID_MODULE, TILE_MODULE, GDPU_MODULE, LINK_MODULE)
    in_tile = files("rtl", TILE_TOP)
    emulated = files(EMULATED, emulated_array.MODULE)
    texts = {path: modules[Path(path).stem].text for path in (*in_chip, *in_tile, *emulated)}
    wrapper, box = f"{EMULATED}/{_ARRAY_FILE}", f"{BLACK_BOX}/{_ARRAY_FILE}"
    free, latch = f"{FREE_RUNNING}/{GATE.stem}.v", f"{LATCH}/{GATE.name}"
    texts |= {
        wrapper: arrays.emulated(chip),
        box: pcm_array.black_box(chip),
        free: arrays.FREE_RUNNING_CLOCK,
        latch: GATE.read_text(encoding="utf-8"),
    }
    emulated.append(wrapper)
    designs = (
        Design(TILE_TOP, TILE_TOP, (*in_tile, *emulated)),
        Design(CHIP_TOP, CHIP_TOP, (*in_chip, *emulated, free), emulates_many=True),
        Design(f"{CHIP_TOP}_black_box", CHIP_TOP, (*in_chip, box, latch)),
    )
    filesets = {
        "chip": in_chip, "tile": in_tile, "emulated_array": emulated, "black_box": [box],
        "free_clocks": [free], "gated_clocks": [latch],
    }  # fmt: skip
    texts |= {design.list_name: "\n".join(design.files) + "\n" for design in designs}
    texts |= {
        f"{core_file.core_name(chip)}.core": core_file.render(chip, filesets),
        "README.md": manual.readme(chip),
        "ports.md": manual.ports(chip, designed),
        "registers.md": manual.registers(chip),
    }
    return Package(texts, designs)
