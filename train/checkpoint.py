"""Checkpoints of a network in training, written after every epoch."""

from pathlib import Path
from pickle import UnpicklingError

import torch
from torch import nn

from caduceus.spec.errors import UserError
from train.analog_network import AnalogNetwork

FOLDER = Path(__file__).resolve().parent.parent / "build" / "train"


def place(name: str) -> Path:
    """Where the checkpoint of network `name` is written; makes the folder.

    Raises:
        UserError: it cannot be made.
    """
    try:
        FOLDER.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{FOLDER}: cannot write checkpoints: {error.strerror}") from None
    return FOLDER / f"{name}.pt"


def write(path: Path, network: AnalogNetwork) -> None:
    """Write all parameters and the state of the normalisations, whole or not at all."""
    part = path.with_name(path.name + ".part")
    torch.save(network.state_dict(), part)
    part.replace(path)


def read(path: Path, network: AnalogNetwork) -> None:
    """Set `network` to the state in `path`; its normalisations are folded if those there are.

    Raises:
        UserError: the file cannot be read, or is of another network.
    """
    try:
        state = torch.load(path, weights_only=True)
        if not any(".norm." in key for key in state):
            for layer in network.layers:
                layer.norm = nn.Identity()
        network.load_state_dict(state)
    except OSError as error:
        raise UserError(f"{path}: cannot read the checkpoint: {error.strerror}") from None
    except (RuntimeError, UnpicklingError, EOFError, TypeError):
        raise UserError(f"{path}: expected a checkpoint of {network.task.untrained.name}") from None
