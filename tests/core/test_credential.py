"""Credentials: recognised by their fingerprint, never recovered from it."""

import json

import pytest

from service.core.credential import (
    AccessToken,
    B2BPassword,
    Credential,
    fingerprint,
    refusal,
    seal_password,
)
from service.core.errors import IntegrityError
from service.core.sealing import Context, open_sealed
from service.core.secret import Secret
from tests.support.upstream import EMAIL, PASSWORD
from tests.support.world import CREDENTIAL, INSTANCE, STORE, keyring

IMPORTED = AccessToken(Secret("a" * 31))


@pytest.mark.parametrize(
    ("credential", "frozen"),
    [
        (CREDENTIAL, "4825553cb94d1382e272b0fec8031dec610981d10c441cd14149507ce1352ea1"),
        (IMPORTED, "28058f90e547d19eb4b51f0b9a58c57756c5645cba4f24785cd37fcb24eddde2"),
    ],
)
def test_the_fingerprint_of_a_credential_is_frozen(credential: Credential, frozen: str) -> None:
    """A password that was refused before an update is still recognised after it."""
    assert fingerprint(keyring(), "k1", STORE, credential) == frozen


@pytest.mark.parametrize(
    ("store_hash", "credential"),
    [
        ("abc124", CREDENTIAL),
        (STORE, B2BPassword(Secret(EMAIL), Secret(PASSWORD + " "))),
        (STORE, B2BPassword(Secret(EMAIL + '", "'), Secret(PASSWORD))),
        (STORE, B2BPassword(Secret(PASSWORD), Secret(EMAIL))),
        (STORE, AccessToken(Secret(PASSWORD))),
    ],
)
def test_another_credential_or_store_has_another_fingerprint(
    store_hash: str, credential: Credential
) -> None:
    """Parts cannot run together, and the same password of two stores cannot be told to be the same."""
    assert fingerprint(keyring(), "k1", store_hash, credential) != (
        fingerprint(keyring(), "k1", STORE, CREDENTIAL)
    )


def test_the_fingerprint_depends_on_the_key() -> None:
    """Without the keyring no guess can be checked."""
    ring = keyring("k1", "k2")

    assert fingerprint(ring, "k1", STORE, CREDENTIAL) != fingerprint(ring, "k2", STORE, CREDENTIAL)


def test_a_fingerprint_under_a_missing_key_cannot_be_made() -> None:
    """It is an integrity error like every other missing key."""
    with pytest.raises(IntegrityError):
        fingerprint(keyring(), "k9", STORE, CREDENTIAL)


def test_a_refusal_names_the_primary_key_and_no_part_of_the_credential() -> None:
    """It is stored, so it must give nothing away."""
    note = refusal(keyring(), STORE, CREDENTIAL, "role_forbidden")

    assert (note.key_id, note.reason) == ("k1", "role_forbidden")
    assert PASSWORD not in repr(note)
    assert EMAIL not in repr(note)


def test_a_retained_password_is_sealed_for_its_store() -> None:
    """It outlives generations, so it belongs to generation 0."""
    sealed = seal_password(keyring(), INSTANCE, STORE, CREDENTIAL)

    opened = open_sealed(keyring(), sealed, Context(INSTANCE, "credential", STORE, 0))

    assert json.loads(opened) == [EMAIL, PASSWORD]
    assert PASSWORD.encode() not in sealed


def test_credentials_do_not_show_their_secrets() -> None:
    """Not in a traceback with locals either."""
    assert PASSWORD not in repr(CREDENTIAL)
    assert "aaa" not in repr(IMPORTED)
