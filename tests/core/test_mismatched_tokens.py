"""A server error where a rejection would be expected: perhaps the token is another store's, perhaps a part of the upstream is down."""

import pytest

from service.core.errors import CredentialRefusedError, TokenRejectedError
from service.core.records import TokenStyle
from service.core.repair import CHECK_EVERY, SUSPECTED_FOR
from service.core.secret import Secret
from service.core.upstream_answers import MISMATCHED
from tests.core.replicas import SECOND, WatchedUpstream, access_token, elapse, met, record, shown
from tests.support.world import OPERATOR, STORE, WORKER, World, call


class Mismatching(WatchedUpstream):
    """An upstream that fails with access tokens while it is told to."""

    failing = False

    def check(self, store_hash: str, style: TokenStyle, token: Secret) -> None:
        """See ``Upstream.check``."""
        super().check(store_hash, style, token)
        if self.failing:
            raise CredentialRefusedError("refused", reason=MISMATCHED)


@pytest.fixture
def upstream() -> Mismatching:
    """An upstream that works."""
    return Mismatching()


@pytest.fixture
def world(upstream: Mismatching) -> World:
    """A store with an imported token, and nothing to fall back to."""
    made = World(upstream=upstream)
    made.stores.put(call(OPERATOR), STORE, access_token(made, "a"), retain=False)
    upstream.failing = True
    return made


def test_one_check_condemns_no_token(world: World, upstream: Mismatching) -> None:
    """An outage of a part of the upstream would else close all stores at once."""
    assert world.repair.look_into(call(WORKER), STORE, met(world)) is None
    elapse(world, CHECK_EVERY + SECOND)
    upstream.failing = False

    assert world.repair.look_into(call(WORKER), STORE, met(world)) is None
    assert shown(world).status == "active"


def test_a_second_check_that_comes_to_the_same_does(world: World) -> None:
    """A minute later, as the upstream documents it for a pair that does not match."""
    world.repair.look_into(call(WORKER), STORE, met(world))
    elapse(world, CHECK_EVERY + SECOND)

    with pytest.raises(TokenRejectedError):
        world.repair.look_into(call(WORKER), STORE, met(world))

    assert (shown(world).status, shown(world).reason) == ("needs_credential", "token_rejected")


def test_a_suspicion_is_forgotten_after_a_while(world: World) -> None:
    """Two outages with hours between are no proof."""
    world.repair.look_into(call(WORKER), STORE, met(world))
    elapse(world, SUSPECTED_FOR + SECOND)

    assert world.repair.look_into(call(WORKER), STORE, met(world)) is None


def test_a_token_that_only_seems_to_mismatch_can_be_given_again(
    world: World, upstream: Mismatching
) -> None:
    """It is refused for now, and not remembered as refused."""
    given = access_token(world, "b")
    with pytest.raises(CredentialRefusedError) as refused:
        world.stores.put(call(OPERATOR), STORE, given, retain=False)
    upstream.failing = False

    document, _ = world.stores.put(call(OPERATOR), STORE, given, retain=False)

    assert refused.value.reason == MISMATCHED
    assert record(world).refusals == ()
    assert (document.status, document.generation) == ("active", 2)
