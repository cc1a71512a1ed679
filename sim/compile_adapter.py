"""Any network to a program, by one call; goes once `compiler.network` has it."""

from collections.abc import Mapping
from dataclasses import replace

from compiler.images import compile_images
from compiler.recurrent import compile_recurrent
from compiler.whole_chip import compile_layer
from pcm.settings import Devices
from sim.deploy import within
from sim.workload import Workload, workload
from spec import network as network_description
from spec import recurrent
from spec.chip import Chip
from spec.errors import UserError
from spec.formats import ReadMode
from spec.program import Block, ChipProgram


def compile_any(
    name: str,
    chip: Chip,
    read_mode: ReadMode,
    replicas: Mapping[str, int] | None = None,
    devices: Devices | None = None,
) -> ChipProgram:
    """Compile the network called `name`, with no code above what the devices can be.

    Raises:
        UserError: there is no such network, it does not fit, or takes no replicas.
    """
    settings = (devices or Devices.ideal()).settings
    found = recurrent.find(name)
    if found is not None:
        network, weights = found
        _demand_none(replicas, network.name)
        return named_tiles(compile_recurrent(within(network, settings), weights, chip, read_mode))
    network, weights = network_description.find(name)
    wanted = within(network, settings)
    if workload(network, chip) is Workload.LAYER:
        _demand_none(replicas, network.name)
        program = compile_layer(wanted, weights, chip, read_mode)
        return named_tiles(program, network.layers[0].name)
    return compile_images(wanted, weights, chip, read_mode, replicas or {})


def _demand_none(replicas: Mapping[str, int] | None, name: str) -> None:
    if replicas:
        raise UserError(f"replicas of network {name}: allowed is one that takes images end to end")


def named_tiles(program: ChipProgram, layer: str | None = None) -> ChipProgram:
    """The program, whose computing tiles all say what they hold."""
    tiles = tuple(
        tile
        if tile.config is None or tile.block is not None
        else replace(tile, block=Block(layer or program.network, rows=number))
        for number, tile in enumerate(program.tiles)
    )
    return replace(program, tiles=tiles)
