"""An ACL user with the rights that the README names, and no more."""

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import redis

from service.adapters.redis_installation import Installation
from service.adapters.redis_keys import RedisKeys
from service.adapters.redis_references import RedisReferences
from service.adapters.redis_stores import RedisStores
from tests.adapters.making import begin, linked_to, mint, minted, store
from tests.support.clock import START
from tests.support.redis_group import Group
from tests.support.redis_shards import Shards
from tests.support.world import STORE, WORKER

README = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
PASSWORD = "an ACL user's password"


def _rights(number: int) -> list[str]:
    """Return the rights of one of the README's lists: for all, with sentinels, in a cluster."""
    sentence = README.partition("An ACL user needs ")[2].partition(".\n")[0]
    lists = re.findall("`([^`]+)`", sentence)[1:]
    return [*lists[0].split(), *(lists[number].split() if number else [])]


def _allow(client: "redis.Redis", number: int) -> None:
    """Let a user do what the README says."""
    rules = ["reset", "on", f">{PASSWORD}", "~b2b-broker:*", *_rights(number)]
    send: Any = client.execute_command  # the library leaves it untyped
    send("ACL", "SETUSER", "broker", *rules)


@pytest.fixture
def single(valkey: "redis.Redis", valkey_port: int) -> Iterator[str]:
    """One process that knows the user."""
    _allow(valkey, 0)
    yield f"redis://127.0.0.1:{valkey_port}/0"
    valkey.acl_deluser("broker")


@pytest.fixture
def sentinels(group: Group) -> Iterator[str]:
    """A group that knows the user."""
    for member in group.members:
        with member.client() as client:
            _allow(client, 1)
    yield group.url
    for member in group.members:
        with member.client() as client:
            client.acl_deluser("broker")


@pytest.fixture
def cluster(shards: Shards) -> Iterator[str]:
    """A cluster that knows the user."""
    for port in shards.programs:
        with shards.node(port) as client:
            _allow(client, 2)
    yield shards.url
    for port in shards.programs:
        with shards.node(port) as client:
            client.acl_deluser("broker")


@pytest.mark.parametrize(("kind", "replicas"), [("single", 0), ("sentinels", 2), ("cluster", 1)])
def test_the_rights_that_the_readme_names_are_enough(
    request: pytest.FixtureRequest, tmp_path: Path, kind: str, replicas: int
) -> None:
    """For every script and command there is."""
    secret = tmp_path / "password"
    secret.write_text(PASSWORD, "utf-8")
    url = request.getfixturevalue(kind)

    with linked_to(url, username="broker", password_file=str(secret), replicas=replicas) as link:
        link.ping()
        Installation(link, "test", lambda: None).look()
        stores, references = RedisStores(link), RedisReferences(link)
        line = store(stores)
        accessor = mint(references, minted(max_uses=2))
        used = references.use(accessor, WORKER, "proxy", ("*",), START)
        page, _ = references.page(STORE, "", 10, START)
        revoked = references.revoke(accessor, STORE)
        references.revoke_store(STORE)
        references.revoke_all()
        assert stores.replace(STORE, line, line + b" changed")
        lease = begin(stores, line + b" changed", seen=line + b" changed")
        stores.forget_attempts(STORE, [lease.attempt_id])
        assert stores.settle(STORE, lease, line, keep_intent=True)
        keys = RedisKeys(link)
        keys.announce("replica", b"k1", timedelta(seconds=30))
        keys.add_check("k1", b"check")
        keys.note_counts({"k1": 1}, timedelta(minutes=1))
        keys.note_rewrapping(b"", b"wanted")
        looked = keys.announcements(), keys.checks(), keys.counts(), keys.rewrapping()
        for found in [stored for page_ in keys.scan() for stored in page_]:
            keys.swap(found, found.signed)
        keys.forget_check("k1")
        assert stores.remove(STORE, line)

    assert (used.verdict, len(page), revoked) == ("ok", 1, True)
    assert looked == ({"replica": b"k1"}, {"k1": b"check"}, {"k1": 1}, b"wanted")
