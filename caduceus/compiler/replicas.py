"""Which layers of a convolutional network to replicate on tiles that are left over."""

from caduceus.compiler.cnn import compile_cnn
from caduceus.compiler.cnn_plan import LayerPlan, NetworkPlan
from caduceus.compiler.content import Scaling
from caduceus.spec.chip import Chip
from caduceus.spec.errors import UserError
from caduceus.spec.formats import PHASES, SLOTS, ReadMode
from caduceus.spec.network import Network


def clocks(plan: LayerPlan, chip: Chip, read_mode: ReadMode) -> float:
    """Estimate of the `sync` clocks that a layer needs for an image, with all that it waits for.

    The slowest of its array, its LDPU, its gather unit and its links counts.
    """
    overhead = chip.mvm.overhead_4phase
    if read_mode is ReadMode.ONE_PHASE:
        overhead = chip.mvm.overhead_1phase
    mvm = len(PHASES[read_mode]) * (SLOTS + overhead)
    columns, rows = len(plan.columns[0]), len(plan.rows[0])
    height, width, channels = plan.geometry.input
    down, across, _ = plan.geometry.output
    result = max(
        mvm * chip.clocks.sync_mhz / chip.clocks.mvm_mhz,
        columns / chip.ldpu.lanes,
        plan.kernel**2 / len(plan.rows) + rows / chip.buffers.gather,
        1 + columns * chip.link.value_bytes / chip.link.units if len(plan.rows) > 1 else 0,
    )
    pixels = height * width * (1 + channels / chip.link.units)
    return max(down * across * result / plan.replicas, pixels)


def best_replicas(
    network: Network, chip: Chip, read_mode: ReadMode, scaling: Scaling
) -> dict[str, int]:
    """Replicas that make the slowest layers as fast as free tiles and links allow.

    The slowest layer gets twice as many, again and again, as long as that can be compiled.
    """
    found: dict[str, int] = {}
    while True:
        plan = NetworkPlan(network.graph, chip, found)
        slowest = max(plan.layers.values(), key=lambda layer: clocks(layer, chip, read_mode))
        name = slowest.layer.name
        more = found | {name: 2 * found.get(name, 1)}
        try:
            compile_cnn(network, chip, read_mode, scaling, more)
            faster = NetworkPlan(network.graph, chip, more).layers[name]
        except UserError:
            return found
        if clocks(faster, chip, read_mode) >= clocks(slowest, chip, read_mode):
            return found  # its input is what it waits for
        found = more
