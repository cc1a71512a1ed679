"""`caduceus compile`: a network to a program image for a whole chip, and where it went."""

from collections.abc import Mapping
from pathlib import Path

from rich.console import Console

from caduceus.replicas import Replicas, chosen, refused
from compiler import recurrent
from compiler.image_flow import needs
from compiler.images import compile_images
from compiler.recurrent_plan import Plan as RecurrentPlan
from compiler.streams import Stream, trace
from compiler.whole_chip import Plan, planned
from sim.paths import build_folder
from sim.workload import Workload, workload
from spec import chip as chip_description
from spec import fabric, program_image
from spec import network as network_description
from spec import recurrent as recurrent_description
from spec.chip import Chip
from spec.errors import UserError
from spec.formats import ReadMode
from spec.program import ChipProgram, TileProgram
from spec.program_codes import computing

_EMPTY, _FORWARDS = ".", "+"


def run(
    chip: str,
    network: str,
    read_mode: ReadMode,
    output: Path | None,
    console: Console,
    replicas: Replicas = None,
) -> None:
    """Compile `network` for `chip`, write the program image, and say what is where.

    Args:
        chip: name or path of a description.
        network: likewise.
        read_mode: of every tile.
        output: file of the image; in `build/programs/` if None.
        console: where the placement goes, once the image is written.
        replicas: of layers of a convolutional network; `auto` as many as help.

    Raises:
        UserError: something named does not exist, does not fit, or the file cannot be written.
    """
    description = chip_description.find(chip)
    lstm = recurrent_description.find(network)
    found = lstm or network_description.find(network)
    if output is None:
        name = f"{found[0].name}-{description.name}-{read_mode}.program"
        output = build_folder() / "programs" / name
    if output.is_dir():
        raise UserError(f"{output}: is a folder: allowed is a file")
    layer = not lstm and workload(found[0], description) is Workload.LAYER
    if replicas and (lstm or layer):
        raise refused(found[0].name)
    if not (lstm or layer):
        layers = chosen(replicas, *found, description, read_mode, console)
        program = compile_images(*found, description, read_mode, layers)
        text = report_images(program, description)
    elif lstm:
        blocks, program = recurrent.planned(*lstm, description, read_mode)
        text = report_recurrent(program, blocks, description)
    else:
        where, program = planned(*found, description, read_mode)
        text = report(program, where, description)
    program_image.save(program, output)
    console.print(f"{text}\n{output}", highlight=False, markup=False, soft_wrap=True)


def report(program: ChipProgram, where: Plan, chip: Chip) -> str:
    """The placement as a grid, the streams with their hops, and how much of the chip is used."""
    parts = where.split
    forwarding = len(program.tiles) - len(where.tiles)
    return "\n".join(
        (
            f"{program.network} on chip {program.chip}, {program.read_mode} reads: "
            f"{program.input_length}x{program.output_length} in {len(parts.rows)}x"
            f"{len(parts.columns)} blocks of at most {len(parts.rows[0])}x{len(parts.columns[0])}",
            "",
            *_grid(program, {tile: f"{k}.{j}" for (k, j), tile in where.tiles.items()}, chip),
            f"k.j: rows block k, columns block j; {_FORWARDS} only forwards",
            "",
            *(_line(stream, program) for stream in trace(program, chip)),
            "",
            f"{len(where.tiles)} of {chip.tiles} tiles compute, {forwarding} only forward; "
            f"{len(program.inputs)} packets in and {len(program.outputs)} out a vector",
        )
    )


