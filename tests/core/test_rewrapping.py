"""Which keys a stored value needs: all that any part of it was sealed or signed with, and after sealing it again one."""

from dataclasses import replace

import pytest

from service.core.credential import refusal, seal_mac_key, seal_password
from service.core.errors import IntegrityError
from service.core.keyring import Keyring
from service.core.records import StoredToken, StoreRecord, decode_record, seal_token
from service.core.rewrapping import Stored, needed_keys, rewrapped
from service.core.secret import Secret
from tests.core.rewrapping import BOTH, NEW, OLD
from tests.support.clock import START
from tests.support.world import CREDENTIAL, INSTANCE, STORE

EMPTY = StoreRecord(STORE, START, generation=3)


def _token(ring: Keyring, generation: int) -> StoredToken:
    sealed = seal_token(ring, INSTANCE, STORE, generation, Secret("a token"))
    return StoredToken("auth_token", generation, "a name", sealed, START)


def _note(ring: Keyring) -> StoreRecord:
    return replace(EMPTY, refusals=(refusal(ring, STORE, CREDENTIAL, "refused"),))


#: part → a record in which only that part needs the old key
PARTS = {
    "token": replace(EMPTY, status="active", token=_token(OLD, 3)),
    "previous": replace(EMPTY, token=_token(NEW, 3), previous=_token(OLD, 2)),
    "retired": replace(EMPTY, token=_token(NEW, 3), retired=(_token(NEW, 2), _token(OLD, 1))),
    "password": replace(EMPTY, credential=seal_password(OLD, INSTANCE, STORE, CREDENTIAL)),
    "refusal": _note(OLD),
    "carried refusal": replace(
        EMPTY,
        refusals=(seal_mac_key(BOTH.sealing_with("k1"), INSTANCE, STORE, _note(NEW).refusals[0]),),
    ),
}


@pytest.mark.parametrize("part", PARTS)
def test_a_record_needs_every_key_that_a_part_of_it_needs(part: str) -> None:
    """Signed under the new key, and that one part left under the old; afterwards it says the same."""
    stored = Stored("store", STORE, "", PARTS[part].encode(NEW, INSTANCE))

    again = rewrapped(BOTH, INSTANCE, stored)

    assert needed_keys(stored) == {"k1", "k2"}
    assert needed_keys(replace(stored, value=again)) == {"k2"}
    record = decode_record(NEW, INSTANCE, STORE, again)
    assert _without_secrets(record) == _without_secrets(PARTS[part])
    with pytest.raises(IntegrityError):
        rewrapped(NEW, INSTANCE, stored)


def test_a_signature_needs_its_key() -> None:
    """Whatever is in it."""
    assert needed_keys(Stored("store", STORE, "", EMPTY.encode(OLD, INSTANCE))) == {"k1"}


@pytest.mark.parametrize("kind", ["store", "reference", "intent"])
@pytest.mark.parametrize("value", [b"", b"junk", b"k1 mac", b"\xff \xff \xff"])
def test_a_value_that_is_not_readable_says_no_key(kind: str, value: bytes) -> None:
    """It is counted apart."""
    with pytest.raises(IntegrityError) as refused:
        needed_keys(Stored(kind, STORE, "attempt", value))  # type: ignore[arg-type]  # one of the kinds

    assert refused.value.reason == "malformed"


def _without_secrets(record: StoreRecord) -> StoreRecord:
    def bare(token: StoredToken | None) -> StoredToken | None:
        return replace(token, sealed=b"") if token else None

    return replace(
        record,
        token=bare(record.token),
        previous=bare(record.previous),
        retired=tuple(replace(token, sealed=b"") for token in record.retired),
        credential=b"" if record.credential else None,
        refusals=tuple(replace(note, mac_key=None) for note in record.refusals),
    )
