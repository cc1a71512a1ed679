"""`python -m train` trains all networks; with `--network NAME`, that one.

Other options are those of `train.fashion` or `train.ptb`, whichever the network belongs to; without
`--network` only those that both have.
"""

import click

from caduceus.cli.failures import reported
from caduceus.cli.values import Choice
from train import fashion, ptb
from train.recipe import RECIPES
from train.recurrent_task import SHAPES


@click.command(context_settings={"ignore_unknown_options": True})
@click.option(
    "--network", type=Choice(sorted([*RECIPES, *SHAPES])), metavar="NAME",
    help="Network to train.  [default: all]",
)  # fmt: skip
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
def train(network: str | None, options: tuple[str, ...]) -> None:
    """Train networks for the chip; OPTIONS are those of train.fashion or train.ptb."""
    chosen = ["--network", network] if network else []
    if network not in SHAPES:
        fashion.main([*chosen, *options], standalone_mode=False)
    if network not in RECIPES:
        ptb.main([*chosen, *options], standalone_mode=False)


def main() -> None:
    """Run the command line and exit."""
    with reported("train"):
        train(prog_name="python -m train", standalone_mode=False)
