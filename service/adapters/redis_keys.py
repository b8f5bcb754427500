"""What Redis holds about keys, and every value there that needs one. Fulfils ``KeyTable``."""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta

from service.adapters.redis_link import PARTITION, RedisLink, Script, home
from service.adapters.redis_node import Argument
from service.adapters.redis_stores import RedisStores
from service.core.keyring import KEY_ID
from service.core.rewrapping import Stored

_WHOLE = PARTITION["00"]
_CHECKS = f"{_WHOLE.prefix}keychecks"
_ANNOUNCED = f"{_WHOLE.prefix}announced"
_REWRAPPING = f"{_WHOLE.prefix}rewrapping"
_COUNTS = f"{_WHOLE.prefix}keycounts"
_KEY = re.compile(r"b2b-broker:\{p([0-9]{2})\}:(store|ref|intents):(.+)", re.ASCII)


class RedisKeys:
    """Key checks, announcements, and stored values by the keys that they need."""

    def __init__(self, link: RedisLink) -> None:
        self._link = link
        self._stores = RedisStores(link)
        self._fields = Script("fields")
        self._announce = Script("announce")
        self._add_check = Script("add_check")
        self._swap_reference = Script("swap_reference")
        self._swap_intent = Script("swap_intent")
        self._note = Script("note")
        self._census = Script("census")

    def checks(self) -> Mapping[str, bytes]:
        """See ``KeyTable.checks``."""
        return _pairs(self._link.read(self._fields, [_CHECKS], []))

    def add_check(self, key_id: str, check: bytes) -> bytes:
        """See ``KeyTable.add_check``."""
        standing: bytes = self._link.run(self._add_check, [_CHECKS], [key_id, check])
        return standing

    def forget_check(self, key_id: str) -> None:
        """See ``KeyTable.forget_check``."""
        self._link.hdel(_CHECKS, [key_id])

    def announce(self, name: str, announcement: bytes, keep: timedelta) -> Mapping[str, bytes]:
        """See ``KeyTable.announce``."""
        millis = keep // timedelta(milliseconds=1)
        return _pairs(self._link.run(self._announce, [_ANNOUNCED], [name, announcement, millis]))

    def announcements(self) -> Mapping[str, bytes]:
        """See ``KeyTable.announcements``."""
        return _pairs(self._link.read(self._announce, [_ANNOUNCED], ["", "", 0]))

    def scan(self) -> Iterator[Sequence[Stored]]:
        """See ``KeyTable.scan``."""
        for keys in self._link.scan("b2b-broker:*"):
            found = [match for key in keys if (match := _KEY.fullmatch(key))]
            yield [*self._values(found), *self._intents(found)]

    def swap(self, stored: Stored, signed: bytes) -> bool:
        """See ``KeyTable.swap``."""
        if stored.kind == "store":
            return self._stores.replace(stored.name, stored.value, signed)
        if stored.kind == "reference":
            tag, member = stored.name[4:6], stored.name[6:]
            key = PARTITION[tag].key("ref", member)
            return bool(self._link.run(self._swap_reference, [key], [stored.signed, signed]))
        key = home(stored.name).key("intents", stored.name)
        arguments: list[Argument] = [stored.attempt_id, stored.signed, signed]
        return bool(self._link.run(self._swap_intent, [key], arguments))

    def rewrapping(self) -> bytes:
        """See ``KeyTable.rewrapping``."""
        return self._link.get_many([_REWRAPPING])[0] or b""

    def note_rewrapping(self, seen: bytes, note: bytes) -> bool:
        """See ``KeyTable.note_rewrapping``."""
        return bool(self._link.run(self._note, [_REWRAPPING], [seen, note]))

    def note_counts(self, counts: Mapping[str, int], keep: timedelta) -> None:
        """See ``KeyTable.note_counts``."""
        rows = [part for row in counts.items() for part in row]
        self._link.run(self._census, [_COUNTS], [keep // timedelta(milliseconds=1), *rows])

    def counts(self) -> Mapping[str, int]:
        """See ``KeyTable.counts``."""
        found = _pairs(self._link.read(self._census, [_COUNTS], [0]))
        readable = {k: n for k, n in found.items() if KEY_ID.fullmatch(k) and n.isdigit()}
        return {key_id: int(number) for key_id, number in readable.items()}

    def _values(self, found: Sequence[re.Match[str]]) -> Iterator[Stored]:
        """Yield the stores and references among the keys that were found, as far as they are still there."""
        plain = [match for match in found if match[2] != "intents"]
        values = self._link.get_many([match[0] for match in plain])
        for (tag, kind, name), value in zip((m.groups() for m in plain), values, strict=True):
            if value is not None and kind == "store":
                yield Stored("store", name, "", value)
            elif value is not None:
                yield Stored("reference", f"cba_{tag}{name}", "", value)

    def _intents(self, found: Sequence[re.Match[str]]) -> Iterator[Stored]:
        """Yield the intents."""
        hashes = [match for match in found if match[2] == "intents"]
        answers = self._link.read_many(self._fields, [([match[0]], []) for match in hashes])
        for match, answer in zip(hashes, answers, strict=True):
            for attempt_id, value in _pairs(answer).items():
                yield Stored("intent", match[3], attempt_id, value.partition(b" ")[2])


def _pairs(flat: Sequence[bytes]) -> dict[str, bytes]:
    names = (name.decode("ascii", "replace") for name in flat[::2])
    return dict(zip(names, flat[1::2], strict=True))
