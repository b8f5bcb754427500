"""``broker``: what an operator types."""

import click

from service import __version__
from service.adapters.process_hardening import harden_process
from service.cli.access import access
from service.cli.audit import audit
from service.cli.healthcheck import healthcheck
from service.cli.keys import keys
from service.cli.orphans import orphans
from service.cli.serve import serve
from service.cli.stores import stores


def run() -> None:
    """Run a command in a process that shows nothing of itself: commands read passwords, tokens and keys."""
    harden_process()
    main()


@click.group()
@click.version_option(__version__, prog_name="broker")
def main() -> None:
    """Keep one B2B Edition token per store, sealed, and hand out short-lived references to it."""


for command in (serve, healthcheck, stores, orphans, access, keys, audit):
    main.add_command(command)
