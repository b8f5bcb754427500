"""Whatever is minted, used, revoked and waited for, in any order: a model knows which uses must work, and no others do."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from service.core.errors import ForbiddenError, ReferenceInvalidError
from service.core.minting import MintedReference
from service.core.policy import Access, MintAsk
from service.core.uses import Use
from tests.support.world import MINTER, OPERATOR, WORKER, World, call

STORES = ("abc123", "abc456")
IDENTITIES = st.sampled_from([MINTER, WORKER, OPERATOR])


@dataclass
class Modelled:
    """What the model knows of a reference."""

    minted: MintedReference
    store_hash: str
    audience: str
    access: Access
    left: int | None
    expires_at: datetime
    revoked: bool = False

    def is_live(self, now: datetime) -> bool:
        """Tell whether its audience could use it."""
        return not self.revoked and now < self.expires_at and self.left != 0


class ReferenceMachine(RuleBasedStateMachine):
    """The use cases against the model."""

    references = Bundle("references")

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.model: list[Modelled] = []

    @initialize()
    def put_stores(self) -> None:
        """Have two stores."""
        for store_hash in STORES:
            self.world.active(store_hash)

    @rule(
        target=references,
        store_hash=st.sampled_from(STORES),
        audience=st.sampled_from([MINTER, WORKER]),
        access=st.sampled_from(["proxy", "redeem"]),
        max_uses=st.none() | st.integers(1, 3),
        seconds=st.integers(1, 900),
    )
    def mint(self, **asked: Any) -> Modelled:
        """Mint a reference; open asks get the defaults."""
        store_hash, seconds = asked.pop("store_hash"), asked.pop("seconds")
        ask = MintAsk(ttl=timedelta(seconds=seconds), **asked)
        minted = self.world.minter.mint(call(MINTER), store_hash, ask)
        left = 1 if ask.access == "redeem" and ask.max_uses is None else ask.max_uses
        expires_at = self.world.clock() + timedelta(seconds=seconds)
        known = Modelled(minted, store_hash, asked["audience"], ask.access, left, expires_at)
        self.model.append(known)
        return known

    @rule(known=references, times=st.integers(1, 4))
    def use_as_meant(self, known: Modelled, times: int) -> None:
        """Use a reference as its audience would, perhaps more often than it is good for."""
        for _ in range(times):
            self.use(known, known.audience, known.access)

    @rule(known=references, identity=IDENTITIES, access=st.sampled_from(["proxy", "redeem"]))
    def use(self, known: Modelled, identity: str, access: Access) -> None:
        """Use a reference, perhaps as somebody else or for something else."""
        works = (
            known.is_live(self.world.clock())
            and (identity, access) == (known.audience, known.access)
            and (access == "proxy" or identity == WORKER)
        )

        def use() -> Use:
            return self.world.uses.take(
                call(identity), known.minted.reference, access, lambda _grant: True
            )

        if not works:
            with pytest.raises((ReferenceInvalidError, ForbiddenError)):
                use()
            return
        used = use()
        assert used.grant.store_hash == known.store_hash
        assert used.token.secret.reveal() == self.world.upstream.live(known.store_hash)[0].value
        if known.left is not None:
            known.left -= 1

    @rule(known=references, identity=st.sampled_from([MINTER, OPERATOR]))
    def revoke_one(self, known: Modelled, identity: str) -> None:
        """Revoke one; it tells whether there was something to revoke."""
        live = known.is_live(self.world.clock())

        assert self.world.references.revoke(call(identity), known.minted.accessor) == live
        known.revoked = known.revoked or live

    @rule(store_hash=st.sampled_from(STORES))
    def revoke_store(self, store_hash: str) -> None:
        """Revoke everything of a store."""
        self.world.references.revoke_store(call(OPERATOR), store_hash)
        for known in self.model:
            known.revoked = known.revoked or known.store_hash == store_hash

    @rule(identity=IDENTITIES)
    def revoke_caller(self, identity: str) -> None:
        """Revoke everything minted by or for a caller."""
        self.world.references.revoke_caller(call(OPERATOR), identity)
        for known in self.model:
            known.revoked = known.revoked or identity in (MINTER, known.audience)

    @rule()
    def revoke_all(self) -> None:
        """Revoke everything."""
        self.world.references.revoke_all(call(OPERATOR))
        for known in self.model:
            known.revoked = True

    @rule(seconds=st.integers(1, 400))
    def wait(self, seconds: int) -> None:
        """Let time go by."""
        self.world.clock.move(timedelta(seconds=seconds))

    @rule(store_hash=st.sampled_from(STORES))
    def put_again(self, store_hash: str) -> None:
        """Remove a store and put it again; its references end."""
        self.world.stores.remove(call(OPERATOR), store_hash)
        self.world.active(store_hash)
        for known in self.model:
            known.revoked = known.revoked or known.store_hash == store_hash

    @rule()
    def look(self) -> None:
        """Look at everything."""
        self.check_what_is_shown()

    def teardown(self) -> None:
        """Look at everything once more."""
        self.check_what_is_shown()

    def check_what_is_shown(self) -> None:
        """See that introspection and pages show each live reference with its uses, and no other."""
        now = self.world.clock()
        live = {
            known.minted.accessor.text: known.left for known in self.model if known.is_live(now)
        }

        introspected = {
            found.accessor.text: found.uses_left
            for known in self.model
            if (found := self.world.references.introspect(call(MINTER), known.minted.reference))
        }
        listed = {
            found.accessor.text: found.uses_left
            for store_hash in STORES
            for found in self.world.references.page(call(OPERATOR), store_hash, "", 200)[0]
        }

        assert introspected == live
        assert listed == live

    @invariant()
    def each_store_has_one_live_token(self) -> None:
        """Removing and putting leaves nothing behind."""
        if self.world.upstream.ledger:
            assert [len(self.world.upstream.live(store_hash)) for store_hash in STORES] == [1, 1]


ReferenceMachine.TestCase.settings = settings(
    max_examples=40, stateful_step_count=25, deadline=None
)
TestReferences = ReferenceMachine.TestCase
