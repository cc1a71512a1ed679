"""The command line of training character models: `python -m train.ptb --network NAME`."""

from dataclasses import replace
from pathlib import Path

import click

from caduceus.cli.failures import reported
from caduceus.data import characters
from caduceus.spec.errors import UserError
from caduceus.spec.network import NETWORKS, TEXT
from caduceus.spec.shipped import shipped_folder
from train.export import prepare
from train.recurrent_task import CALIBRATION_WARM_UP, SHAPES, Run, task
from train.text import own_text, symbols_of

POSITIVE = click.FloatRange(0, min_open=True)
CHECKPOINTS = Path(__file__).resolve().parent.parent / "build" / "train"


@click.command()
@click.option(
    "--network", type=click.Choice(sorted(SHAPES)), help="Network to train.  [default: all]"
)
@click.option("--epochs", type=click.IntRange(0), help="Number of epochs of the first stage.")
@click.option("--hwa-epochs", type=click.IntRange(0), help="Number of epochs of the second stage.")
@click.option("--rate", type=POSITIVE, help="Peak learning rate of the first stage.")
@click.option("--hwa-rate", type=POSITIVE, help="Peak learning rate of the second stage.")
@click.option(
    "--noise", type=click.FloatRange(0), help="Weight noise, as a share of the weights' range."
)
@click.option("--clip", type=POSITIVE, help="Largest weight, in standard deviations.")
@click.option("--batch", type=click.IntRange(1), help="Number of texts read side by side.")
@click.option("--steps", type=click.IntRange(1), help="Number of characters between two updates.")
@click.option("--seed", default=1, show_default=True, help="Random seed.")
@click.option(
    "--threads", default=1, show_default=True, type=click.IntRange(1), help="Threads of PyTorch."
)
@click.option(
    "--text",
    type=click.Path(path_type=Path),
    help="Your own text (UTF-8) in place of the network's; needs --network and --output.",
)
@click.option(
    "--resume",
    type=click.Path(path_type=Path),
    help="Checkpoint to start from in place of the first stage; needs --network.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    default=shipped_folder(NETWORKS),
    show_default=False,
    help="Folder of the network's own folder.  [default: networks]",
)
@click.option(
    "--validate",
    is_flag=True,
    help="Measure on the validation split in place of the test split; nothing is written."
    " For choosing settings.",
)
def main(
    network: str | None,
    seed: int,
    threads: int,
    text: Path | None,
    resume: Path | None,
    output: Path,
    validate: bool,
    **settings: float | None,
) -> None:
    """Train character models for the chip, and write them where the chip's tools look.

    Settings not given are those of train/recurrent_task.py. A checkpoint is kept in build/train
    after every epoch.
    """
    given = {key: value for key, value in settings.items() if value is not None}
    names = [network] if network else sorted(SHAPES)
    try:
        for option, value in (("--text", text), ("--resume", resume)):
            if value and not network:
                raise UserError(f"{option} {value}: say with --network which network it is for")
        if text and output == shipped_folder(NETWORKS):
            raise UserError(f"--text {text}: say with --output where its network should go")
        if resume and not resume.is_file():
            raise UserError(f"--resume {resume}: there is no such file")
        runs = [_run(name, text, resume, None if validate else output, given) for name in names]
        try:
            # Imported late: everything up to here works, and is tested, without PyTorch.
            from train import ptb_loop
        except ModuleNotFoundError as error:
            if error.name != "torch":
                raise
            raise UserError(
                "training needs PyTorch, which is not installed: "
                "install it with `python -m pip install -e '.[train]'`"
            ) from None
        for run in runs:
            if run.folder:
                prepare(run.folder)
        for run in runs:
            ptb_loop.run(run, seed, threads)
    except UserError as error:
        failure = click.ClickException(str(error))
        failure.exit_code = 2
        raise failure from None


def _run(
    name: str, own: Path | None, resume: Path | None, output: Path | None, given: dict[str, float]
) -> Run:
    """What training is given; `output` None is for measuring on the validation split."""
    recipe = replace(SHAPES[name].recipe, **given)
    dataset = "text" if own else SHAPES[name].dataset
    if dataset == "penn_treebank":
        training = characters.penn_treebank("train")
        measuring = characters.penn_treebank("test" if output else "valid")
    else:
        training = measuring = own_text(own or shipped_folder(NETWORKS) / name / TEXT)
    least = max(recipe.batch * recipe.steps, 2 * CALIBRATION_WARM_UP)
    if len(training) <= least:
        raise UserError(
            f"network {name}: the text has {len(training)} characters: with --batch {recipe.batch} "
            f"and --steps {recipe.steps} more than {least} are needed"
        )
    symbols = symbols_of(training)
    return Run(
        task(name, symbols, dataset),
        recipe,
        characters.encode(training, symbols),
        characters.encode(measuring, symbols),
        resume,
        CHECKPOINTS / f"{name}{'-own-text' if own else ''}.pt",
        output / name if output else None,
    )


if __name__ == "__main__":
    with reported("train.ptb"):
        main(standalone_mode=False)
