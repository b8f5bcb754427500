"""The answer to one request, and the body shapes which the real API is known to use.

The letters are those of §2.2. Application answers are compact JSON; answers of the routing
layer have spaces after colons and commas, because another serializer writes them there.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandbox.delivery import Delivery

SUCCESS = "SUCCESS"
LOGIC_ERROR = "API logic error"
PARAMETER_ERROR = "Parameter Error"
NOT_FOUND = "Not Found Error"


class DropConnectionError(Exception):
    """The connection is to be closed without an answer."""


@dataclass(slots=True)
class Answer:
    """One response, before it is written.

    Attributes:
        stream: Body pieces for an answer that is too large to hold; `body` is then empty.
        stream_bytes: The length of all pieces together.
        delivery: How it is written, when not in the ordinary way.
    """

    status: int
    body: bytes = b""
    content_type: str = "application/json"
    headers: list[tuple[str, str]] = field(default_factory=list)
    stream: Iterator[bytes] | None = None
    stream_bytes: int = 0
    delivery: Delivery | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Where a list answer lies in the whole list."""

    total: int
    limit: int
    offset: int

    def as_json(self) -> dict[str, int]:
        """Give the three numbers under their upstream names."""
        return {"totalCount": self.total, "limit": self.limit, "offset": self.offset}


def compact(body: Any) -> bytes:
    """Serialize as the application does."""
    return json.dumps(body, separators=(",", ":")).encode()


def json_answer(status: int, body: Any) -> Answer:
    """Answer with a compact JSON body."""
    return Answer(status, compact(body))


def success(data: Any, page: Page | None = None) -> Answer:
    """Answer in shape A, the ordinary one."""
    meta: dict[str, Any] = {"message": SUCCESS}
    if page:
        meta["pagination"] = page.as_json()
    return json_answer(200, {"code": 200, "data": data, "meta": meta})


def flat_success(data: Any, page: Page) -> Answer:
    """Answer in shape B: orders carry the pagination directly in `meta`."""
    return json_answer(
        200, {"code": 200, "data": data, "meta": {"message": SUCCESS, **page.as_json()}}
    )


def quote_success(data: Any) -> Answer:
    """Answer in shape C: quotes carry the message at the top."""
    return json_answer(200, {"code": 200, "data": data, "message": SUCCESS})


def codeless_success(data: Any) -> Answer:
    """Answer in shape D: the hierarchy has no `code`."""
    return json_answer(200, {"data": data, "meta": {"message": SUCCESS}})


def v2_success(data: Any) -> Answer:
    """Answer in shape E, that of V2."""
    return json_answer(200, {"code": 200, "message": "Success", "data": data})


def error(status: int, err_msg: Any, message: str) -> Answer:
    """Refuse in shape A.

    Args:
        status: HTTP status and body code, which agree in this shape.
        err_msg: A string, `{field: [messages]}`, or a list of such objects.
        message: The `meta.message`, which names the class of error.
    """
    return json_answer(
        status, {"code": status, "data": {"errMsg": err_msg}, "meta": {"message": message}}
    )


def bare_error(status: int, message: str) -> Answer:
    """Refuse in shape A with empty data, as orders and the 413 of bulk calls do."""
    return json_answer(status, {"code": status, "data": {}, "meta": {"message": message}})


def parameter_error(fields: dict[str, list[str]]) -> Answer:
    """Refuse fields; names are snake_case although requests are camelCase (§2.2)."""
    return error(422, fields, PARAMETER_ERROR)


def bulk_error(status: int, errors: list[dict[str, str]], message: str) -> Answer:
    """Refuse in shape H, one entry for each offending item."""
    return json_answer(
        status, {"code": status, "data": {"errors": errors}, "meta": {"message": message}}
    )


def titled_error(status: int, title: str, errors: dict[str, str]) -> Answer:
    """Refuse in the error form of shape D."""
    return json_answer(status, {"status": status, "title": title, "errors": errors})


def routing_error(status: int, message: str) -> Answer:
    """Refuse in shape F, written by the routing layer (note the spaces)."""
    return Answer(status, json.dumps({"code": status, "message": message}).encode())


def detail_error(status: int, detail: str) -> Answer:
    """Refuse in shape G, the framework's own."""
    return json_answer(status, {"detail": detail})


def no_content() -> Answer:
    """Answer 204 with nothing (§2.2)."""
    return Answer(204)


def html_page(status: int) -> Answer:
    """Answer with a page for people, as gateways do when they answer for the application."""
    page = b"<!doctype html><title>B2B Edition</title><h1>We will be right back</h1>"
    return Answer(status, page, "text/html; charset=utf-8")
