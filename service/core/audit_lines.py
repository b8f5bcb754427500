"""Reading the audit trail back: which lines of a file are entries, and what they say.

A line is one of the trail's if it begins with ``{"v":``, by itself or inside what a container runtime puts around a line: the prefix of
Kubernetes' log files (CRI), or the JSON of Docker's. Every other line is somebody else's and skipped.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from service.core.audit import VERSION, unlink

_BEGINS = b'{"v":'
_DOCKER = b'{"log":"'
_CRI = re.compile(rb"\d{4}-\d\d-\d\dT\S+ std(?:out|err) [FP] ")
_TEXTS = ("writer", "prev", "request_id", "caller", "action", "store_hash", "accessor", "subject")


class UnreadableLineError(Exception):
    """It begins like an entry and is none: it was cut off, or altered."""


@dataclass(frozen=True, slots=True)
class Line:
    """One entry as it stands in a file.

    Attributes:
        writer: Whose chain it is in.
        seq: Its number there.
        prev: The hash of the one before.
        hash: Its own.
        time: When the decision was taken.
        intact: Whether its hash fits its content.
        fields: All of it.
    """

    writer: str
    seq: int
    prev: str
    hash: str
    time: datetime
    intact: bool
    fields: Mapping[str, object]


def entries_of(raw: bytes) -> list[bytes]:
    """Return the entries in a line of a file, still as bytes; none if the line is somebody else's.

    There is more than one where a disk was full: what one process could not write to its end, another went on behind. Within an entry
    quotes are escaped, so that it cannot hold the beginning of another.
    """
    line = _unwrapped(raw)
    if not line.startswith(_BEGINS):
        return []
    return [_BEGINS + rest for rest in line.split(_BEGINS)[1:]]


def _unwrapped(raw: bytes) -> bytes:
    if raw.startswith(_DOCKER):
        try:
            wrapped: bytes = json.loads(raw)["log"].encode("utf-8", "surrogatepass")
        except (ValueError, KeyError, TypeError, AttributeError):
            return raw
        return wrapped
    prefix = _CRI.match(raw)
    return raw[prefix.end() :] if prefix else raw


def read_entry(entry: bytes) -> Line:
    """Return what an entry says.

    Raises:
        UnreadableLineError: It is not whole, or not of this version.
    """
    try:
        fields, intact = unlink(entry)
        time = datetime.fromisoformat(str(fields["time"]))
        seq = fields["seq"]
        if fields["v"] != VERSION or not isinstance(seq, int) or time.tzinfo is None:
            raise UnreadableLineError
        if not all(isinstance(fields[name], str) for name in _TEXTS):
            raise UnreadableLineError
    except (ValueError, KeyError, RecursionError):
        raise UnreadableLineError from None
    return Line(
        writer=str(fields["writer"]),
        seq=seq,
        prev=str(fields["prev"]),
        hash=str(fields["hash"]),
        time=time,
        intact=intact,
        fields=fields,
    )
