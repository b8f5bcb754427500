"""``broker access``: look at an access file before it is mounted. Nothing here needs a running broker."""

import hashlib
import itertools
import json
import secrets
import sys
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path

import click

from service.adapters.access_file import read_content
from service.adapters.access_policy import PolicyFile, read_policy
from service.adapters.access_schema import AccessFileError, access_schema
from service.cli.exits import Exit
from service.cli.parameters import examples
from service.cli.showing import as_json, show_one, show_rows
from service.core.base62 import base62
from service.core.policy import ACTIONS, Access, Decision, MintAsk, Policy

_FILE = click.Path(exists=True, dir_okay=False)
_SAMPLE = "x"


@click.group()
def access() -> None:
    """Check, test, explain and compare access files."""


@access.command(epilog=examples("broker access check access.yaml"))
@click.argument("file", type=_FILE)
@as_json
def check(file: str, *, in_json: bool) -> None:
    """Check FILE against the schema and its own tests. Exit code 1: it would be refused."""
    found = _read(file)
    failing = [test for test in found.tests if not test.passed]
    if failing:
        raise click.ClickException(f"{len(failing)} of its own tests fail; see: broker access test")
    counts = {"grants": len(found.policy.grants), "tests": len(found.tests)}
    if in_json:
        show_one(counts, in_json=True)
    else:
        click.echo(f"ok: {counts['grants']} grants, {counts['tests']} tests")


@access.command(name="test", epilog=examples("broker access test access.yaml"))
@click.argument("file", type=_FILE)
@as_json
def run_tests(file: str, *, in_json: bool) -> None:
    """Run the tests in FILE and show what decides each. Exit code 1: one does not come out as expected."""
    found = _read(file)
    if in_json:
        show_rows([asdict(test) for test in found.tests], (), in_json=True)
    else:
        for test in found.tests:
            mark = "ok  " if test.passed else "FAIL"
            what = f"{test.caller} {test.action} {test.store}"
            click.echo(f"{mark} {what}: expects {test.expected}; {test.because}")
    if not all(test.passed for test in found.tests):
        sys.exit(Exit.REFUSED)


@access.command(
    epilog=examples(
        "broker access explain access.yaml --caller k8s:commerce/order-sync --action reference.mint --store abc123",
        "broker access explain access.yaml --caller corp:ops-anna --action store.lock --json",
    )
)
@click.argument("file", type=_FILE)
@click.option("--caller", required=True, help="The identity, such as k8s:commerce/order-sync.")
@click.option("--action", required=True, type=click.Choice(ACTIONS))
@click.option("--store", default="*", help="The store; default: all of them.")
@click.option("--access", "kind", type=click.Choice(["proxy", "redeem"]), default="proxy")
@click.option("--audience", help="Whom to mint for; default: the caller.")
@click.option("--ttl-seconds", type=click.IntRange(1))
@click.option("--max-uses", type=click.IntRange(1))
@click.option("--request", "requests", multiple=True, help="A request scope; may be repeated.")
@as_json
def explain(  # noqa: PLR0913, PLR0917 — one parameter for each option
    file: str,
    caller: str,
    action: str,
    store: str,
    kind: Access,
    audience: str | None,
    ttl_seconds: int | None,
    max_uses: int | None,
    requests: tuple[str, ...],
    *,
    in_json: bool,
) -> None:
    """Show what FILE decides, and which grant decides it. Exit code 1: it is denied."""
    ask = None
    if action == "reference.mint":
        ttl = None if ttl_seconds is None else timedelta(seconds=ttl_seconds)
        ask = MintAsk(kind, audience, ttl, max_uses, requests or None)
    try:
        decision = _read(file).policy.decide(caller, action, store, ask)
    except ValueError as error:
        raise click.ClickException(str(error)) from None
    if in_json:
        show_one(_as_document(decision), in_json=True)
    else:
        click.echo(_shown(decision))
    if not decision.allowed:
        sys.exit(Exit.REFUSED)


@access.command(epilog=examples("broker access diff access.yaml access.new.yaml"))
@click.argument("old", type=_FILE)
@click.argument("new", type=_FILE)
@as_json
def diff(old: str, new: str, *, in_json: bool) -> None:
    """Show which decisions change from OLD to NEW, for the callers, actions and stores that the two files name.

    A wildcard is shown as it stands, and stands for any name that nothing else in the files matches. Exit code 1: something changes.
    """
    files = _read(old), _read(new)
    changes = list(_changes(*files))
    if in_json:
        click.echo(json.dumps(changes, indent=2))
    else:
        click.echo("\n".join(changes) or "no decision changes")
    if changes:
        sys.exit(Exit.REFUSED)


