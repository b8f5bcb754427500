"""Signed values: readable in storage, but not alterable or movable there.

A signed value is ``key id``, ``MAC`` (base64url, 43 characters) and the body, separated by one space. The MAC covers the
installation, the place where the value is kept, and the body, so that a value put in another place does not verify.
"""

import base64
import hmac
from dataclasses import dataclass

from service.core.errors import IntegrityError
from service.core.keyring import KEY_ID, Key, Keyring, Purpose


@dataclass(frozen=True, slots=True)
class Place:
    """Where a signed value is kept.

    Attributes:
        instance: The installation's name.
        purpose: Which derived key signs.
        name: The place within the installation, such as an accessor or a store hash; without line feeds.
    """

    instance: str
    purpose: Purpose
    name: str

    def message(self, body: bytes) -> bytes:
        """Return what the MAC is computed over; names contain no line feed, so the parts cannot run together."""
        return b"\n".join((self.instance.encode(), self.name.encode(), body))


def sign(keyring: Keyring, place: Place, body: bytes) -> bytes:
    """Return the signed value of a body for a place."""
    key = keyring.primary
    return b"%b %b %b" % (key.key_id.encode(), _mac(key, place, body), body)


def verify(keyring: Keyring, place: Place, signed: bytes) -> bytes:
    """Return the body of a value that was signed for this place.

    Raises:
        IntegrityError: ``malformed``, ``key_unavailable`` or ``mac_mismatch`` (altered, or of another place).
    """
    try:
        key_id, mac, body = signed.split(b" ", 2)
        key = keyring.key(key_id.decode("ascii"))
    except ValueError:
        raise IntegrityError("A stored value is not readable.", reason="malformed") from None
    if not hmac.compare_digest(_mac(key, place, body), mac):
        raise IntegrityError("A stored value was altered.", reason="mac_mismatch")
    return body


def signed_with(signed: bytes) -> str:
    """Return the id of the key that a signed value says it needs; nothing of it is verified.

    Raises:
        IntegrityError: ``malformed``.
    """
    key_id, *rest = signed.split(b" ", 2)
    name = key_id.decode("ascii", "replace")
    if len(rest) < 2 or not KEY_ID.fullmatch(name):  # noqa: PLR2004 — MAC and body
        raise IntegrityError("A stored value is not readable.", reason="malformed")
    return name


def _mac(key: Key, place: Place, body: bytes) -> bytes:
    mac = key.mac(place.purpose, place.message(body))
    return base64.urlsafe_b64encode(mac).rstrip(b"=")
