"""Issuing: one token per store, and nothing left behind."""

import pytest

from service.core.errors import CredentialRefusedError, UpstreamTimeoutError
from tests.support.world import CREDENTIAL, OPERATOR, STORE, World, call


def test_registering_a_store_makes_one_token(world: World) -> None:
    """The first PUT exchanges the password, once."""
    document, created = world.stores.put(call(OPERATOR), STORE, CREDENTIAL, retain=False)

    assert (document.status, document.generation, created) == ("active", 1, True)
    assert len(world.upstream.live(STORE)) == 1


def test_an_unknown_outcome_is_uncertain_and_its_token_is_deleted_by_the_next_issue(
    world: World,
) -> None:
    """A timeout after the upstream made the token leaves an orphan that is found by its name."""

    def time_out() -> None:
        raise UpstreamTimeoutError("late", reason="upstream_timeout")

    world.upstream.after_issue = time_out
    with pytest.raises(UpstreamTimeoutError):
        world.active()
    uncertain = world.stores.get(call(OPERATOR), STORE)
    world.upstream.after_issue = lambda: None

    world.active()

    assert (uncertain.status, uncertain.reason) == ("uncertain", "upstream_timeout")
    assert len(world.upstream.ledger) == 2
    assert [made.name for made in world.upstream.live(STORE)] == [world.upstream.ledger[1].name]
    assert world.stores_table.read([STORE], world.clock())[0].attempts == ()


def test_a_refused_password_is_not_sent_twice(world: World) -> None:
    """The same wrong password is refused from memory, a changed one is tried."""
    world.upstream.before_issue = lambda: (_ for _ in ()).throw(
        CredentialRefusedError("no", reason="role_forbidden")
    )
    for _ in range(3):
        with pytest.raises(CredentialRefusedError):
            world.active()

    assert world.upstream.logins == 1
    assert world.stores.get(call(OPERATOR), STORE).status == "rejected"
