"""What is stored under a key of the ring: which keys it needs, and the same under the primary key only.

Three kinds of stored values need keys; nothing else in Redis does:

* a store's record: signed, with sealed tokens, a sealed password and the fingerprints of refused credentials in it;
* a reference: its signed grant, behind four fields that change with every use and are Redis's own word;
* an intent: signed.

Source: DESIGN §10.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, assert_never, get_args

from service.core.credential import seal_mac_key
from service.core.grant import signed_part
from service.core.keyring import Keyring
from service.core.records import StoredToken, StoreRecord, decode_record, unverified_record
from service.core.sealing import Context, open_sealed, seal, sealed_with
from service.core.signed import Place, sign, signed_with, verify

Kind = Literal["store", "reference", "intent"]
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True, slots=True)
class Stored:
    """One stored value.

    Attributes:
        kind: What it is.
        name: The store's hash, or the accessor.
        attempt_id: For an intent, of which attempt.
        value: As it is stored; of an intent the signed part.
    """

    kind: Kind
    name: str
    attempt_id: str
    value: bytes

    @property
    def signed(self) -> bytes:
        """The part that keys have to do with.

        Raises:
            IntegrityError: ``malformed``.
        """
        return signed_part(self.value) if self.kind == "reference" else self.value


def needed_keys(stored: Stored) -> frozenset[str]:
    """Return the ids of the keys that a stored value says it needs; nothing of it is verified.

    Raises:
        IntegrityError: ``malformed``.
    """
    if stored.kind != "store":
        return frozenset({signed_with(stored.signed)})
    signed, record = unverified_record(stored.value)
    return frozenset({signed_with(signed), *_of_content(record)})


def rewrapped(keyring: Keyring, instance: str, stored: Stored) -> bytes:
    """Return what says the same as the value's ``signed`` part, and needs the primary key only.

    Raises:
        IntegrityError: It is not what was stored there, or a key that it needs is not in the ring.
    """
    match stored.kind:
        case "store":
            return _store(keyring, instance, stored)
        case "reference":
            place = Place(instance, "grant", stored.name)
        case "intent":
            place = Place(instance, "store", f"{stored.name}/{stored.attempt_id}")
        case _:
            assert_never(stored.kind)
    return sign(keyring, place, verify(keyring, place, stored.signed))


def _store(keyring: Keyring, instance: str, stored: Stored) -> bytes:
    name = stored.name
    record = decode_record(keyring, instance, name, stored.value)

    def again(sealed: bytes, context: Context) -> bytes:
        return seal(keyring, open_sealed(keyring, sealed, context), context)

    def token(kept: StoredToken) -> StoredToken:
        context = Context(instance, "token", name, kept.generation)
        return replace(kept, sealed=again(kept.sealed, context))

    password = record.credential
    return replace(
        record,
        token=token(record.token) if record.token else None,
        previous=token(record.previous) if record.previous else None,
        retired=tuple(map(token, record.retired)),
        credential=again(password, Context(instance, "credential", name, 0)) if password else None,
        refusals=tuple(seal_mac_key(keyring, instance, name, r) for r in record.refusals),
    ).encode(keyring, instance)


def _of_content(record: StoreRecord) -> Iterator[str]:
    for token in (record.token, record.previous, *record.retired):
        if token is not None:
            yield sealed_with(token.sealed)
    if record.credential is not None:
        yield sealed_with(record.credential)
    for refusal in record.refusals:
        yield refusal.key_id if refusal.mac_key is None else sealed_with(refusal.mac_key)
