"""How the commands show what they found: a table for people, or JSON for machines."""

import json
import sys
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import click

as_json = click.option("--json", "in_json", is_flag=True, help="Show JSON instead of a table.")
_NOTHING = "-"
Item = TypeVar("Item")


def progress(items: Sequence[Item], label: str) -> Iterator[Item]:
    """Yield items while a bar on standard error shows how far it is; without a terminal there is no bar."""
    bar = click.progressbar(items, label=label, file=sys.stderr, hidden=not sys.stderr.isatty())
    with bar as shown:
        yield from shown


def show_rows(rows: Sequence[dict[str, Any]], columns: Sequence[str], *, in_json: bool) -> None:
    """Show documents: some of their members as columns, or all of them as JSON."""
    if in_json:
        click.echo(json.dumps(list(rows), indent=2))
        return
    if not rows:
        click.echo("none")
        return
    cells = [[_shown(row.get(column)) for column in columns] for row in rows]
    heads = [column.upper().replace("_", " ") for column in columns]
    widths = [max(map(len, column)) for column in zip(heads, *cells, strict=True)]
    for line in (heads, *cells):
        padded = (text.ljust(width) for text, width in zip(line, widths, strict=True))
        click.echo("  ".join(padded).rstrip())


def show_one(document: dict[str, Any], *, in_json: bool) -> None:
    """Show a document: a line for each member, or JSON."""
    if in_json:
        click.echo(json.dumps(document, indent=2))
        return
    width = max(map(len, document))
    for name, value in document.items():
        click.echo(f"{name.ljust(width)}  {_shown(value)}")


def _shown(value: object) -> str:
    if value is None or value in ("", []):
        return _NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ", ".join(f"{name} {_shown(member)}" for name, member in value.items())
    if isinstance(value, list):
        return "; ".join(_shown(member) for member in value)
    return str(value)
