"""Deleting upstream what must not live on: tokens of attempts whose outcome was unknown, and tokens that were retired.

Whatever token of ours still works does the deleting, the newest first. A token that the upstream refuses counts as dead only when a
harmless read with it is refused as well: one refusal may have another reason (upstream.md §2.3).

Only a name that a signed intent proves to be ours, or that the signed record holds as retired, is ever deleted.

Source: DESIGN §5.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from service.core.clock import Clock
from service.core.errors import CredentialRefusedError, StoreNotActiveError, UpstreamRefusedError
from service.core.keyring import Keyring
from service.core.orphans import Intent, delete_named, is_over, read_intent
from service.core.records import StoredToken, StoreRecord, open_token
from service.core.secret import Secret
from service.core.store_ports import StoreTable
from service.core.upstream_ports import Upstream


@dataclass(frozen=True, slots=True)
class Sweep:
    """What deleting by name found.

    Attributes:
        deleted: Names of tokens that are not there any more: deleted just now, or shown to be dead.
        complete: Whether every token of the store was looked at; then a name that was not found is not there.
        unsettled: Whether there are attempts that may still leave a token.
    """

    deleted: frozenset[str]
    complete: bool
    unsettled: bool = False


@dataclass(frozen=True, slots=True)
class Orphan:
    """An abandoned attempt, and what is known of its token.

    Attributes:
        attempt: Its id.
        token_name: The name that its token has, if there is one.
        started_at: When.
        alive: Whether there is such a token upstream; None if that cannot be looked up.
    """

    attempt: str
    token_name: str
    started_at: datetime
    alive: bool | None


@dataclass(frozen=True, slots=True)
class Found:
    """What there is upstream that the broker does not keep.

    Attributes:
        orphans: Abandoned attempts. Their tokens are ours, and can be deleted.
        unproven: Tokens whose names look like ours and that nothing proves to be ours; they are never deleted.
    """

    orphans: tuple[Orphan, ...]
    unproven: tuple[str, ...]


class Cleaner:
    """Deletes tokens of one store at a time."""

    def __init__(
        self,
        table: StoreTable,
        upstream: Upstream,
        instance: str,
        token_prefix: str,
        clock: Clock,
    ) -> None:
        """Take the parts; ``token_prefix`` is in front of the names of our tokens."""
        self._table = table
        self._upstream = upstream
        self._instance = instance
        self._token_prefix = token_prefix
        self._clock = clock

    def clean(self, keyring: Keyring, record: StoreRecord, line: bytes) -> bool:
        """Delete the tokens of earlier attempts and the retired ones of an active store; ``line`` is its stored record.

        Returns:
            Whether nothing is left to be deleted.

        Raises:
            UpstreamError: The upstream did not do it; everything is still written down for the next time.
            StorageError: Redis is away.
        """
        retired = {token.name for token in record.retired}
        kept = {token.name for token in (record.token, record.previous) if token}
        sweep = self._sweep(keyring, record, retired, kept)
        # Where a token that is kept is refused as well, it may be the upstream that is wrong.
        dead = frozenset() if kept & sweep.deleted else sweep.deleted
        left = () if sweep.complete else _without(record.retired, dead)
        written = left == record.retired
        if not written:
            cleaned = replace(record, retired=left)
            written = self._table.replace(
                record.store_hash, line, cleaned.encode(keyring, self._instance)
            )
        return written and not left and not sweep.unsettled

    def clean_all(self, keyring: Keyring, record: StoreRecord) -> None:
        """Delete every token that the broker had made for a store.

        Raises:
            StoreNotActiveError: ``uncertain``: an attempt may have made a token that cannot be found yet, or not at all.
            UpstreamError: The upstream did not do it.
            StorageError: Redis is away.
        """
        own = {token.name for token in record.deletable}
        # The store's own tokens go last: without one of them nothing else could be found any more.
        if self._sweep(keyring, record, set(), own).unsettled:
            raise StoreNotActiveError(
                "A token may still be made or found upstream.", reason="uncertain"
            )
        self._sweep(keyring, record, own, set())

    def find(self, keyring: Keyring, record: StoreRecord) -> Found:
        """Look for tokens that the broker does not keep, and delete nothing.

        Raises:
            UpstreamError: The upstream did not list them.
            StorageError: Redis is away.
        """
        intents = self._abandoned(keyring, record.store_hash)
        listed = self._listed(keyring, record)
        held = {token.name for token in record.deletable}
        orphans = tuple(
            Orphan(
                attempt,
                intent.name,
                intent.started_at,
                alive=None if listed is None else intent.name in listed,
            )
            for attempt, intent in intents.items()
            if intent.name not in held
        )
        known = held | {intent.name for intent in intents.values()}
        ours = f"{self._token_prefix}/{record.store_hash}/"
        unproven = (name for name in listed or () if name.startswith(ours) and name not in known)
        return Found(orphans, tuple(sorted(unproven)))

    def _abandoned(self, keyring: Keyring, store_hash: str) -> Mapping[str, Intent]:
        """Return the intents of attempts that nobody is working on, by attempt."""
        view = self._table.read([store_hash], self._clock())[0]
        if view.attempts and view.lease_left is None:
            # Whoever slept through its lease must not write a token that is about to be deleted.
            self._table.outdate_attempts(store_hash)
            view = self._table.read([store_hash], self._clock())[0]
        # The newest attempt is still under way while somebody holds the lease.
        newest = max((attempt.fence for attempt in view.attempts), default=0)
        return {
            attempt.attempt_id: intent
            for attempt in view.attempts
            if (view.lease_left is None or attempt.fence < newest)
            and (intent := read_intent(keyring, self._instance, store_hash, attempt))
        }

    def _sweep(
        self, keyring: Keyring, record: StoreRecord, unwanted: set[str], kept: set[str]
    ) -> Sweep:
        intents = {
            attempt: intent
            for attempt, intent in self._abandoned(keyring, record.store_hash).items()
            if intent.name not in kept
        }
        unwanted = unwanted | {intent.name for intent in intents.values()}
        if not unwanted:
            return Sweep(frozenset(), complete=True)
        # Before the list is asked for: what is carried out while it is read may not be on it.
        now = self._clock()
        sweep = self._delete(keyring, record, unwanted)
        settled = [
            attempt
            for attempt, intent in intents.items()
            if intent.name in sweep.deleted or (sweep.complete and is_over(intent, now))
        ]
        self._table.forget_attempts(record.store_hash, settled)
        return replace(sweep, unsettled=len(settled) < len(intents))

    def _delete(self, keyring: Keyring, record: StoreRecord, unwanted: set[str]) -> Sweep:
        dead: set[str] = set()
        for token in record.deletable:
            opened = open_token(keyring, self._instance, record.store_hash, token)
            try:
                deleted = delete_named(self._upstream, opened, unwanted, last=token.name)
            except CredentialRefusedError:
                self._require_dead(record.store_hash, opened)
                dead.add(token.name)
            else:
                return Sweep(deleted, complete=True)
        return Sweep(frozenset(dead), complete=False)

    def _listed(self, keyring: Keyring, record: StoreRecord) -> frozenset[str] | None:
        """Return the names of all of the store's tokens; None if no token of ours can list them."""
        for token in record.deletable:
            opened = open_token(keyring, self._instance, record.store_hash, token)
            try:
                return frozenset(name for _id, name in self._upstream.tokens(opened))
            except CredentialRefusedError:
                self._require_dead(record.store_hash, opened)
        return None

    def _require_dead(self, store_hash: str, token: Secret) -> None:
        try:
            self._upstream.check(store_hash, "auth_token", token)
        except CredentialRefusedError:
            return
        raise UpstreamRefusedError(
            "The upstream does not let the token list tokens.", reason="listing_refused"
        )


def _without(tokens: tuple[StoredToken, ...], names: frozenset[str]) -> tuple[StoredToken, ...]:
    return tuple(token for token in tokens if token.name not in names)
