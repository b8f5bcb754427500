"""Tokens that the broker made and nobody keeps: found by their name, and deleted.

Only a name that a signed intent of this installation proves to be ours is ever deleted, and never that of a token that the record
still holds. An intent is forgotten when its token was deleted, or when enough time has gone by for the upstream to have finished
whatever it was doing and there is still no such token (upstream.md §1.1: a request that timed out may succeed later).

Source: DESIGN §5.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from service.core.clock import from_millis, to_millis
from service.core.errors import IntegrityError
from service.core.keyring import Keyring
from service.core.secret import Secret
from service.core.signed import Place, sign, verify
from service.core.store_ports import Attempt
from service.core.upstream_ports import Upstream

LATE_EFFECT = timedelta(minutes=10)
"""How long after an attempt the upstream may still carry it out."""


@dataclass(frozen=True, slots=True)
class Intent:
    """What was written down before the upstream was asked for a token.

    Attributes:
        name: The name that the token would have.
        started_at: When.
    """

    name: str
    started_at: datetime


def sign_intent(
    keyring: Keyring, instance: str, store_hash: str, attempt_id: str, intent: Intent
) -> bytes:
    """Return the stored form of an intent."""
    body = json.dumps({"name": intent.name, "started_at": to_millis(intent.started_at)})
    return sign(keyring, _place(instance, store_hash, attempt_id), body.encode("ascii"))


def read_intent(
    keyring: Keyring, instance: str, store_hash: str, attempt: Attempt
) -> Intent | None:
    """Return the intent of an attempt, or None if it does not prove anything."""
    try:
        body = verify(keyring, _place(instance, store_hash, attempt.attempt_id), attempt.intent)
    except IntegrityError:
        return None
    fields = json.loads(body)
    return Intent(fields["name"], from_millis(fields["started_at"]))


def delete_named(
    upstream: Upstream, token: Secret, names: Iterable[str], *, last: str = ""
) -> frozenset[str]:
    """Delete the tokens that bear these names, using ``token``, and return the names that were found.

    Args:
        upstream: Where they are.
        token: Any token of the store.
        names: Which to delete.
        last: The name of ``token`` itself, which cannot delete any more once it is deleted.

    Raises:
        UpstreamError: The upstream did not do it; asking again is safe.
        CredentialRefusedError: The upstream does not accept ``token``.
    """
    wanted = frozenset(names)
    found = [(token_id, name) for token_id, name in upstream.tokens(token) if name in wanted]
    found.sort(key=lambda row: row[1] == last)
    for token_id, _name in found:
        upstream.delete(token, token_id)
    return frozenset(name for _id, name in found)


def is_over(intent: Intent, now: datetime) -> bool:
    """Tell whether the upstream can no longer carry the attempt out."""
    return now - intent.started_at > LATE_EFFECT


def _place(instance: str, store_hash: str, attempt_id: str) -> Place:
    return Place(instance, "store", f"{store_hash}/{attempt_id}")
