"""The folder that training writes a network to."""

import tempfile
from pathlib import Path

import numpy as np

from caduceus.spec import network_file
from caduceus.spec.errors import UserError
from caduceus.spec.graph import Graph


def export(
    network: Graph, arrays: dict[str, np.ndarray], folder: Path, compressed: bool = False
) -> None:
    """Write description and weights into `folder`, as `caduceus.spec.network_file.write` does.

    Raises:
        UserError: a file cannot be written.
    """
    prepare(folder)
    network_file.write(network, arrays, folder, compressed=compressed)


def prepare(folder: Path) -> None:
    """Make `folder`, and make sure, before a long training, that files can be written there.

    Raises:
        UserError: they cannot.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise UserError(f"{folder}: cannot write the network: {error.strerror}") from None
