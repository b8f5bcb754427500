"""Opened tokens in memory: keyed by the store and the exact stored bytes, bounded."""

import pytest

from service.core.errors import IntegrityError
from service.core.records import ActiveToken
from service.core.secret import Secret
from service.core.token_cache import TokenCache


class Holder:
    """A cache, and a note of what had to be opened."""

    def __init__(self, size: int = 1024) -> None:
        self.cache = TokenCache(size)
        self.opened: list[tuple[str, bytes]] = []

    def get(self, store_hash: str, line: bytes) -> ActiveToken:
        """Get the token of a record that opens to the store's hash and the record itself."""

        def open_line() -> ActiveToken:
            self.opened.append((store_hash, line))
            return ActiveToken("auth_token", 1, Secret(f"{store_hash} {line.decode()}"))

        return self.cache.get(store_hash, line, open_line)


def test_a_stored_record_is_opened_once() -> None:
    """The second use costs no decryption."""
    holder = Holder()

    first, second = holder.get("abc123", b"line"), holder.get("abc123", b"line")

    assert first is second
    assert holder.opened == [("abc123", b"line")]


@pytest.mark.parametrize(("store_hash", "line"), [("abc123", b"line 2"), ("abc124", b"line 1")])
def test_another_record_and_the_record_of_another_store_are_opened_anew(
    store_hash: str, line: bytes
) -> None:
    """Alteration, rotation and exchange cannot be hidden behind what was opened before."""
    holder = Holder()
    holder.get("abc123", b"line 1")

    token = holder.get(store_hash, line).secret

    assert token.reveal() == f"{store_hash} {line.decode()}"
    assert holder.opened == [("abc123", b"line 1"), (store_hash, line)]


def test_the_cache_holds_no_more_than_its_size() -> None:
    """The oldest goes first."""
    holder = Holder(2)

    for line in (b"a", b"b", b"c", b"c", b"a"):
        holder.get("abc123", line)

    assert [line for _, line in holder.opened] == [b"a", b"b", b"c", b"a"]


def test_a_failure_is_not_remembered() -> None:
    """A key that comes back makes the record readable again."""
    holder = Holder()

    def fail() -> ActiveToken:
        raise IntegrityError("no", reason="key_unavailable")

    with pytest.raises(IntegrityError):
        holder.cache.get("abc123", b"line", fail)

    assert holder.get("abc123", b"line").secret.reveal() == "abc123 line"
