"""Signed heads: what a writer says, again and again, of how far its chain has come.

A chain of hashes alone can be cut at its end, or written anew from its beginning, by whoever can write the file. A head that is signed
and kept elsewhere can not be made up. It is a signature (Ed25519, base64url), a space, and the body: one line of JSON with ``v, instance,
writer, seq, hash, time, ended, seen`` in this order. ``seen`` is how far other writers had come, as far as this one knew: whoever puts
an older head of one writer back has to do so with those of all that saw the newer one.

Source: DESIGN §11; RFC 8032.
"""

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

from service.core.audit import ChainHead
from service.core.clock import rfc3339
from service.core.errors import IntegrityError

VERSION = 1
# So that a signature of something else, made with the same key by mistake, is none of a head.
_PURPOSE = b"b2b-broker audit head\n"
_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=True).encode
_WRITER = re.compile(r"[0-9a-f]{16}", re.ASCII)
_HASH = re.compile(r"[0-9a-f]{64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Head:
    """How far a writer's chain had come at a time.

    Attributes:
        instance: Of which installation.
        chain: Writer, number and hash of its last entry.
        time: When that was so.
        ended: Whether the writer said that nothing follows.
        seen: How far other writers had come by then: writer → number.
    """

    instance: str
    chain: ChainHead
    time: datetime
    ended: bool
    seen: Mapping[str, int]


def sign_head(key: Ed25519PrivateKey, head: Head) -> str:
    """Return the signed form of a head."""
    body = _encode(
        {
            "v": VERSION,
            "instance": head.instance,
            "writer": head.chain.writer,
            "seq": head.chain.seq,
            "hash": head.chain.hash,
            "time": rfc3339(head.time),
            "ended": head.ended,
            "seen": dict(sorted(head.seen.items())),
        }
    )
    signature = key.sign(_PURPOSE + body.encode("ascii"))
    return f"{_text(signature)} {body}"


def read_head(key: Ed25519PublicKey, signed: str) -> Head:
    """Return a head whose signature holds.

    Raises:
        IntegrityError: It does not, or what is signed is no head of this version.
    """
    signature, _, body = signed.partition(" ")
    try:
        made = base64.b64decode(signature, altchars=b"-_", validate=True)
        if _text(made) != signature:  # some of its bits would be nobody's
            raise ValueError("not the one spelling of a signature")  # noqa: TRY301 — one answer for all that is wrong
        key.verify(made, _PURPOSE + body.encode("ascii"))
        return _head(json.loads(body))
    except (InvalidSignature, binascii.Error, ValueError, KeyError, TypeError):
        raise IntegrityError(
            "A head of the audit trail was altered.", reason="forged_head"
        ) from None


def _text(signature: bytes) -> str:
    return base64.urlsafe_b64encode(signature).decode("ascii")


def _head(fields: dict[str, object]) -> Head:
    """Return the head of a body that was signed.

    Raises:
        ValueError, KeyError: It was signed by a broker of another version.
    """
    writer, digest, seq, seen = (fields[name] for name in ("writer", "hash", "seq", "seen"))
    if (
        fields["v"] != VERSION
        or not (isinstance(writer, str) and _WRITER.fullmatch(writer))
        or not (isinstance(digest, str) and _HASH.fullmatch(digest))
        or not (isinstance(seq, int) and seq >= 0)
        or not isinstance(seen, dict)
    ):
        raise ValueError("not a head of this version")
    time = datetime.fromisoformat(str(fields["time"]))
    chain = ChainHead(writer, seq, digest)
    return Head(str(fields["instance"]), chain, time, fields["ended"] is True, seen)
