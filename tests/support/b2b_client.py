"""A small client of the B2B Edition management API, as a third party would write it: it has never heard of a broker."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import urllib3


@dataclass(frozen=True, slots=True)
class Answer:
    """What the API answered.

    Attributes:
        headers: Names in lower case.
    """

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """Return the body as JSON."""
        return json.loads(self.body)


class B2BClient:
    """Talks to ``<base URL>/api/v3/io/…`` with a token in a header.

    It can be given headers to send with everything, as most such clients can, for gateways.
    """

    def __init__(
        self,
        base_url: str,
        token: Mapping[str, str],
        extra_headers: Mapping[str, str] | None = None,
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._headers = {"Accept": "application/json", **token, **(extra_headers or {})}
        self._http = urllib3.PoolManager(retries=False)

    def call(self, method: str, path: str, body: Any = None, *, raw: bytes | None = None) -> Answer:
        """Make a request; ``body`` goes as JSON, ``raw`` as it is."""
        headers = dict(self._headers)
        if body is not None:
            headers["Content-Type"] = "application/json"
            raw = json.dumps(body).encode()
        return self._send(method, path, headers, body=raw)

    def upload(self, path: str, field: str, name: str, content: bytes, kind: str) -> Answer:
        """Send a file as multipart form data."""
        fields = {field: (name, content, kind)}
        return self._send("POST", path, self._headers, fields=fields)

    def every(self, path: str, limit: int) -> Iterator[Any]:
        """Yield the rows of a list, page by page, until the total is reached."""
        offset, total = 0, 1
        while offset < total:
            answer = self.call("GET", f"{path}?limit={limit}&offset={offset}").json()
            page = answer["meta"].get("pagination", answer["meta"])
            total = page["totalCount"]
            yield from answer["data"]
            offset += limit

    def close(self) -> None:
        """Close its connections."""
        self._http.clear()

    def _send(self, method: str, path: str, headers: Mapping[str, str], **what: Any) -> Answer:
        url = f"{self._base_url}{path}"
        reply = self._http.request(method, url, headers=headers, redirect=False, **what)
        names = {name.lower(): value for name, value in reply.headers.items()}
        return Answer(reply.status, names, reply.data)
