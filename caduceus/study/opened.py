"""The network that a command's options name."""

from dataclasses import dataclass

from caduceus.importers.load import from_onnx
from caduceus.spec.chip import Chip
from caduceus.spec.errors import UserError
from caduceus.spec.network import Network
from caduceus.spec.own_data import OwnData


@dataclass(frozen=True)
class Options:
    """Options of commands that take a network.

    Attributes:
        data: path of inputs, in place of the network's data set; None for that.
        calibrate: path of inputs that an ONNX model is calibrated with, or `random`; None for its
            data.
        per_core: whether each layer is scaled by its largest weight, as published.
    """

    data: str | None = None
    calibrate: str | None = None
    per_core: bool = False


def opened(name: str, chip: Chip, options: Options | None = None) -> Network:
    """The network called `name`, or in the file of that path.

    Args:
        name: of a network that ships with the library, or a path: of a description (.yaml)
            or of an ONNX model (.onnx).
        chip: that it is to run on; an ONNX model is calibrated for its converters.
        options: of the command.

    Raises:
        UserError: there is no such network or file, or it is bad.
    """
    options = options or Options()
    data = None if options.data is None else OwnData.load(options.data)
    if name.endswith(".onnx"):
        network = from_onnx(name, options.calibrate, chip=chip, data=data)
    elif options.calibrate is not None:
        raise UserError(
            f"--calibrate: got {options.calibrate} for network {name}: expected an ONNX model"
        )
    else:
        network = Network.find(name)
        network = network if data is None else network.with_data(data)
    return network.per_core() if options.per_core else network
