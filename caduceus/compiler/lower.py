"""Which mapping to a chip a network's graph takes.

There are three. A graph with an LSTM takes the columns of tiles above and below the GDPU. A
single layer whose rows are its whole input, so that it has one output pixel, receives its row
blocks as packets of their own. All other graphs stream feature maps from layer to layer.
"""

from dataclasses import dataclass
from enum import Enum, auto

from caduceus.spec.errors import UserError
from caduceus.spec.graph import Graph, Layer, Lstm


class Way(Enum):
    """The mappings."""

    RECURRENT = auto()
    VECTORS = auto()
    MAPS = auto()


def way(graph: Graph) -> Way:
    """The mapping that `graph` takes."""
    if graph.recurrent:
        return Way.RECURRENT
    node = graph.nodes[0]
    if len(graph.nodes) > 1 or not isinstance(node, Layer):
        return Way.MAPS
    # Padding, or a kernel smaller than its input, also makes one output pixel, but of other rows.
    covers = graph.input.height == graph.input.width == node.kernel and node.padding == 0
    return Way.VECTORS if node.op == "dense" or covers else Way.MAPS


@dataclass(frozen=True)
class Recurrent:
    """A recurrent graph as the chip runs it.

    Attributes:
        name: of the network.
        size, scale: of its input vector.
        lstm: the LSTM.
        dense: the layer after it, whose outputs are the network's; None without.
    """

    name: str
    size: int
    scale: float
    lstm: Lstm
    dense: Layer | None


def recurrent(graph: Graph) -> Recurrent:
    """The parts of a graph that takes sequences.

    Raises:
        UserError: it is more than an LSTM with or without a dense layer after it.
    """
    lstm, *rest = graph.nodes
    expected = "expected one LSTM, as the first node, and at most one dense layer after it"
    if not isinstance(lstm, Lstm):
        raise UserError(f"network {graph.name}: node {lstm.name}: before the LSTM: {expected}")
    for node in rest:
        where = f"network {graph.name}: node {node.name}"
        if node is not rest[0] or not isinstance(node, Layer) or node.op != "dense":
            raise UserError(f"{where}: op: got {node.op} after the LSTM: {expected}")
        if node.relu or node.residual:
            key = "relu" if node.relu else "residual"
            raise UserError(
                f"{where}: {key}: got {getattr(node, key)}, expected none after an LSTM"
            )
    dense = rest[0] if rest else None
    return Recurrent(graph.name, graph.input.size, graph.input.scale, lstm, dense)
