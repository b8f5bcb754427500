"""``broker``: what an operator types."""

import click

from service import __version__
from service.adapters.process_hardening import harden_process
from service.cli.access import access
from service.cli.audit import audit
from service.cli.completion import completion
from service.cli.doctor import doctor
from service.cli.healthcheck import healthcheck
from service.cli.keys import keys
from service.cli.locks import lock, lock_store, locks, unlock, unlock_store
from service.cli.orphans import orphans
from service.cli.references import references
from service.cli.serve import serve
from service.cli.stores import stores
from service.cli.whoami import whoami


def run() -> None:
    """Run a command in a process that shows nothing of itself: commands read passwords, tokens and keys."""
    harden_process()
    main()


@click.group(
    context_settings={"max_content_width": 120},
    epilog="Where the broker is and who asks: --url, --token-file and so on, or B2B_BROKER_URL, B2B_BROKER_TOKEN_FILE and so on."
    " Exit codes: 0 done, 1 refused, 2 wrong usage, 3 not now, 4 an audit trail that heads do not vouch for."
    " More: docs/cli.md, and --help of each command.",
)
@click.version_option(__version__, prog_name="broker")
def main() -> None:
    """Keep one B2B Edition token per store, sealed, and hand out short-lived references to it."""


for command in (
    serve,
    doctor,
    healthcheck,
    whoami,
    stores,
    references,
    lock,
    unlock,
    locks,
    orphans,
    access,
    keys,
    audit,
    completion,
):
    main.add_command(command)
for command in (lock_store, unlock_store):
    stores.add_command(command)
