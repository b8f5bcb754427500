"""Every attack of the table through a raw socket against the real server, with an upstream that records what it gets."""

import hashlib
from collections.abc import Mapping
from typing import Any

import pytest

from tests.acceptance.proxy.attacks import ATTACKS, Attack
from tests.support.raw_http import exchange, statuses
from tests.support.service import Service

NEVER_UPSTREAM = {
    *("authorization", "x-auth-token", "x-auth-client", "x-store-hash", "cookie", "forwarded"),
    *("via", "keep-alive", "te", "trailer", "upgrade", "http2-settings", "proxy-connection"),
    *("proxy-authorization", "expect", "x-http-method-override", "x-http-method", "connection"),
    *("x-method-override", "x-original-url", "x-rewrite-url", "x-mine", "broker-reference"),
}


@pytest.fixture(scope="module")
def proof(wide: Service, wide_store: str) -> Mapping[bytes, bytes]:
    """What the placeholders of the table stand for."""
    reference = wide.mint(wide_store).encode()
    lines = b"Authorization: Bearer %b\r\nBroker-Reference: %b"
    token = wide.worker.encode()
    return {b"%PROOF%": lines % (token, reference), b"%REF%": reference, b"%TOKEN%": token}


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: f"{attack.row} {attack.name!a}")
def test_an_attack_comes_to_what_it_must(
    open_door: Service, wide_store: str, proof: Mapping[bytes, bytes], attack: Attack
) -> None:
    """It is refused, or goes upstream once, exactly as it was matched; the caller's words never cost the token its place."""
    sent = attack.sent
    for placeholder, value in proof.items():
        sent = sent.replace(placeholder, value)

    received, closed = exchange(open_door.stack.port, sent)

    final = [status for status in statuses(received) if status >= 200]
    assert len(final) == 1, received
    assert final[0] in attack.statuses, received
    assert closed or final[0] < 400, "a refused message may have left anything on the connection"
    whole = [row for row in _recorded(open_door, wide_store) if row["status"] is not None]
    assert [row["target"] for row in whole] == ([attack.upstream] if attack.upstream else [])
    for row in whole:
        _assert_only_ours(row, open_door, wide_store, proof)
        assert row["body_sha256"] == hashlib.sha256(attack.body or b"").hexdigest()


def test_the_table_has_every_row() -> None:
    """None of the rows that are sent as bytes was left out."""
    rows = {attack.row for attack in ATTACKS}

    assert rows == {f"P-{number:02}" for number in (*range(1, 10), 15)}
    assert len({attack.sent for attack in ATTACKS}) == len(ATTACKS) > 150


def test_queries_of_attacks_are_logged_nowhere(
    open_door: Service, proof: Mapping[bytes, bytes]
) -> None:
    """A token in a query is passed on, as the caller asked, and kept by nobody here."""
    lines = (
        b"GET /v1/proxy/api/v3/io/companies?authToken=canary-in-query HTTP/1.1",
        *(b"Host: b", proof[b"%PROOF%"], b"X-Request-Id: found-in-logs", b"", b""),
    )

    received, _ = exchange(open_door.stack.port, b"\r\n".join(lines))

    assert statuses(received) == [200]
    broker = open_door.stack.broker
    kept = (broker.stderr, broker.stdout, open_door.stack.audit_file)
    texts = [file.read_bytes() for file in kept]
    assert sum(b"found-in-logs" in text for text in texts) == 2, "the log and the audit trail"
    assert not any(b"canary-in-query" in text for text in texts)


def _recorded(service: Service, store_hash: str) -> list[dict[str, Any]]:
    """Return what the upstream got for the store, or without saying for which."""
    rows = service.upstream("GET", "/_sandbox/requests")["requests"]
    return [row for row in rows if row["store_hash"] in (store_hash, None)]


def _assert_only_ours(
    row: dict[str, Any], service: Service, store_hash: str, proof: Mapping[bytes, bytes]
) -> None:
    headers = [(name.lower(), value) for name, value in row["headers"]]
    names = [name for name, _ in headers]
    (token,) = service.live_tokens(store_hash)
    assert [value for name, value in headers if name == "authtoken"] == [token["token"]]
    assert [value for name, value in headers if name == "accept-encoding"] == ["identity"]
    upstream = service.stack.upstream_url.removeprefix("http://")
    assert [value for name, value in headers if name == "host"] == [upstream]
    assert not NEVER_UPSTREAM & set(names)
    assert not any(name.startswith(("x-forwarded-", "broker-")) for name in names)
    assert row["misuse"] is False
    everything = str(row)
    assert proof[b"%REF%"].decode() not in everything
    assert proof[b"%TOKEN%"].decode() not in everything
