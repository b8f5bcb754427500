"""A store's list of tokens is shared: with another instance of the broker, with people, and it has more than one page.

Source: security.md §3.3, F10 to F12.
"""

from collections.abc import Iterator

import pytest

from sandbox.demo.stack import Stack
from tests.support.http import Reply
from tests.support.own_broker import own_broker
from tests.support.service import Service

MORE_THAN_A_PAGE = 251


@pytest.fixture(scope="module")
def staging(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Another instance, with the same upstream."""
    settings = {
        "BROKER_INSTANCE": "staging",
        "BROKER_REDIS_URL": f"redis://127.0.0.1:{stack.redis_port}/2",  # no other test's
        "WEB_CONCURRENCY": "1",
    }
    with own_broker(stack, tmp_path_factory.mktemp("staging"), settings) as broker:
        yield Service(stack, broker.client)


def _create(service: Service, store_hash: str, name: str) -> None:
    """Make a token as a person does who has the password."""
    account = {"email": f"owner@{store_hash}.example", "password": "right password"}
    body = {"storeHash": store_hash, "name": name, **account}
    service.upstream("POST", "/api/io/auth/backend", body)


def _names(service: Service, store_hash: str) -> list[str]:
    return [row["name"] for row in service.live_tokens(store_hash)]


def _leave_an_orphan(service: Service, store_hash: str) -> str:
    """Have an attempt's answer be lost, and return the name of the token that it has made."""
    before = set(_names(service, store_hash))
    switch = {"store_hash": store_hash, "create_outcome": "commit_then_drop"}
    service.upstream("PATCH", "/_sandbox/behaviours", switch)
    assert service.put_store(store_hash).status == 502
    service.upstream("PATCH", "/_sandbox/behaviours", {**switch, "create_outcome": "normal"})
    (name,) = set(_names(service, store_hash)) - before
    return name


def _delete_orphans(service: Service, store_hash: str) -> Reply:
    path = f"/v1/stores/{store_hash}/orphans"
    return service.client.ask(service.operator, "DELETE", path)


def test_two_instances_leave_each_others_tokens_alone(service: Service, staging: Service) -> None:
    """Neither what is in use nor what an attempt has left belongs to anybody but the instance that made it (F10)."""
    store_hash = service.new_store()
    assert service.put_store(store_hash).status == 201
    (in_use,) = _names(service, store_hash)
    left = _leave_an_orphan(staging, store_hash)

    by_the_other = _delete_orphans(service, store_hash)
    after_the_other = set(_names(service, store_hash))
    removed = service.client.ask(service.operator, "DELETE", f"/v1/stores/{store_hash}")
    after_the_removal = _names(service, store_hash)
    assert staging.put_store(store_hash).status == 200

    assert (by_the_other.status, removed.status) == (200, 204)
    assert after_the_other == {in_use, left}
    assert after_the_removal == [left]
    (kept,) = _names(service, store_hash)
    assert kept != left
    assert staging.companies(staging.mint(store_hash)).status == 200


def test_a_token_that_no_attempt_of_ours_names_is_never_deleted(service: Service) -> None:
    """Also not one whose name looks as if it were ours (F11)."""
    store_hash = service.new_store()
    left = _leave_an_orphan(service, store_hash)
    like_ours = left[:-1] + ("0" if left[-1] != "0" else "1")
    others = {like_ours, "made by hand"}
    for name in others:
        _create(service, store_hash, name)

    assert service.put_store(store_hash).status == 200
    (in_use,) = set(_names(service, store_hash)) - others
    deleted = _delete_orphans(service, store_hash)
    beside_it = set(_names(service, store_hash)) - {in_use}
    removed = service.client.ask(service.operator, "DELETE", f"/v1/stores/{store_hash}")

    assert (deleted.status, removed.status) == (200, 204)
    assert in_use != left
    assert beside_it == set(_names(service, store_hash)) == others


def test_what_an_attempt_has_left_is_found_behind_pages_of_others(service: Service) -> None:
    """In the middle of more than two pages, whichever end the upstream begins with (F12)."""
    store_hash = service.new_store()
    others = [f"other {number}" for number in range(2 * MORE_THAN_A_PAGE)]
    for name in others[:MORE_THAN_A_PAGE]:
        _create(service, store_hash, name)
    _leave_an_orphan(service, store_hash)
    for name in others[MORE_THAN_A_PAGE:]:
        _create(service, store_hash, name)

    assert service.put_store(store_hash).status == 200

    (kept,) = set(_names(service, store_hash)) - set(others)
    assert len(_names(service, store_hash)) == len(others) + 1
    assert service.companies(service.mint(store_hash)).status == 200
    assert kept.startswith("b2b-broker/")
