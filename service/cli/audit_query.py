"""``broker audit query``: entries by who, what, about what, and when."""

import contextlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import click

from service.cli.audit_files import files_argument, read_files
from service.cli.parameters import examples
from service.cli.showing import as_json, show_rows
from service.core.audit import OWN_ACTIONS, Outcome
from service.core.audit_lines import Line, UnreadableLineError, entries_of, read_entry
from service.core.audit_ocsf import as_ocsf
from service.core.policy import ACTIONS
from service.core.wildcard import matches

_COLUMNS = (
    *("time", "caller", "action", "outcome", "reason", "store_hash", "accessor", "subject"),
    "request_id",
)
_MOMENT = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%SZ"])
_OUTCOMES = tuple(Outcome.__args__)  # type: ignore[attr-defined]  # a Literal has them
# A store's permanent address at BigCommerce, or its path in their API, holds the hash.
_STORE = re.compile(
    r"(?:https://)?(?:store-|api\.bigcommerce\.com/stores/|stores/)?([a-z0-9]{4,20})(?:\.mybigcommerce\.com)?/?"
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which entries; None where it does not matter."""

    texts: dict[str, str]
    since: datetime | None
    until: datetime | None

    def has(self, line: Line) -> bool:
        """Tell whether an entry is one of them."""
        if self.since is not None and line.time < self.since:
            return False
        if self.until is not None and line.time >= self.until:
            return False
        return all(matches(text, str(line.fields[name]), "") for name, text in self.texts.items())


@click.command(
    epilog=examples(
        "broker audit query audit.jsonl --store abc123 --outcome denied",
        "broker audit query audit.jsonl --accessor cba_07qF… --since 2026-11-23T00:00:00Z --json",
    )
)
@files_argument
@click.option("--store", help="A store hash, or an address such as store-abc123.mybigcommerce.com.")
@click.option("--caller", help="An identity; * stands for anything.")
@click.option("--subject", help="Whom it was about; * stands for anything.")
@click.option("--accessor", help="Of a reference.")
@click.option("--request-id", help="Of an HTTP request.")
@click.option("--action", type=click.Choice(sorted({*ACTIONS, *OWN_ACTIONS})))
@click.option("--outcome", type=click.Choice(_OUTCOMES))
@click.option("--since", type=_MOMENT, help="From this time (UTC) on.")
@click.option("--until", type=_MOMENT, help="Before this time (UTC).")
@click.option("--ocsf", is_flag=True, help="Show OCSF events, one a line.")
@as_json
def query(
    files: tuple[str, ...],
    *,
    store: str | None,
    since: datetime | None,
    until: datetime | None,
    ocsf: bool,
    in_json: bool,
    **texts: str | None,
) -> None:
    """Show the entries of the audit trail in FILE... that are asked for.

    The files may be rotated, packed (.gz), or a container's standard output. Nothing is verified here: `broker audit verify` does that;
    only an entry whose own hash does not fit is marked in the column INTACT. Without any option, all entries are shown.
    """
    given = {name: text for name, text in texts.items() if text is not None}
    if store is not None:
        given["store_hash"] = _store_hash(store)
    wanted = Wanted(given, _utc(since), _utc(until))
    found = (line for line in _entries(files) if wanted.has(line))
    if ocsf:
        for line in found:
            click.echo(json.dumps(as_ocsf(line.fields), separators=(",", ":")))
        return
    rows = [{**line.fields, "intact": line.intact} for line in found]
    show_rows(rows, (*_COLUMNS, "intact"), in_json=in_json)


def _entries(files: tuple[str, ...]) -> Iterator[Line]:
    for _, raw in read_files(files):
        for entry in entries_of(raw):
            with contextlib.suppress(UnreadableLineError):  # `verify` tells of it
                yield read_entry(entry)


def _store_hash(text: str) -> str:
    found = _STORE.fullmatch(text)
    if found is None:
        raise click.BadParameter(
            "not a store hash, nor an address that holds one", param_hint="--store"
        )
    return found[1]


def _utc(moment: datetime | None) -> datetime | None:
    return moment.replace(tzinfo=UTC) if moment else None
