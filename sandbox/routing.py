"""From method and path to the endpoint, and what an endpoint is given."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from sandbox import answers

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sandbox.answers import Answer
    from sandbox.behaviours import Behaviours
    from sandbox.credentials import Credential
    from sandbox.requests import Request
    from sandbox.state import SandboxState

V3 = "/api/v3/io"
V2 = "/api/v2/io"
DEFAULT_LIMIT = 10
MAX_LIMIT = 250


class RefusedRequestError(Exception):
    """The request cannot be served; the answer says why."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


@dataclass(slots=True)
class Call:
    """One request on its way to an endpoint.

    Attributes:
        store_hash: The store it is for, as far as it is known.
        args: The named parts of the path.
    """

    state: SandboxState
    request: Request
    credential: Credential
    store_hash: str | None
    behaviours: Behaviours
    args: dict[str, str] = field(default_factory=dict)

    @property
    def store(self) -> str:
        """The store of an authenticated request."""
        return self.store_hash or ""

    def json(self) -> Any:
        """Read the body as JSON.

        Raises:
            RefusedRequestError: If it is none; with the framework's own 400 (shape G).
        """
        return json_body(self.request)

    def fields(self) -> dict[str, Any]:
        """Read the body as a JSON object.

        Raises:
            RefusedRequestError: If it is none. A body of a wrong type is a 500 upstream (§3).
        """
        body = self.json()
        if not isinstance(body, dict):
            raise RefusedRequestError(answers.html_page(500))
        return body

    def query(self) -> dict[str, str]:
        """Give the query's parameters, the last value of each."""
        return last_values(self.request.query_string)


def json_body(request: Request) -> Any:
    """Read a request's body as JSON.

    Raises:
        RefusedRequestError: If it is none; with the framework's own 400 (shape G).
    """
    try:
        return json.loads(request.body.read_all())
    except ValueError:
        refusal = answers.detail_error(400, "JSON parse error - Expecting value")
        raise RefusedRequestError(refusal) from None


def last_values(query_string: str) -> dict[str, str]:
    """Parse a query string, keeping the last value of each name."""
    parsed = parse_qs(query_string, keep_blank_values=True)
    return {name: values[-1] for name, values in parsed.items()}


def page_bounds(query: dict[str, str]) -> tuple[int, int]:
    """Read `limit` (10, 1 to 250) and `offset` (0) (§3).

    Raises:
        RefusedRequestError: If one is not a number or out of range (422).
    """
    refused: dict[str, list[str]] = {}
    bounds = {"limit": DEFAULT_LIMIT, "offset": 0}
    for name, (least, most) in {"limit": (1, MAX_LIMIT), "offset": (0, 10**9)}.items():
        given = query.get(name, "")
        if not given:
            continue
        if given.isascii() and given.isdigit() and least <= int(given) <= most:
            bounds[name] = int(given)
        else:
            refused[name] = [f"Ensure this value is between {least} and {most}."]
    if refused:
        raise RefusedRequestError(answers.parameter_error(refused))
    return bounds["limit"], bounds["offset"]


Endpoint = Callable[[Call], "Answer"]


@dataclass(frozen=True, slots=True)
class Route:
    """One endpoint of the API.

    Attributes:
        pattern: Path with `{name}` for a part that varies: digits, unless the name ends in `_text`.
        sub_limit: What it counts as in the smaller limits of single endpoints; empty for none.
        streams: Whether the endpoint reads the body itself, piece by piece.
    """

    method: str
    pattern: str
    endpoint: Endpoint
    sub_limit: str = ""
    streams: bool = False


class Routes:
    """All endpoints."""

    def __init__(self, routes: Iterable[Route]) -> None:
        #: (method, path) → route, where no part of the path varies
        self._fixed: dict[tuple[str, str], Route] = {}
        #: method → (expression, route), where some part varies
        self._varying: dict[str, list[tuple[re.Pattern[str], Route]]] = {}
        for route in routes:
            if "{" in route.pattern:
                self._varying.setdefault(route.method, []).append((_expression(route), route))
            else:
                self._fixed[route.method, route.pattern] = route

    def find(self, method: str, path: str) -> tuple[Route, dict[str, str]] | None:
        """Find the endpoint of a request and the named parts of its path."""
        method = "GET" if method == "HEAD" else method
        if route := self._fixed.get((method, path)):
            return route, {}
        for expression, route in self._varying.get(method, ()):
            if match := expression.fullmatch(path):
                return route, match.groupdict()
        return None


def _expression(route: Route) -> re.Pattern[str]:
    def part(name: re.Match[str]) -> str:
        shape = r"[^/]+" if name[1].endswith("_text") else r"[0-9]+"
        return f"(?P<{name[1]}>{shape})"

    return re.compile(re.sub(r"\{(\w+)\}", part, route.pattern))
