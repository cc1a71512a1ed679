"""Where a program's blocks are on the chip, its streams, and how much of the chip it uses.

One report for all programs, from the program alone.
"""

from collections.abc import Iterable, Iterator, Mapping

from rich.console import Console

from caduceus.compiler.cnn_flow import needs
from caduceus.sim.comparison import counted
from caduceus.spec import fabric
from caduceus.spec.chip import Chip
from caduceus.spec.gdpu import GATES
from caduceus.spec.graph import Graph, Lstm, geometries
from caduceus.spec.program import Program, TileProgram
from caduceus.spec.program_codes import computing, gathers, replicas
from caduceus.spec.streams import Stream, trace

_EMPTY, _FORWARDS = ".", "+"


def useful_shares(graph: Graph, program: Program, chip: Chip) -> dict[str, float]:
    """By layer, the share of the cells of its tiles' arrays that hold weights of its operator.

    Zeros that an import added do not count, and the weights of replicas only once.
    """
    cells = chip.array.rows * chip.array.columns
    shares = {}
    for node, geometry in zip(graph.nodes, geometries(graph), strict=True):
        columns = len(GATES) * node.hidden if isinstance(node, Lstm) else node.outputs
        weights = node.origin.weights if node.origin else geometry.rows * columns
        shares[node.name] = weights / (len(_layers(program)[node.name]) * cells)
    return shares


def report(program: Program, chip: Chip, graph: Graph | None = None) -> str:
    """The placement as a grid, its layers, the streams with their hops, and what is used.

    With the graph of its network, each layer's useful share of its tiles too.
    """
    useful = {} if graph is None else useful_shares(graph, program, chip)
    layers = _layers(program)
    letters = {layer: _letter(number) for number, layer in enumerate(layers)}
    unit = "step" if program.sequences else "image" if program.input_pixels > 1 else "vector"
    sizes = {
        "in": program.input_pixels * program.input_length,
        "out": program.output_pixels * program.output_length,
    }
    return "\n".join(
        (
            f"{program.network} on chip {program.chip}, {program.read_mode} reads: "
            f"{sizes['in']} values in and {sizes['out']} out per {unit}",
            "",
            *_grid(program, letters, chip),
            f"a0.1: layer a, row block 0, column block 1; {_FORWARDS} only forwards",
            "",
            *_lines(program, layers, letters, chip, useful),
            "",
            *(_line(stream, program) for stream in trace(program, chip).streams),
            "",
            _use(program, chip),
        )
    )


def announce_replicas(program: Program, console: Console) -> None:
    """Say which layers got replicas where the compiler was to choose."""
    chosen = ",".join(f"{layer}={count}" for layer, count in replicas(program).items())
    console.print(f"replicas: {chosen or 'none help'}", highlight=False, soft_wrap=True)


def announce_notes(notes: Iterable[str], console: Console) -> None:
    """Say what the weights lost."""
    for note in notes:
        console.print(f"note: {note}", highlight=False, soft_wrap=True)


def _layers(program: Program) -> dict[str, list[TileProgram]]:
    """The computing tiles of each layer; of a program made by hand, tiles without a block."""
    found: dict[str, list[TileProgram]] = {}
    for tile in computing(program):
        if tile.block is not None:
            found.setdefault(tile.block.layer, []).append(tile)
    return found


def _letter(number: int) -> str:
    """A to z, then aa, ab and so on."""
    before, last = divmod(number, 26)
    return (_letter(before - 1) if before else "") + chr(ord("a") + last)


