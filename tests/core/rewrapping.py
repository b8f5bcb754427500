"""Everything that needs a key, under an old one; and what it says, with whatever ring."""

from dataclasses import asdict, replace

import pytest

from service.adapters.redis_link import home
from service.core.credential import B2BPassword, is_refused, open_password
from service.core.errors import CredentialRefusedError, UpstreamTimeoutError
from service.core.grant import verified_reference
from service.core.keyring import Keyring
from service.core.orphans import Intent, read_intent, sign_intent
from service.core.policy import AccessGrant, MintAsk, Policy
from service.core.records import StoredToken, StoreRecord, decode_record, open_token, seal_token
from service.core.records_by_key import count_by_key
from service.core.rewrapping import Stored
from service.core.secret import Secret
from tests.core.altering import reference_key, store_key, stored
from tests.support.upstream import EMAIL
from tests.support.world import (
    CREDENTIAL,
    INSTANCE,
    MINTER,
    STORE,
    WORKER,
    World,
    call,
    keyring,
)

OLD, BOTH, NEW = keyring("k1"), keyring("k1", "k2", primary="k2"), keyring("k2", primary="k2")
KEEPER = call(
    "corp:ops-anna", Policy((AccessGrant("operators", ("corp:*",), ("*",), ("store.*",)),))
)
REJECTED, GONE = "abc409", "abc404"
WRONG = B2BPassword(Secret(EMAIL), Secret("wrong"))
ATTEMPT = "0123456789abcdef0123456789abcdef"
VALUES = 5
"""How many values need a key: two stores, an intent of one of them, an intent of one that is gone, and a reference."""


class Full:
    """A world in which everything that can need a key is there, under the old one; the new one is primary now."""

    def __init__(self, world: World) -> None:
        self.world = world
        world.ring = OLD
        world.stores.put(KEEPER, STORE, CREDENTIAL, retain=True)
        world.stores.rotate(KEEPER, STORE, None)
        world.upstream.after_issue = _lose_the_answer
        with pytest.raises(UpstreamTimeoutError):
            world.stores.rotate(KEEPER, STORE, None)
        world.upstream.after_issue = lambda: None
        _retire_a_token(world)
        with pytest.raises(CredentialRefusedError):
            world.stores.put(KEEPER, REJECTED, WRONG, retain=False)
        intent = sign_intent(OLD, INSTANCE, GONE, ATTEMPT, Intent("a name", world.clock()))
        world.redis.hset(home(GONE).key("intents", GONE), ATTEMPT, b"1 " + intent)
        ask = MintAsk(access="redeem", audience=WORKER, max_uses=3)
        self.reference = world.minter.mint(call(MINTER), STORE, ask)
        world.ring = BOTH

    def said(self, ring: Keyring) -> dict[str, object]:
        """Return everything that is stored, verified and opened with a ring."""
        line = stored(self.world, store_key(STORE))
        record = decode_record(ring, INSTANCE, STORE, line)
        rejected = stored(self.world, store_key(REJECTED))
        (refusal,) = decode_record(ring, INSTANCE, REJECTED, rejected).refusals
        kept = stored(self.world, reference_key(self.reference.accessor))
        assert record.credential is not None
        return {
            "tokens": [_opened(ring, token) for token in _tokens(record)],
            "password": open_password(ring, INSTANCE, STORE, record.credential).password.reveal(),
            "status": (record.status, record.generation, record.reason),
            "refused": is_refused(ring, INSTANCE, REJECTED, refusal, WRONG),
            "reference": asdict(
                verified_reference(ring, INSTANCE, self.reference.accessor, kept).grant
            ),
            "intents": [
                read_intent(ring, INSTANCE, name, attempt)
                for name in (STORE, GONE)
                for attempt in self.world.stores_table.read([name], self.world.clock())[0].attempts
            ],
        }

    def needed(self) -> dict[str, int]:
        """Return how many values need each key."""
        return dict(count_by_key(self.world.key_table).by_key)

    def ask(self) -> None:
        """Ask for everything to be sealed again, by a replica that says with what it seals."""
        self.announce(self.world.keyring())
        self.world.keys.rewrap(KEEPER)

    def announce(self, ring: Keyring, replica: str = "replica-a") -> None:
        """Have a replica say that it seals with the primary key of a ring."""
        self.world.another_agreement(replica).admit(ring, ring)


def everything(world: World) -> list[Stored]:
    """Return all that is stored under keys."""
    return [found for page in world.key_table.scan() for found in page]


def _retire_a_token(world: World) -> None:
    """Have a token that is still to be deleted upstream, as after an outage."""
    record = decode_record(OLD, INSTANCE, STORE, stored(world, store_key(STORE)))
    sealed = seal_token(OLD, INSTANCE, STORE, 9, Secret("a retired token"))
    token = StoredToken("auth_token", 9, "a name", sealed, world.clock())
    line = replace(record, retired=(token,)).encode(OLD, INSTANCE)
    world.redis.set(store_key(STORE), line)


def _lose_the_answer() -> None:
    raise UpstreamTimeoutError("lost", reason="timeout")


def _tokens(record: StoreRecord) -> list[StoredToken]:
    return [token for token in (record.token, record.previous, *record.retired) if token]


def _opened(ring: Keyring, token: StoredToken) -> tuple[int, str, str]:
    secret = open_token(ring, INSTANCE, STORE, token)
    return token.generation, token.name, secret.reveal()
