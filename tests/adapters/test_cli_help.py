"""What the command line says of itself: help, examples, exit codes, completion; and that docs/cli.md says the same."""

import re
import shlex
import subprocess
from pathlib import Path

import click
import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner

from service.cli import main
from service.cli.exits import MEANINGS
from tests.support.commands import commands

PAGE = (Path(__file__).parents[2] / "docs" / "cli.md").read_text("utf-8")
ALL = dict(commands())
ACCESSOR = "cba_07" + "q" * 43
EXISTING = {"access.yaml", "access.new.yaml"}
FILES = {
    "broker access check": [__file__],
    "broker access test": [__file__],
    "broker access explain": [__file__],
    "broker access diff": [__file__, __file__],
}
SECRETS = re.compile(r"password|token|secret|key|reference")


def _table(name: str) -> list[str]:
    """Return the rows of a marked table of the page."""
    inside = PAGE.partition(f"<!-- {name} -->\n")[2].partition(f"<!-- /{name} -->")[0]
    return inside.splitlines()[2:]


def _examples(command: click.Command) -> list[str]:
    lines = (command.epilog or "").splitlines()
    return [line.strip() for line in lines[lines.index("Examples:") + 1 :]] if lines else []


def _first_sentence(command: click.Command) -> str:
    return re.split(r"(?<=\.)\s", command.help or "", maxsplit=1)[0].replace("\n", " ")


def test_the_page_has_every_exit_code() -> None:
    """The meanings are the code's own."""
    assert _table("exit codes") == [f"| {int(code)} | {text} |" for code, text in MEANINGS.items()]


def test_the_page_has_every_command() -> None:
    """With the first sentence of its help."""
    expected = [f"| `{words}` | {_first_sentence(command)} |" for words, command in ALL.items()]

    assert _table("commands") == expected


@pytest.mark.parametrize("words", ALL)
def test_every_help_ends_with_examples_that_the_command_takes(words: str) -> None:
    """What a reader copies is parsed as it stands; nothing is run."""
    found = _examples(ALL[words])

    assert found
    for line in found:
        typed = line.partition(" | ")[0].partition(" > ")[0]
        arguments = shlex.split(
            typed[typed.index(words) + len(words) :].replace("cba_07qF…", ACCESSOR)
        )
        ALL[words].make_context(
            words, [a for a in arguments if a not in EXISTING] + FILES.get(words, [])
        )


@pytest.mark.parametrize("words", ALL)
def test_no_secret_is_an_argument(words: str) -> None:
    """Whatever names one takes a file, or asks for it."""
    for parameter in ALL[words].params:
        if isinstance(parameter, click.Option) and not parameter.is_flag:
            names_one = SECRETS.search(parameter.name or "") is not None
            assert not names_one or (parameter.name or "").endswith(("_file", "_files", "_id"))


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_learns_the_commands(shell: str) -> None:
    """The script names the program and click's variable, and bash takes it."""
    result = CliRunner().invoke(main, ["completion", shell])

    assert result.exit_code == 0
    assert "_BROKER_COMPLETE" in result.stdout
    if shell == "bash":
        subprocess.run(["bash", "-n"], input=result.stdout, text=True, check=True)  # noqa: S607 — the shell of this machine


def test_completion_offers_commands_and_options() -> None:
    """What the script asks for when somebody presses the key."""
    asked = ShellComplete(main, {}, "broker", "_BROKER_COMPLETE")

    stores = {item.value for item in asked.get_completions(["stores"], "")}
    options = {item.value for item in asked.get_completions(["references", "revoke"], "--")}

    assert {"put", "lock", "unlock", "remove"} <= stores
    assert {"--store", "--caller", "--all", "--json"} <= options
