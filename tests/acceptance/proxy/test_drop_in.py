"""A client that was written for the API itself works through the proxy unmodified: base URL and token are all that differs."""

import contextlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pytest

from sandbox.data import first_id
from tests.acceptance.proxy.management_calls import CALLS, REFUSALS, V3, Call, Refusal
from tests.support.b2b_client import Answer, B2BClient
from tests.support.service import Service

STYLES = ["authToken", "X-Auth-Token"]
OWN_TO_EACH = {
    # Of the connection, or made anew for each answer.
    *("server", "date", "connection", "x-request-id", "trace-id", "set-cookie"),
    # Only the broker says it, and the proof that the rest is compared is that it is there.
    *("proxy-status", "ratelimit", "ratelimit-policy"),
}


@dataclass(frozen=True, slots=True)
class Pair:
    """The same client twice: at the API, and at the proxy."""

    direct: B2BClient
    proxied: B2BClient
    store_hash: str


@pytest.fixture(scope="module")
def store(wide: Service) -> str:
    """A store with a password, which the broker has, and an access token, which it has not."""
    return _new_store(wide)


@pytest.fixture(params=STYLES)
def pair(request: pytest.FixtureRequest, wide: Service, store: str) -> Iterator[Pair]:
    """Both clients, in one of the two header styles."""
    with _clients(wide, store, request.param) as clients:
        yield clients


@pytest.fixture(params=STYLES)
def own_pair(request: pytest.FixtureRequest, wide: Service) -> Iterator[Pair]:
    """Both clients of a new store: what its upstream says of its limits is remembered."""
    with _clients(wide, _new_store(wide), request.param) as clients:
        yield clients


@pytest.mark.parametrize("call", CALLS, ids=str)
def test_every_endpoint_answers_as_it_does_directly(pair: Pair, call: Call) -> None:
    """Status, body and headers are the same, of what is refused too."""
    _assert_same(*_both(pair, call))


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda row: f"{row.switches} {row.call}"[:90])
def test_every_envelope_of_an_error_passes(wide: Service, own_pair: Pair, refusal: Refusal) -> None:
    """Whatever the upstream says in whichever shape, the client sees it as it was said."""
    answers = []
    for client in (own_pair.direct, own_pair.proxied):
        wide.upstream("POST", "/_sandbox/clock", {"advance_seconds": 61})
        switches = {"store_hash": own_pair.store_hash, **refusal.switches}
        wide.upstream("PATCH", "/_sandbox/behaviours", switches)
        answers.append(_ask(client, own_pair, refusal.call))
        wide.reset_switches(own_pair.store_hash)

    assert answers[0].status == refusal.status
    _assert_same(*answers)


@pytest.mark.parametrize("kind", ["application/pdf", "application/octet-stream"])
def test_an_upload_arrives_as_it_does_directly(wide: Service, pair: Pair, kind: str) -> None:
    """A multipart body with its boundary and every byte of the file goes through, also one that is refused."""
    path = f"{V3}/companies/{first_id(pair.store_hash) + 1}/attachments"
    content = bytes(range(256)) * 4_096
    wide.upstream("DELETE", "/_sandbox/requests")

    answers = [
        client.upload(path, "attachmentFile", "a b.pdf", content, kind)
        for client in (pair.direct, pair.proxied)
    ]

    _assert_same(*answers)
    assert answers[0].status == (200 if kind == "application/pdf" else 422)
    rows = wide.upstream("GET", f"/_sandbox/requests?store_hash={pair.store_hash}")["requests"]
    first, second = [row["body_bytes"] for row in rows if row["target"] == path]
    assert first == second > len(content)


@pytest.mark.parametrize("path", ["/companies", "/orders"])
def test_a_list_is_read_to_its_end_in_pages(pair: Pair, path: str) -> None:
    """Both ways of saying where a page lies lead the client to the same rows."""
    direct, proxied = (list(c.every(V3 + path, 100)) for c in (pair.direct, pair.proxied))

    assert direct == proxied
    assert len(direct) > 250


def _new_store(wide: Service) -> str:
    store_hash = wide.active_store()
    administrator = {"email": f"owner@{store_hash}.example", "password": "right password"}
    body = {"store_hash": store_hash, "access_token": _access_token(store_hash), **administrator}
    wide.upstream("POST", "/_sandbox/stores", body)
    return store_hash


def _access_token(store_hash: str) -> str:
    return store_hash.ljust(31, "0")


@contextlib.contextmanager
def _clients(wide: Service, store: str, style: str) -> Iterator[Pair]:
    wide.upstream("PATCH", "/_sandbox/behaviours", {"rate_limit_per_minute": 0})
    wide.upstream(
        "PATCH", "/_sandbox/behaviours", {"sub_limit_per_minute": 0, "v2_takes_x_auth_token": True}
    )
    reference = wide.mint(store)
    own: Mapping[str, str] = {"authToken": wide.live_tokens(store)[0]["token"]}
    given: Mapping[str, str] = {"authToken": reference}
    if style == "X-Auth-Token":
        own = {"X-Auth-Token": _access_token(store), "X-Store-Hash": store}
        given = {"X-Auth-Token": reference, "X-Store-Hash": store}
    identity = {"Authorization": f"Bearer {wide.worker}"}
    direct = B2BClient(wide.stack.upstream_url, own)
    proxied = B2BClient(f"{wide.stack.url}/v1/proxy", given, identity)
    yield Pair(direct, proxied, store)
    direct.close()
    proxied.close()
    wide.reset_switches(store)


def _both(pair: Pair, call: Call) -> tuple[Answer, Answer]:
    return _ask(pair.direct, pair, call), _ask(pair.proxied, pair, call)


def _ask(client: B2BClient, pair: Pair, call: Call) -> Answer:
    path = call.path.replace("{n}", str(first_id(pair.store_hash) + 1))
    return client.call(call.method, path, call.body)


def _assert_same(direct: Answer, proxied: Answer) -> None:
    assert proxied.headers["proxy-status"] == f"b2b-broker; received-status={direct.status}"
    assert proxied.status == direct.status
    assert _without_chance(proxied.body) == _without_chance(direct.body)
    assert _lasting(proxied.headers) == _lasting(direct.headers)
    assert "set-cookie" not in proxied.headers


def _without_chance(body: bytes) -> bytes:
    """Return a body without the ids that the sandbox makes anew for each upload."""
    return re.sub(rb"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", b"UUID", body)


def _lasting(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers that two answers to the same question share; of times, the whole seconds."""
    whole = {name: re.sub(r"\.[0-9]+ s\b", " s", value) for name, value in headers.items()}
    return {name: value for name, value in whole.items() if name not in OWN_TO_EACH}
