"""Key checks: a sealed value in storage for each key in use, by which a keyring is known to be this installation's."""

from collections.abc import Iterable, Mapping

from service.core.errors import IntegrityError
from service.core.keyring import KEY_ID, Keyring, KeyringError
from service.core.sealing import Context, open_sealed, seal

_CHECK = b"b2b-broker key check"


def new_check(ring: Keyring, key_id: str, instance: str) -> bytes:
    """Return a fresh check of one of a ring's keys."""
    return seal(ring.only(key_id), _CHECK, _context(instance))


def require_opens(ring: Keyring, key_id: str, check: bytes, instance: str) -> None:
    """See to it that a key opens the check under its id.

    Raises:
        KeyringError: It is another key of the same name, or another installation's check.
    """
    try:
        open_sealed(ring.only(key_id), check, _context(instance))
    except IntegrityError as error:
        raise KeyringError(
            f"{key_id} does not open its key check ({error.reason}): it is not the key of this id that is in use here"
        ) from None


def require_ours(ring: Keyring, checks: Mapping[str, bytes], instance: str) -> None:
    """See to it that a ring is the one that is in use here; keys of which nothing is known yet may be in it.

    Args:
        ring: What the operator's files say.
        checks: The check of each key in use; none at the very first start.
        instance: Which installation it is.

    Raises:
        KeyringError: It is another one.
    """
    if checks and not checks.keys() & set(ring.key_ids):
        raise KeyringError(
            f"it has none of the keys that are in use ({listed(checks)}): this is another installation's keyring"
        )
    for key_id in ring.key_ids:
        check = checks.get(key_id)
        if check is not None:
            require_opens(ring, key_id, check, instance)


def listed(key_ids: Iterable[str]) -> str:
    """Return keys as people read them; whoever writes Redis may have put any name there."""
    return ", ".join(
        sorted({key_id if KEY_ID.fullmatch(key_id) else "an unreadable name" for key_id in key_ids})
    )


def _context(instance: str) -> Context:
    # The key's id is a part of every context.
    return Context(instance, "keycheck", "", 0)
