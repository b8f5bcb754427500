"""``broker doctor``: is everything as the broker needs it, and what to do about what is not."""

import sys
from dataclasses import asdict

import click

from service.cli.exits import Exit
from service.cli.finding import Finding
from service.cli.parameters import examples
from service.cli.showing import as_json, show_rows

_MARKS = {"ok": "ok   ", "warning": "warn ", "failed": "FAIL ", "skipped": "skip "}
_NAME_WIDTH = 20
_WIDTH = 120
_INDENT = " " * 6


@click.command(
    epilog=examples(
        "broker doctor",
        "kubectl exec deploy/broker-b2b-credential-broker -- broker doctor",
        "broker doctor --json | jq '.[] | select(.verdict == \"failed\")'",
    )
)
@as_json
def doctor(*, in_json: bool) -> None:
    """Check settings, files, Redis, the upstream and the clocks, with the BROKER_ variables of this environment.

    Run it where the broker runs. Nothing is changed, and nothing is asked of the upstream that needs a token. Each finding that is not
    well says what it means and what to do. Exit code 1: something failed. A warning is for you to judge.
    """
    # Not at the top: what it reaches counts, and `broker serve` has to say where to before that is imported.
    from service.cli.examination import examine

    findings = examine()
    if in_json:
        show_rows([asdict(finding) for finding in findings], (), in_json=True)
    else:
        for finding in findings:
            _show(finding)
    if any(finding.verdict == "failed" for finding in findings):
        sys.exit(Exit.REFUSED)


def _show(finding: Finding) -> None:
    click.echo(f"{_MARKS[finding.verdict]} {finding.check.ljust(_NAME_WIDTH)} {finding.found}")
    for label, text in (("it means: ", finding.means), ("to do:    ", finding.cure)):
        if text:
            click.echo(click.wrap_text(text, _WIDTH, _INDENT + label, _INDENT + " " * len(label)))
