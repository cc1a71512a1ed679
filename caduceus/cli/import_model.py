"""The command `caduceus import`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from caduceus.cli import options
from caduceus.cli.console import plain_console
from caduceus.cli.values import InputPath, Name, OutputPath

if TYPE_CHECKING:
    from caduceus.study.opened import Options


@click.command("import", short_help="Turn an ONNX model into a network of your own.")
@click.argument("model", type=Name())
@options.chip()
@options.taken
@click.option("--name", type=Name(), help="Name of the network.  [default: the file's]")
@click.option(
    "--weights", type=InputPath(), metavar="FILE",
    help="Weights of a PyTorch state_dict (.safetensors) in place of the model's.",
)  # fmt: skip
@click.option(
    "--output", type=OutputPath(), metavar="FOLDER",
    help="Folder of the network.  [default: build/networks/<name>]",
)  # fmt: skip
def import_model(
    model: str,
    chip: str,
    taken: "Options",
    name: str | None,
    weights: Path | None,
    output: Path | None,
) -> None:
    """Import MODEL, an ONNX file, float or quantized (QDQ), and report what each layer loses.

    Scales are chosen with your inputs: --calibrate, --data, or X.npz beside X.onnx. The folder that
    it writes is a network: name its network.yaml with --net. With --weights MODEL may also be a
    network of this project.
    """
    from caduceus.study.import_command import Request, run

    run(Request(model, chip, name, weights, output, taken), plain_console())
