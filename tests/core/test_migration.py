"""Moving from ``authToken`` to ``X-Auth-Token``: one command, nothing downstream changes, and the old token goes in the end."""

import pytest

from service.core.credential import AccessToken
from service.core.errors import (
    CredentialRefusedError,
    StorageError,
    UpstreamAnswerError,
    UpstreamTimeoutError,
)
from service.core.policy import MintAsk
from service.core.secret import Secret
from service.core.store_document import StoreDocument
from tests.core.replicas import (
    SECOND,
    WatchedUpstream,
    access_token,
    live_names,
    look_if_due,
    maintain_after,
    record,
    replica,
    shown,
)
from tests.support.world import LEASE, MINTER, OPERATOR, PREVIOUS, STORE, WORKER, World, call


@pytest.fixture
def upstream() -> WatchedUpstream:
    """An upstream that counts."""
    return WatchedUpstream()


@pytest.fixture
def world(upstream: WatchedUpstream) -> World:
    """A store with a token of the deprecated style."""
    return World(upstream=upstream).active()


def migrate(world: World, letter: str = "a") -> StoreDocument:
    """Give the store an access token."""
    credential = access_token(world, letter)
    return world.stores.put(call(OPERATOR), STORE, credential, retain=False)[0]


def test_a_store_moves_after_one_harmless_read(world: World, upstream: WatchedUpstream) -> None:
    """The new token is the active one, the old one is kept for the way back."""
    document = migrate(world)

    assert (document.token_style, document.deprecated) == ("x_auth_token", False)
    assert document.previous is not None
    assert (document.previous.token_style, document.previous.generation) == ("auth_token", 1)
    assert upstream.checks == 1
    assert world.upstream.logins == 1


def test_references_of_before_go_on_with_the_other_headers(world: World) -> None:
    """Nobody downstream has to change anything, there and back."""
    minted = world.minter.mint(call(MINTER), STORE, MintAsk(audience=WORKER))

    def headers() -> dict[str, str]:
        used = world.uses.take(call(WORKER), minted.reference, "proxy", lambda _grant: True)
        return {name: secret.reveal() for name, secret in used.headers.items()}

    before = headers()
    migrate(world)
    moved = headers()
    world.stores.roll_back(call(OPERATOR), STORE)

    assert moved == {"X-Auth-Token": "a" * 31, "X-Store-Hash": STORE}
    assert headers() == before == {"authToken": world.upstream.ledger[0].value}


def test_the_old_token_is_deleted_upstream_when_the_way_back_ends(world: World) -> None:
    """It deletes itself, since the other style can delete nothing."""
    migrate(world)
    look_if_due(world, PREVIOUS - SECOND)
    before = len(live_names(world))

    look_if_due(world, SECOND)
    look_if_due(world, PREVIOUS)

    assert before == 1
    assert live_names(world) == []
    assert (shown(world).previous, record(world).retired) == (None, ())


def test_the_deletion_of_the_old_token_is_tried_until_it_is_done(world: World) -> None:
    """The upstream was away when its time came."""
    migrate(world)
    look_if_due(world, LEASE + SECOND)
    world.upstream.failure = UpstreamTimeoutError("late", reason="upstream_timeout")
    look_if_due(world, PREVIOUS)
    kept = [token.generation for token in record(world).retired]
    world.upstream.failure = None

    look_if_due(world, PREVIOUS)

    assert kept == [1]
    assert live_names(world) == []


@pytest.mark.parametrize(
    "error",
    [
        CredentialRefusedError("no", reason="token_rejected"),
        UpstreamAnswerError("odd", reason="upstream_answer_unusable"),
        UpstreamTimeoutError("late", reason="upstream_timeout"),
    ],
)
def test_a_token_that_is_not_shown_to_work_moves_nothing(
    world: World, upstream: WatchedUpstream, error: Exception
) -> None:
    """The old one goes on as if nothing had been; no attempt is left, because nothing was made."""

    def fail() -> None:
        raise error

    before = record(world).token
    upstream.before_check = fail
    with pytest.raises(type(error)):
        migrate(world)

    document = shown(world)
    assert (document.status, document.token_style, document.attempts) == (
        "active",
        "auth_token",
        (),
    )
    assert record(world).token == before


