"""Credentials: what an operator gives the broker for a store, in memory only for as long as one request needs it."""

import json
from dataclasses import dataclass

from service.core.keyring import Keyring
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


def fingerprint(keyring: Keyring, key_id: str, store_hash: str, credential: Credential) -> str:
    """Return the HMAC, hexadecimal, by which a credential is recognised and from which it cannot be recovered.

    Raises:
        IntegrityError: The key is not in the ring.
    """
    message = json.dumps([store_hash, *_parts(credential)]).encode()
    return keyring.key(key_id).mac("fingerprint", message).hex()


def refusal(keyring: Keyring, store_hash: str, credential: Credential, reason: str) -> Refusal:
    """Return the note that a credential was refused."""
    key_id = keyring.primary.key_id
    return Refusal(key_id, fingerprint(keyring, key_id, store_hash, credential), reason)


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


def _parts(credential: Credential) -> list[str]:
    if isinstance(credential, AccessToken):
        return ["access_token", credential.token.reveal()]
    return ["b2b_password", credential.email.reveal(), credential.password.reveal()]
