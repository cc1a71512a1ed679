"""What `--help` of every command says, and how."""

import re
import subprocess
import sys
from importlib import import_module

import click
import pytest
from command_line import REPOSITORY, here

from caduceus.cli.main import cli

COMMANDS = [(), *((name,) for name in cli.commands)]
OTHERS = {
    "train.command": "train",
    "train.fashion": "main",
    "train.ptb": "main",
    "benchmarks.golden": "main",
    "benchmarks.images": "main",
    "benchmarks.memory": "main",
    "benchmarks.speed": "main",
    "netlists.command": "netlist_test",
}
"""Commands of the checkout."""
BANNED = re.compile(
    r"\b(told|allowed|such|but for|thereof|likewise|with which|of which|so long|so many|"
    r"where the result goes|is asked|what is not)\b",
    re.IGNORECASE,
)
WIDTH = 80


def check(command: click.Command, text: str) -> None:
    assert not BANNED.search(text), BANNED.search(text)
    assert max(map(len, text.splitlines())) <= WIDTH
    assert command.help or command.callback.__doc__
    for option in command.params:
        if isinstance(option, click.Option):
            assert option.help, option.name
            # A noun phrase or an imperative, which ends like a sentence.
            first = option.help.lstrip("(")[0]
            assert first.isupper() or first.isdigit() or option.help.startswith("<"), option.help
            assert re.search(r"[.\]]$", option.help), option.help


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_and_option_has_help(words):
    run = here(*words, "--help")
    assert run.returncode == 0 and run.stdout.startswith("Usage: caduceus")
    check(cli.commands[words[0]] if words else cli, run.stdout)


@pytest.mark.parametrize("module", OTHERS)
def test_the_other_commands_have_help_too(module):
    command = getattr(import_module(module), OTHERS[module])
    with click.Context(command) as context:
        check(command, command.get_help(context))


def test_the_list_of_commands_has_whole_phrases():
    listed = here("--help").stdout.partition("Commands:")[2]
    assert "..." not in listed and len(listed.strip().splitlines()) == len(cli.commands)


def test_the_help_of_make_fits():
    text = subprocess.run(
        ["make", "--no-print-directory", "help"], cwd=REPOSITORY, capture_output=True, text=True,
        check=True,
    ).stdout  # fmt: skip
    assert not BANNED.search(text), BANNED.search(text)
    assert max(map(len, text.splitlines())) <= 100


def test_the_set_up_has_help():
    run = subprocess.run(
        [sys.executable, REPOSITORY / "tools" / "setup.py", "--help"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert not BANNED.search(run.stdout)
