"""``broker completion``: what teaches a shell the commands and options."""

import click
from click.shell_completion import get_completion_class

from service.cli.parameters import examples

_VARIABLE = "_BROKER_COMPLETE"


@click.command(
    epilog=examples(
        "broker completion bash > /etc/bash_completion.d/broker",
        "broker completion zsh > ~/.zfunc/_broker",
        "broker completion fish > ~/.config/fish/completions/broker.fish",
    )
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the completion script of SHELL."""
    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"there is no completion for {shell}")
    click.echo(kind(context.find_root().command, {}, "broker", _VARIABLE).source())