def test_an_access_token_is_remembered_as_refused_only_if_it_was(
    world: World, upstream: WatchedUpstream
) -> None:
    """After an outage the same one may be given again."""
    upstream.failure = UpstreamTimeoutError("late", reason="upstream_timeout")
    with pytest.raises(UpstreamTimeoutError):
        migrate(world)
    upstream.failure = None
    moved = migrate(world).token_style

    bad = AccessToken(Secret("z" * 31))
    for _ in range(2):
        with pytest.raises(CredentialRefusedError):
            world.stores.put(call(OPERATOR), STORE, bad, retain=False)

    assert moved == "x_auth_token"
    assert upstream.checks == 3


def test_a_store_can_begin_with_an_access_token(world: World) -> None:
    """There is nothing before it, and nothing deprecated about it."""
    credential = access_token(world, "b", "abc456")
    document, created = world.stores.put(call(OPERATOR), "abc456", credential, retain=True)

    assert created
    assert (document.previous, document.retained, document.deprecated) == (None, False, False)


def test_moving_twice_is_moving_once(world: World) -> None:
    """The same token changes nothing."""
    migrate(world)

    assert migrate(world).generation == 2


def test_what_is_deprecated_is_counted_and_listed(world: World) -> None:
    """So that somebody can see when all have moved."""
    world.active("abc456")
    world.maintenance.run()
    before = dict(world.observer.stores)
    migrate(world)
    maintain_after(world)

    listed = {
        deprecated: [
            document.store_hash
            for document in world.stores.page(call(OPERATOR), "", 9, deprecated=deprecated)[0]
        ]
        for deprecated in (True, False, None)
    }

    assert before == {("active", "auth_token"): 2}
    assert world.observer.stores == {("active", "auth_token"): 1, ("active", "x_auth_token"): 1}
    assert listed == {True: ["abc456"], False: [STORE], None: [STORE, "abc456"]}


def test_a_page_of_deprecated_stores_is_full_and_its_cursor_is_among_them(world: World) -> None:
    """However many others lie between."""
    names = [f"st{number:03}" for number in range(12)]
    for number, name in enumerate(names):
        if number % 3:
            credential = access_token(world, "c", name)
            world.stores.put(call(OPERATOR), name, credential, retain=False)
        else:
            world.active(name)

    first, cursor = world.stores.page(call(OPERATOR), "b", 2, deprecated=True)
    second, end = world.stores.page(call(OPERATOR), cursor or "", 2, deprecated=True)

    assert [document.store_hash for document in first] == ["st000", "st003"]
    assert cursor == "st003"
    assert [document.store_hash for document in second] == ["st006", "st009"]
    assert end is None


def test_a_move_that_redis_did_not_write_down_is_made_again(world: World) -> None:
    """Nothing was made upstream, so there is nothing to find."""
    other = replica(world)

    def away(*_: object, **__: object) -> bool:
        raise StorageError("away", reason="redis_away")

    other.stores_table.settle = away  # type: ignore[method-assign]  # Redis goes away in the middle
    with pytest.raises(StorageError):
        migrate(other)
    look_if_due(world, LEASE + SECOND)

    assert shown(world).attempts == ()
    assert migrate(world).token_style == "x_auth_token"


def test_removing_a_store_that_has_moved_deletes_the_old_token(world: World) -> None:
    """The imported one is the operator's."""
    migrate(world)

    world.stores.remove(call(OPERATOR), STORE)

    assert live_names(world) == []
    assert world.upstream.access_tokens == {STORE: "a" * 31}
