"""One page of a store's rows, filtered as the query asks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandbox.answers import Page
from sandbox.routing import page_bounds

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def page_of(
    store_hash: str,
    query: dict[str, str],
    rows: int,
    make_row: Callable[[str, int], dict[str, Any]],
    filters: Mapping[str, str] | None = None,
) -> tuple[list[dict[str, Any]], Page]:
    """Make the page that a query asks for.

    Args:
        store_hash: Whose rows.
        query: Names and values of the query.
        rows: How many there are before filtering.
        make_row: Makes row number n of a store, counted from 1.
        filters: Query name → field that must equal it; `minModified` works everywhere.

    Raises:
        RefusedRequestError: If `limit` or `offset` is wrong.
    """
    limit, offset = page_bounds(query)
    wanted = {field: query[name] for name, field in (filters or {}).items() if query.get(name)}
    least = query.get("minModified", "")
    if not wanted and not least:
        numbers = range(1 + offset, 1 + min(offset + limit, rows))
        return [make_row(store_hash, number) for number in numbers], Page(rows, limit, offset)
    found = [
        row
        for row in (make_row(store_hash, number) for number in range(1, 1 + rows))
        if all(str(row[field]) == value for field, value in wanted.items())
        and not (least.isdigit() and int(row.get("updatedAt", "0")) < int(least))
    ]
    return found[offset : offset + limit], Page(len(found), limit, offset)
