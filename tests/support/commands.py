"""Every command of ``broker``, as a tree of words."""

from collections.abc import Iterator

import click

from service.cli import main


def commands(
    group: click.Group = main, words: tuple[str, ...] = ("broker",)
) -> Iterator[tuple[str, click.Command]]:
    """Yield each command that does something: the words that call it, and the command."""
    for name, command in sorted(group.commands.items()):
        if isinstance(command, click.Group):
            yield from commands(command, (*words, name))
        else:
            yield " ".join((*words, name)), command
