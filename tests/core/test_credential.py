"""Credentials: recognised by their fingerprint, never recovered from it."""

import json

import pytest

from service.core.credential import (
    AccessToken,
    B2BPassword,
    Credential,
    fingerprint,
    is_refused,
    refusal,
    seal_mac_key,
    seal_password,
)
from service.core.errors import IntegrityError
from service.core.sealing import Context, open_sealed
from service.core.secret import Secret
from tests.support.upstream import EMAIL, PASSWORD
from tests.support.world import CREDENTIAL, INSTANCE, STORE, keyring

IMPORTED = AccessToken(Secret("a" * 31))
FINGERPRINTS = keyring().primary.mac_key("fingerprint")


@pytest.mark.parametrize(
    ("credential", "frozen"),
    [
        (CREDENTIAL, "4825553cb94d1382e272b0fec8031dec610981d10c441cd14149507ce1352ea1"),
        (IMPORTED, "28058f90e547d19eb4b51f0b9a58c57756c5645cba4f24785cd37fcb24eddde2"),
    ],
)
def test_the_fingerprint_of_a_credential_is_frozen(credential: Credential, frozen: str) -> None:
    """A password that was refused before an update is still recognised after it."""
    assert fingerprint(FINGERPRINTS, STORE, credential) == frozen


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
    assert fingerprint(FINGERPRINTS, store_hash, credential) != (
        fingerprint(FINGERPRINTS, STORE, CREDENTIAL)
    )


def test_the_fingerprint_depends_on_the_key() -> None:
    """Without the keyring no guess can be checked."""
    one, other = (keyring("k1", "k2").key(key_id).mac_key("fingerprint") for key_id in ("k1", "k2"))

    assert fingerprint(one, STORE, CREDENTIAL) != fingerprint(other, STORE, CREDENTIAL)


def test_a_refused_credential_is_recognised_after_its_key_has_gone() -> None:
    """What recognises it is carried on, sealed under the new key, and again at the next rotation."""
    note = refusal(keyring(), STORE, CREDENTIAL, "role_forbidden")
    for old, new in (("k1", "k2"), ("k2", "k3")):
        note = seal_mac_key(keyring(old, new, primary=new), INSTANCE, STORE, note)

    ring = keyring("k3", primary="k3")

    assert is_refused(ring, INSTANCE, STORE, note, CREDENTIAL)
    assert not is_refused(ring, INSTANCE, STORE, note, IMPORTED)
    assert note.reason == "role_forbidden"


def test_what_recognises_a_credential_is_good_for_its_store_only() -> None:
    """Like everything that is sealed."""
    ring = keyring("k1", "k2", primary="k2")
    note = seal_mac_key(ring, INSTANCE, STORE, refusal(keyring(), STORE, CREDENTIAL, "x"))

    with pytest.raises(IntegrityError, match="altered"):
        is_refused(ring, INSTANCE, "abc124", note, CREDENTIAL)


def test_a_credential_whose_key_is_missing_is_not_recognised() -> None:
    """And its note cannot be sealed under another one."""
    note = refusal(keyring(), STORE, CREDENTIAL, "role_forbidden")

    assert not is_refused(keyring("k9", primary="k9"), INSTANCE, STORE, note, CREDENTIAL)
    with pytest.raises(IntegrityError):
        seal_mac_key(keyring("k9", primary="k9"), INSTANCE, STORE, note)


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