@access.command(
    name="new-key", epilog=examples("umask 077; broker access new-key ci > ci.key 2> entry.yaml")
)
@click.argument("name")
def new_key(name: str) -> None:
    """Make an API key for a caller NAME: the key on standard output, its entry for the access file on standard error."""
    key = f"cbk_{base62(secrets.token_bytes(32), 43)}"
    digest = hashlib.sha256(key.encode("ascii")).hexdigest()
    click.echo(f'- {{name: {name}, sha256: "{digest}"}}', err=True)
    click.echo(key)


@access.command(
    epilog=examples(
        "broker access schema --output access.schema.json",
    )
)
@click.option("--output", type=click.Path(path_type=Path), help="A file; default: standard output.")
def schema(output: Path | None) -> None:
    """Export the JSON Schema of access files, for editors."""
    text = json.dumps(access_schema(), indent=2) + "\n"
    if output is None:
        click.echo(text, nl=False)
    else:
        output.write_text(text, "utf-8")


def _read(file: str) -> PolicyFile:
    try:
        return read_policy(read_content(file))
    except AccessFileError as error:
        raise click.ClickException(str(error)) from None


def _shown(decision: Decision) -> str:
    if decision.allowed:
        return f"allowed by '{decision.grant}'"
    if not decision.grant:
        return "denied: no grant names the caller"
    return f"denied: nearest is '{decision.grant}', which fails at {decision.failed}"


def _as_document(decision: Decision) -> dict[str, object]:
    terms = decision.terms
    document: dict[str, object] = {
        "allowed": decision.allowed,
        "grant": decision.grant or None,
        "failed": decision.failed or None,
    }
    if terms is not None:
        fields = asdict(terms)
        document["terms"] = {"ttl_seconds": int(fields.pop("ttl").total_seconds()), **fields}
    return document


def _changes(old: PolicyFile, new: PolicyFile) -> "itertools.chain[str]":
    callers = sorted({*_callers(old), *_callers(new)})
    stores = sorted({*_stores(old.policy), *_stores(new.policy), "*"})
    return itertools.chain.from_iterable(
        _change(caller, action, store, old.policy, new.policy)
        for caller, action, store in itertools.product(callers, ACTIONS, stores)
    )


def _change(caller: str, action: str, store: str, old: Policy, new: Policy) -> list[str]:
    """Return the changes of one cell; for minting, of everything that either file lets be minted."""
    if action != "reference.mint":
        asks: list[tuple[str, MintAsk | None]] = [("", None)]
    else:
        asks = [
            (f" {kind} for {audience}", MintAsk(kind, _sample(audience)))
            for kind in ("proxy", "redeem")
            for audience in sorted({caller, *_audiences(old), *_audiences(new)})
        ]
    found = []
    for text, ask in asks:
        before, after = (
            policy.decide(_sample(caller), action, _sample(store, "*"), ask)
            for policy in (old, new)
        )
        if (before.allowed, before.terms) != (after.allowed, after.terms):
            found.append(f"{caller} {action} {store}{text}: {_told(before)} -> {_told(after)}")
    return found


def _told(decision: Decision) -> str:
    terms = decision.terms
    if terms is None:
        return _shown(decision)
    uses = "any number of uses" if terms.max_uses is None else f"{terms.max_uses} uses"
    scope = ", ".join(terms.requests) or "every request"
    rate = "" if terms.max_rate is None else f", {terms.max_rate}/m"
    return f"{_shown(decision)} ({terms.ttl.total_seconds():.0f} s, {uses}{rate}, {scope})"


def _callers(file: PolicyFile) -> set[str]:
    return {*file.identities, *(c for grant in file.policy.grants for c in grant.callers)}


def _stores(policy: Policy) -> set[str]:
    return {store for grant in policy.grants for store in grant.stores}


def _audiences(policy: Policy) -> set[str]:
    return {audience for grant in policy.grants for audience in grant.limits.audiences}


def _sample(pattern: str, whole: str = "") -> str:
    """Return a name that a pattern stands for; ``whole`` is a pattern that has a meaning of its own."""
    return pattern if pattern == whole else pattern.replace("*", _SAMPLE)
