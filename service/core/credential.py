"""Credentials: what an operator gives the broker for a store, in memory only for as long as one request needs it."""

import hmac
import json
from dataclasses import dataclass, replace

from service.core.keyring import Keyring, mac
from service.core.records import Refusal
from service.core.sealing import Context, open_sealed, seal
from service.core.secret import Secret


@dataclass(frozen=True, slots=True)
class B2BPassword:
    """An administrator's e-mail and password, to be exchanged for a token."""

    email: Secret
    password: Secret


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A token of a BigCommerce API account, to be imported as it is."""

    token: Secret


Credential = B2BPassword | AccessToken


def fingerprint(mac_key: bytes, store_hash: str, credential: Credential) -> str:
    """Return the HMAC, hexadecimal, by which a credential is recognised and from which it cannot be recovered."""
    return mac(mac_key, json.dumps([store_hash, *_parts(credential)]).encode()).hex()


def refusal(keyring: Keyring, store_hash: str, credential: Credential, reason: str) -> Refusal:
    """Return the note that a credential was refused."""
    key = keyring.primary
    return Refusal(
        key.key_id, fingerprint(key.mac_key("fingerprint"), store_hash, credential), reason
    )


def is_refused(
    keyring: Keyring, instance: str, store_hash: str, refusal: Refusal, credential: Credential
) -> bool:
    """Tell whether a note is about this credential; False also where the key that would tell is not there.

    Raises:
        IntegrityError: The sealed key of the note was altered.
    """
    if refusal.mac_key is None and refusal.key_id not in keyring.key_ids:
        return False
    key = open_mac_key(keyring, instance, store_hash, refusal)
    return hmac.compare_digest(fingerprint(key, store_hash, credential), refusal.fingerprint)


def open_mac_key(keyring: Keyring, instance: str, store_hash: str, refusal: Refusal) -> bytes:
    """Return the key of a refused credential's fingerprint.

    Raises:
        IntegrityError: It was altered, or the key of the ring that it needs is not there.
    """
    if refusal.mac_key is None:
        return keyring.key(refusal.key_id).mac_key("fingerprint")
    return open_sealed(keyring, refusal.mac_key, _mac_key_context(instance, store_hash))


def seal_mac_key(keyring: Keyring, instance: str, store_hash: str, refusal: Refusal) -> Refusal:
    """Return a refused credential's note that needs the primary key only.

    Raises:
        IntegrityError: As ``open_mac_key``.
    """
    if refusal.mac_key is None and refusal.key_id == keyring.primary.key_id:
        return refusal
    key = open_mac_key(keyring, instance, store_hash, refusal)
    sealed = seal(keyring, key, _mac_key_context(instance, store_hash))
    return replace(refusal, mac_key=sealed)


def seal_password(
    keyring: Keyring, instance: str, store_hash: str, credential: B2BPassword
) -> bytes:
    """Seal a password for retention. It belongs to the store, not to a generation, because it outlives them."""
    plaintext = json.dumps(_parts(credential)[1:]).encode()
    return seal(keyring, plaintext, Context(instance, "credential", store_hash, 0))


def open_password(keyring: Keyring, instance: str, store_hash: str, sealed: bytes) -> B2BPassword:
    """Open a retained password.

    Raises:
        IntegrityError: It was altered, or belongs to another store.
    """
    email, password = json.loads(
        open_sealed(keyring, sealed, Context(instance, "credential", store_hash, 0))
    )
    return B2BPassword(Secret(email), Secret(password))


def _mac_key_context(instance: str, store_hash: str) -> Context:
    return Context(instance, "fingerprint", store_hash, 0)


def _parts(credential: Credential) -> list[str]:
    if isinstance(credential, AccessToken):
        return ["access_token", credential.token.reveal()]
    return ["b2b_password", credential.email.reveal(), credential.password.reveal()]
