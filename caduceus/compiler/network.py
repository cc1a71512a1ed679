"""The one way from a network to a program: quantize, split, place, route, check."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from caduceus.compiler.cnn import compile_cnn
from caduceus.compiler.content import Scaling
from caduceus.compiler.lower import Way, way
from caduceus.compiler.recurrent import compile_recurrent
from caduceus.compiler.replicas import best_replicas
from caduceus.compiler.whole_chip import compile_layer
from caduceus.spec import formats, program_check
from caduceus.spec.chip import Chip
from caduceus.spec.errors import UserError
from caduceus.spec.formats import ReadMode
from caduceus.spec.graph import output_shape
from caduceus.spec.host_ends import ends_of
from caduceus.spec.network import Network
from caduceus.spec.program import Program, ProgramTensor

Replicas = Mapping[str, int] | Literal["auto"] | None
"""By layer how many chains of tiles make its results in turn; `auto` takes as many as help."""


def compile_network(
    network: Network,
    chip: Chip,
    read_mode: ReadMode,
    replicas: Replicas = None,
    *,
    largest_code: int = formats.CELL_MAX,
    per_core: bool = False,
    sample: NDArray[np.int8] | None = None,
) -> Program:
    """Map `network` to `chip`.

    Args:
        network: of any kind.
        chip: the chip description.
        read_mode: of every tile.
        replicas: of layers that stream feature maps.
        largest_code: largest code of a cell that the devices can hold; a layer whose `gmax` is
            larger has its largest weight there.
        per_core: whether a layer's columns share the largest weight, as published, also where the
            network says otherwise.
        sample: typical inputs, int8 [n, ...] of the network's input shape in any form, of a
            recurrent network steps of one sequence; None where there are none.

    Raises:
        UserError: the network does not fit the chip, a constant does not fit binary16, there are no
            routes or a buffer is too small, the program could deadlock, or there can be no such
            replicas.
    """
    graph, kind = network.graph, way(network.graph)
    scaling = scaling_of(network, largest_code, per_core=per_core)
    if kind is Way.MAPS:
        if replicas == "auto":
            replicas = best_replicas(network, chip, read_mode, scaling)
        program = compile_cnn(network, chip, read_mode, scaling, replicas)
    elif replicas:
        what = "it has an LSTM" if kind is Way.RECURRENT else "it is a single layer of vectors"
        raise UserError(f"replicas of network {network.name}: expected none, since {what}")
    elif kind is Way.RECURRENT:
        program = compile_recurrent(network, chip, read_mode, scaling)
    else:
        program = compile_layer(network, chip, read_mode, scaling)
    program = replace(
        program,
        input=ProgramTensor(graph.input.shape, graph.input.scale),
        output=ProgramTensor(output_shape(graph), graph.nodes[-1].output_scale),
        symbols=graph.input.symbols,
        embedding=network.embedding,
        per_core=scaling.per_core,
        sample=None if sample is None else program.vectors(sample),
        largest_code=largest_code,
        host=ends_of(graph),
    )
    program_check.check(program, chip)
    return program


def scaling_of(network: Network, largest_code: int, *, per_core: bool = False) -> Scaling:
    """How a network's weights become codes."""
    return Scaling(largest_code, per_core or network.graph.scaling == "core")
