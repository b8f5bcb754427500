"""Two or more replicas, the time that goes by for them and for Redis, and processes that end at a chosen step."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import Any

import fakeredis

from service.adapters.redis_link import RedisLink, home
from service.adapters.redis_node import Node, Wait
from service.adapters.redis_nodes import OneNode
from service.core.clock import to_millis
from service.core.credential import AccessToken, B2BPassword
from service.core.records import (
    ActiveToken,
    StoreRecord,
    TokenStyle,
    active_token,
    decode_record,
)
from service.core.secret import Secret
from service.core.store_document import StoreDocument
from tests.core.altering import store_key, stored
from tests.support.upstream import EMAIL, FakeUpstream
from tests.support.world import INSTANCE, LEASE, OPERATOR, STORE, World, call, fake_node

WRONG = B2BPassword(Secret(EMAIL), Secret("wrong"))
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
MAINTENANCE = "broker:maintenance"


def replica(world: World) -> World:
    """Return another replica of the same installation: its own processes, the same Redis, upstream, clock and mounts."""
    other = World(world.redis, clock=world.clock, upstream=world.upstream)
    other.mounted = world.mounted
    other.provision._mounted = world.mounted
    other.maintenance = other.another_maintenance()
    return other


def elapse(world: World, span: timedelta) -> None:
    """Let time go by, for Redis as well: leases and claims end."""
    world.clock.move(span)
    for key in list(world.redis.scan_iter()):
        left = world.redis.pttl(key)
        if left > 0:
            rest = left - span // timedelta(milliseconds=1)
            world.redis.pexpire(key, rest) if rest > 0 else world.redis.delete(key)


def maintain_after(world: World, span: timedelta = LEASE + SECOND) -> None:
    """Let time go by and maintenance run once."""
    elapse(world, span)
    world.maintenance.run()


def look_if_due(world: World, span: timedelta, store_hash: str = STORE) -> None:
    """Let time go by and maintenance look at one store if that has to be done; nothing else, so that it is fast."""
    elapse(world, span)
    due = world.redis.zscore(home(store_hash).due, store_hash)
    if due is not None and due <= to_millis(world.clock()):
        world.maintenance.look_after(world.keyring(), store_hash)


def maintain_for(world: World, span: timedelta, every: timedelta = 30 * SECOND) -> None:
    """Let maintenance run again and again."""
    for _ in range(span // every):
        maintain_after(world, every)


def record(world: World, store_hash: str = STORE) -> StoreRecord:
    """Return the stored record."""
    line = stored(world, store_key(store_hash))
    return decode_record(world.keyring(), INSTANCE, store_hash, line)


def live_names(world: World, store_hash: str = STORE) -> list[str]:
    """Return the names of a store's tokens that are alive upstream."""
    return [made.name for made in world.upstream.live(store_hash)]


def active_name(world: World, store_hash: str = STORE) -> str:
    """Return the name of a store's active token."""
    token = record(world, store_hash).token
    assert token is not None
    return token.name


def access_token(world: World, letter: str, store_hash: str = STORE) -> AccessToken:
    """Return an access token that the upstream accepts from now on, in the place of any other."""
    world.upstream.access_tokens[store_hash] = letter * 31
    return AccessToken(Secret(letter * 31))


def shown(world: World, store_hash: str = STORE) -> StoreDocument:
    """Return a store's document."""
    return world.stores.get(call(OPERATOR), store_hash)


def kill_token(world: World, store_hash: str = STORE) -> None:
    """Delete a store's active token upstream, as somebody in the control panel would."""
    name = active_name(world, store_hash)
    for made in world.upstream.ledger:
        made.deleted = made.deleted or made.name == name
    if not name:
        world.upstream.access_tokens.pop(store_hash, None)


def met(world: World, store_hash: str = STORE) -> ActiveToken:
    """Return a store's active token as a request is sent with it."""
    line = stored(world, store_key(store_hash))
    return active_token(world.keyring(), INSTANCE, store_hash, line)


class WatchedUpstream(FakeUpstream):
    """An upstream that counts harmless reads, and during which something can happen."""

    def __init__(self) -> None:
        super().__init__()
        self.checks = 0
        self.before_check: Callable[[], object] = lambda: None

    def check(self, store_hash: str, style: TokenStyle, token: Secret) -> None:
        """See ``Upstream.check``."""
        self.checks += 1
        self.before_check()
        super().check(store_hash, style, token)


class Killed(BaseException):
    """The process ends here."""


class Steps:
    """Counts what a process does outside of itself, and ends it before or after one of these steps."""

    def __init__(self, last: int, *, after: bool) -> None:
        self._last = last
        self._after = after
        self.done = 0

    @contextlib.contextmanager
    def step(self) -> Iterator[None]:
        """Go around one step."""
        self.done += 1
        dies = self.done == self._last
        if dies and not self._after:
            raise Killed
        try:
            yield
        finally:
            if dies:
                raise Killed


class DyingNode(OneNode):
    """A Redis whose asking process ends at one of its steps."""

    def __init__(self, node: Node, steps: Steps) -> None:
        super().__init__(node)
        self._steps = steps

    def ask(
        self, keys: Sequence[str], commands: Sequence[bytes], tries: int, wait: Wait | None
    ) -> list[Any]:
        """See ``Nodes.ask``."""
        with self._steps.step():
            return super().ask(keys, commands, tries, wait)


class DyingUpstream(FakeUpstream):
    """An upstream during whose work the asking process ends; it has the ledger of another."""

    def __init__(self, steps: Steps, known: FakeUpstream) -> None:
        super().__init__()
        self.__dict__.update(known.__dict__)
        self._steps = steps

    def issue(self, store_hash: str, email: Secret, password: Secret, name: str) -> Secret:
        """See ``Upstream.issue``."""
        with self._steps.step():
            return super().issue(store_hash, email, password, name)

    def check(self, store_hash: str, style: TokenStyle, token: Secret) -> None:
        """See ``Upstream.check``."""
        with self._steps.step():
            super().check(store_hash, style, token)

    def tokens(self, token: Secret) -> Iterator[tuple[int, str]]:
        """See ``Upstream.tokens``."""
        with self._steps.step():
            listed = list(super().tokens(token))
        yield from listed

    def delete(self, token: Secret, token_id: int) -> None:
        """See ``Upstream.delete``."""
        with self._steps.step():
            super().delete(token, token_id)


def dying(world: World, steps: Steps) -> World:
    """Return a replica that ends at a step."""

    def link(redis: "fakeredis.FakeRedis") -> RedisLink:
        return RedisLink(DyingNode(fake_node(redis), steps))

    upstream = DyingUpstream(steps, world.upstream)
    other = World(world.redis, clock=world.clock, upstream=upstream, link=link)
    other.mounted.credentials = world.mounted.credentials
    return other
