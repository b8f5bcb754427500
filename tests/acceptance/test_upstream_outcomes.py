"""Whatever a create comes to upstream: how the store stands, what is alive, how often the upstream was asked, what the audit says.

Source: security.md §3.3, F50 to F57.
"""

import json
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from sandbox.demo.stack import Stack
from tests.support.own_broker import own_broker
from tests.support.service import Service


class Outcome(NamedTuple):
    """What has to follow from an outcome of a create.

    Attributes:
        status: Of the answer to the operator.
        store: The store's status then.
        reason: The store's, and the audit entry's.
        alive: Tokens upstream that nobody keeps.
        again: The answer to the same credential when the upstream is well again.
        posts: How often the upstream was asked in all.
    """

    status: int
    store: str
    reason: str
    alive: int
    again: int = 200
    posts: int = 2


#: switch of the sandbox → what follows
OUTCOMES = {
    "bad_credentials": Outcome(409, "rejected", "credential_incorrect", 0, again=409, posts=1),
    "role_forbidden": Outcome(409, "rejected", "role_forbidden", 0, again=409, posts=1),
    "ok_with_422_body": Outcome(502, "pending", "upstream_refused", 0),
    "saving_error": Outcome(502, "uncertain", "upstream_answer_unusable", 0),
    "commit_then_drop": Outcome(502, "uncertain", "upstream_broke_off", 1),
    "commit_then_hang": Outcome(504, "uncertain", "upstream_timeout", 1),
    "commit_then_500": Outcome(502, "uncertain", "upstream_answer_unusable", 1),
    "drop_before_commit": Outcome(502, "uncertain", "upstream_broke_off", 0),
    "status_500": Outcome(502, "uncertain", "upstream_answer_unusable", 0),
    "status_503": Outcome(502, "uncertain", "upstream_answer_unusable", 0),
    "status_429": Outcome(429, "pending", "upstream_rate_limited", 0),
    "hang": Outcome(504, "uncertain", "upstream_timeout", 0),
    "html": Outcome(502, "uncertain", "upstream_answer_unusable", 0),
    "redirect": Outcome(502, "uncertain", "upstream_answer_unusable", 0),
    "empty_token": Outcome(502, "uncertain", "upstream_answer_unusable", 1),
    "huge_body": Outcome(502, "uncertain", "answer_too_large", 1),
    "wrong_store_claim": Outcome(
        502, "quarantined", "token_of_another_store", 1, again=409, posts=1
    ),
}


@pytest.fixture(scope="module")
def impatient(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Another broker on the same Redis and upstream, which waits for an answer for a second only."""
    settings = {
        "BROKER_UPSTREAM_TIMEOUT_SECONDS": "1",
        "BROKER_AUDIT_FILE": str(stack.folder / "audit.jsonl"),
        "WEB_CONCURRENCY": "1",
    }
    with own_broker(stack, tmp_path_factory.mktemp("impatient"), settings) as broker:
        yield Service(stack, broker.client)


@pytest.fixture
def broker(impatient: Service, service: Service) -> Service:
    """The impatient broker, with an upstream that has forgotten everything."""
    del service
    impatient.upstream("PATCH", "/_sandbox/behaviours", {"create_hang_seconds": 3})
    return impatient


def behave(broker: Service, store_hash: str, outcome: str) -> None:
    """Have creates for a store come to something."""
    switch = {"store_hash": store_hash, "create_outcome": outcome}
    broker.upstream("PATCH", "/_sandbox/behaviours", switch)


def posts(broker: Service, store_hash: str) -> int:
    """Return how often the upstream was asked for a token."""
    seen = broker.upstream("GET", f"/_sandbox/requests?store_hash={store_hash}")["requests"]
    return sum(row["method"] == "POST" for row in seen)


def failures(broker: Service, store_hash: str) -> list[str]:
    """Return the reasons of the store's failures in the audit trail."""
    lines = broker.stack.audit_file.read_text("utf-8").splitlines()
    entries = [json.loads(line) for line in lines if store_hash in line]
    return [entry["reason"] for entry in entries if entry["outcome"] == "failed"]


@pytest.mark.parametrize("switch", OUTCOMES)
def test_what_follows_from_an_outcome_of_a_create(broker: Service, switch: str) -> None:
    """Asked once; the state is named; nothing that may exist is forgotten; asked again, at most one token is left."""
    expected, store_hash = OUTCOMES[switch], broker.new_store()
    behave(broker, store_hash, switch)

    reply = broker.put_store(store_hash)

    path = f"/v1/stores/{store_hash}"
    shown = broker.client.ask(broker.operator, "GET", path).json()
    assert (reply.status, shown["status"], shown["reason"]) == expected[:3]
    assert failures(broker, store_hash) == [expected.reason]
    assert len(broker.live_tokens(store_hash)) == expected.alive
    assert len(shown["attempts"]) == (expected.store in ("uncertain", "quarantined"))
    behave(broker, store_hash, "normal")
    again = broker.put_store(store_hash)
    assert (again.status, posts(broker, store_hash)) == (expected.again, expected.posts)
    left = 1 if expected.again == 200 else expected.alive
    assert len(broker.live_tokens(store_hash)) == left


def test_a_token_that_was_revoked_upstream_is_replaced_once(broker: Service) -> None:
    """With a retained password one request finds out and repairs; the upstream is asked for one more token (F57)."""
    store_hash = broker.new_store()
    email = f"owner@{store_hash}.example"
    credential = {"kind": "b2b_password", "email": email, "password": "right password"}
    body = {"credential": credential, "retain": True}
    broker.client.ask(broker.operator, "PUT", f"/v1/stores/{store_hash}", body)
    reference = broker.mint(store_hash)
    broker.upstream("POST", "/_sandbox/tokens/revoke", {"store_hash": store_hash})

    statuses = [broker.companies(reference).status for _ in range(3)]

    assert statuses[1:] == [200, 200]
    assert posts(broker, store_hash) == 2
    assert len(broker.live_tokens(store_hash)) == 1