def report_recurrent(program: ChipProgram, where: RecurrentPlan, chip: Chip) -> str:
    """Likewise for a recurrent network."""
    names = {}
    for tile, block in where.tiles.items():
        rows = "x" * bool(block.inputs) + "h" * bool(block.slices)
        names[tile] = f"{'d' if block.layer == 'dense' else rows}{block.columns}"
    above = chip.grid.rows // 2
    lines = _grid(program, names, chip)
    slices = " ".join(
        f"g{number}".rjust(len(lines[0]) // chip.grid.columns) for number in range(len(where.units))
    )
    units = ", ".join(map(str, sorted({len(units) for units in where.units})))
    forwarding = len(program.tiles) - len(where.tiles)
    return "\n".join(
        (
            f"{program.network} on chip {program.chip}, {program.read_mode} reads: "
            f"{program.input_length} inputs, {where.units[-1].stop} hidden units, "
            f"{program.output_length} outputs a step",
            "",
            *lines[:above],
            slices,
            *lines[above:],
            "x input, h hidden state, both for the gates of GDPU slice j (g); d dense layer; "
            f"{_FORWARDS} only forwards",
            "",
            *(_line(stream, program) for stream in trace(program, chip)),
            "",
            f"{len(where.tiles)} of {chip.tiles} tiles compute, {forwarding} only forward; "
            f"{len(program.slices)} of {chip.gdpu.slices} GDPU slices with {units} units; "
            f"{len(program.inputs)} packets in and {len(program.outputs)} out a step",
        )
    )


def report_images(program: ChipProgram, chip: Chip) -> str:
    """Likewise for a convolutional network, with what its buffers need."""
    tiles = computing(program)
    layers: dict[str, list[TileProgram]] = {}
    for tile in tiles:
        layers.setdefault(tile.block.layer, []).append(tile)
    short = {layer: chr(ord("a") + n % 26) for n, layer in enumerate(layers)}
    names = {tile.tile: f"{short[tile.block.layer]}{tile.block.rows}" for tile in tiles}
    lacking = needs(program, chip)
    lines = []
    for layer, mine in layers.items():
        bytes_of = {
            sink: max((n.bytes for n in lacking if n.sink == sink and
                       n.tile in {tile.tile for tile in mine}), default=0)
            for sink in (fabric.INPUT, fabric.RX)
        }  # fmt: skip
        replicas = 1 + max(tile.block.replica for tile in mine)
        window = mine[0].config.window
        lines.append(
            f"{short[layer]} {layer}: {len(mine)} tiles"
            + (f" in {replicas} replicas" if replicas > 1 else "")
            + f", {window.results * replicas} vectors an image, activation buffer "
            f"{bytes_of[fabric.INPUT]} of {chip.buffers.activation} bytes, RX buffer "
            f"{bytes_of[fabric.RX]} of {chip.buffers.rx}"
        )
    return "\n".join(
        (
            f"{program.network} on chip {program.chip}, {program.read_mode} reads: "
            f"{program.input_pixels} pixels in, {program.output_pixels * program.output_length} "
            "values out an image",
            "",
            *_grid(program, names, chip),
            f"a0: layer a, row block 0; {_FORWARDS} only forwards",
            "",
            *lines,
            "",
            *(_line(stream, program) for stream in trace(program, chip)),
            "",
            f"{len(tiles)} of {chip.tiles} tiles compute, {len(program.tiles) - len(tiles)} only "
            "forward",
        )
    )


def _grid(program: ChipProgram, blocks: Mapping[int, str], chip: Chip) -> list[str]:
    """Rows of tiles, each with the name of its block."""
    names = {tile.tile: _FORWARDS for tile in program.tiles} | dict(blocks)
    width = max(len(name) for name in names.values())
    columns = chip.grid.columns
    return [
        " ".join(
            names.get(row * columns + column, _EMPTY).rjust(width) for column in range(columns)
        )
        for row in range(chip.grid.rows)
    ]


def _line(stream: Stream, program: ChipProgram) -> str:
    """A stream: what it carries, where it comes from, and every tile on its way with its sinks."""
    hops = ", ".join(f"tile {hop.tile} {'+'.join(hop.sinks)}" for hop in stream.hops)
    for host in (*program.inputs, *program.outputs):
        if host.stream == stream.number:
            side = "input" if stream.port is not None else "output"
            values = f"{side} {host.start} to {host.start + host.length - 1}"
            break
    else:
        values = "partial sums"
        if any(tile.config and tile.config.window for tile in program.tiles):
            values = _carried(stream, program)
        if any(fabric.GDPU in hop.sinks for hop in stream.hops):
            values = "gates"
    if stream.slice is not None:
        (mine,) = (each for each in program.slices if each.slice == stream.slice)
        source, values = f"slice {stream.slice}", "hidden state"
        values += f" ({mine.first} before a sequence's first step, {mine.last} after its last)"
    elif stream.port is not None:
        source = f"host input {stream.port}"
    else:
        source = f"tile {stream.producer} {fabric.TX}"
    return f"stream {stream.number}: {values}: {source} -> {hops}"


def _carried(stream: Stream, program: ChipProgram) -> str:
    """What of an image's layers a stream is."""
    (tile,) = (tile for tile in program.tiles if tile.tile == stream.producer)
    sums = not any(fabric.INPUT in hop.sinks for hop in stream.hops)
    last = max(t.block.rows for t in computing(program) if t.block.layer == tile.block.layer)
    kind = "partial sums" if sums and tile.block.rows < last else "pixels"
    return f"{kind} of {tile.block.layer}"