def _grid(program: Program, letters: Mapping[str, str], chip: Chip) -> list[str]:
    """Rows of tiles, each with the name of its block; GDPU slices between their rows of tiles."""
    names = {tile.tile: _FORWARDS for tile in program.tiles}
    for tile in computing(program):
        block = tile.block
        names[tile.tile] = (
            f"{letters[block.layer]}{block.rows}.{block.columns}" if block else "tile"
        )
    width = max((len(name) for name in names.values()), default=1)
    columns = chip.grid.columns
    lines = [
        " ".join(
            names.get(row * columns + column, _EMPTY).rjust(width) for column in range(columns)
        )
        for row in range(chip.grid.rows)
    ]
    if program.slices:
        slices = {each.slice for each in program.slices}
        names = {number: f"g{number}" for number in slices}
        line = (names.get(number, _EMPTY).rjust(width) for number in range(columns))
        lines.insert(chip.grid.rows // 2, " ".join(line))
    return lines


def _lines(
    program: Program, layers: Mapping[str, list[TileProgram]], letters: Mapping[str, str],
    chip: Chip, useful: Mapping[str, float],
) -> Iterator[str]:  # fmt: skip
    """A line for each layer, with what its buffers need where they hold feature maps."""
    lacking = needs(program, chip) if gathers(program) else ()
    several = replicas(program)
    for layer, tiles in layers.items():
        rows, columns = (
            1 + max(getattr(tile.block, key) for tile in tiles) for key in ("rows", "columns")
        )
        count = f"{len(tiles)} tile{'s' * (len(tiles) > 1)}"
        text = f"{letters[layer]} {layer}: {count}, {rows}x{columns} blocks"
        text += f" in {several[layer]} replicas" if layer in several else ""
        window = tiles[0].config.window
        if window is not None:
            numbers = {tile.tile for tile in tiles}
            used = {
                sink: max((n.bytes for n in lacking if n.sink == sink and n.tile in numbers),
                          default=0)
                for sink in (fabric.INPUT, fabric.RX)
            }  # fmt: skip
            text += (
                f", {counted(window.results * several.get(layer, 1), 'vector')} per image, "
                "activation buffer "
                f"{used[fabric.INPUT]} of {chip.buffers.activation} bytes, RX buffer "
                f"{used[fabric.RX]} of {chip.buffers.rx}"
            )
        text += f", {useful[layer]:.1%} of the cells useful" if layer in useful else ""
        yield text


def _line(stream: Stream, program: Program) -> str:
    """A stream: what it carries, where it comes from, and every tile on its way with its sinks."""
    hops = ", ".join(f"tile {hop.tile} {'+'.join(hop.sinks)}" for hop in stream.hops)
    for host in (*program.inputs, *program.outputs):
        if host.stream == stream.number:
            side = "input" if stream.port is not None else "output"
            values = f"{side} {host.start} to {host.start + host.length - 1}"
            break
    else:
        values = _carried(stream, program)
    if stream.slice is not None:
        (mine,) = (each for each in program.slices if each.slice == stream.slice)
        source, values = f"slice {stream.slice}", "hidden state"
        values += f" ({mine.first} before a sequence's first step, {mine.last} after its last)"
    elif stream.port is not None:
        source = f"host input {stream.port}"
    else:
        source = f"tile {stream.producer} {fabric.TX}"
    return f"stream {stream.number}: {values}: {source} -> {hops}"


def _carried(stream: Stream, program: Program) -> str:
    """What of the network's layers a stream is that neither comes from the host nor goes there."""
    if any(fabric.GDPU in hop.sinks for hop in stream.hops):
        return "gates"
    tile = next((tile for tile in program.tiles if tile.tile == stream.producer), None)
    if tile is None or tile.block is None:
        return "partial sums"
    last = max(t.block.rows for t in _layers(program)[tile.block.layer])
    kind = "partial sums" if tile.block.rows < last else "pixels"
    return f"{kind} of {tile.block.layer}"


def _use(program: Program, chip: Chip) -> str:
    """How much of the chip is used."""
    tiles = computing(program)
    text = (
        f"{len(tiles)} of {chip.tiles} tiles compute, {len(program.tiles) - len(tiles)} only "
        "forward; "
    )
    if program.slices:
        units = ", ".join(map(str, sorted({each.config.units for each in program.slices})))
        text += f"{len(program.slices)} of {chip.gdpu.slices} GDPU slices with {units} units; "
    each = "pixel" if program.input_pixels > 1 else "step" if program.sequences else "vector"
    return (
        text
        + f"{counted(len(program.inputs), 'packet')} in and {len(program.outputs)} out per {each}"
    )
