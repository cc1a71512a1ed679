"""`caduceus compile`: a network to a program for a whole chip, and its placement."""

from pathlib import Path

from rich.console import Console

from caduceus.compiler.network import Replicas
from caduceus.devices.settings import Devices
from caduceus.sim.compile import compiled, notes
from caduceus.spec import program_file
from caduceus.spec.chip import Chip
from caduceus.spec.errors import UserError
from caduceus.spec.formats import ReadMode
from caduceus.spec.shipped import build_folder
from caduceus.study import placement
from caduceus.study.opened import Options, opened


def run(
    chip: str,
    network: str,
    read_mode: ReadMode,
    output: Path | None,
    console: Console,
    replicas: Replicas = None,
    devices: Devices | None = None,
    taken: Options | None = None,
) -> None:
    """Compile `network` for `chip`, write the program, and print the placement.

    Args:
        chip: name or path of a description.
        network: name or path of a description.
        read_mode: of every tile.
        output: file of the program; in `build/programs/` if None.
        console: takes the placement, once the program is written.
        replicas: number per layer; `auto` for as many as help.
        devices: that the program will run on; ideal ones if None.
        taken: options of the network.

    Raises:
        UserError: a name is unknown, the network does not fit, or the file cannot be written.
    """
    description = Chip.find(chip)
    found = opened(network, description, taken)
    if output is None:
        name = f"{found.name}-{description.name}-{read_mode}.program"
        output = build_folder() / "programs" / name
    if output.is_dir():
        raise UserError(f"{output}: is a folder: expected a file")
    program = compiled(found, description, read_mode, devices=devices, replicas=replicas)
    program_file.save(program, output)
    if replicas == "auto":
        placement.announce_replicas(program, console)
    placement.announce_notes(notes(found, description, program), console)
    text = placement.report(program, description, found.graph)
    console.print(f"{text}\n{output}", highlight=False, markup=False, soft_wrap=True)
