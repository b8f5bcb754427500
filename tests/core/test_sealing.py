"""Sealing: authenticated, bound to its place, and readable for ever."""

import base64
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.errors import IntegrityError
from service.core.keyring import Key, Keyring
from service.core.sealing import Context, open_sealed, seal
from tests.support.world import keyring

PLACE = Context("test", "token", "abc123", 3)
PLAINTEXT = b"canary-token-of-generation-3"
# Sealed by the first release; it must open in every later one.
FROZEN = base64.b64decode(
    "AQJrMR3iAZY9nMbUb5+1Nb0Pfut7RnzhbIgeEkZQbIHejr8tTqMjd/p0BDXM1/CgfTypznPKfqd4LYEZLyi/Ua6q0eeV1HGbR83IMd8pgUrw7my3qCrTPZtb"
    "j9g3NHVHvBOcwUVklEl6iWuXvLv5d5UwP9qQlHDlwIcbYQ=="
)
KEY_ID_END = 4
SALT_END = KEY_ID_END + 32
NONCE_END = SALT_END + 12
COMMITMENT_END = NONCE_END + 32


def reason_of(ring: Keyring, sealed: bytes, place: Context = PLACE) -> str:
    """Return why a sealed value is refused."""
    with pytest.raises(IntegrityError) as refused:
        open_sealed(ring, sealed, place)
    return refused.value.reason


def test_a_value_sealed_by_the_first_release_opens() -> None:
    """The stored format is frozen: version, key id, salt, nonce, commitment, ciphertext and tag."""
    assert open_sealed(keyring(), FROZEN, PLACE) == PLAINTEXT
    assert FROZEN[:KEY_ID_END] == b"\x01\x02k1"
    assert len(FROZEN) == COMMITMENT_END + len(PLAINTEXT) + 16


def test_today_seals_in_the_frozen_layout() -> None:
    """An older release can open what a newer one wrote, as long as the version is the same."""
    sealed = seal(keyring(), PLAINTEXT, PLACE)

    assert sealed[:KEY_ID_END] == FROZEN[:KEY_ID_END]
    assert len(sealed) == len(FROZEN)


@given(plaintext=st.binary(max_size=200), generation=st.integers(0, 10**9))
def test_what_is_sealed_opens_at_its_place(plaintext: bytes, generation: int) -> None:
    """Nothing is lost, the empty value included."""
    place = replace(PLACE, generation=generation)

    assert open_sealed(keyring(), seal(keyring(), plaintext, place), place) == plaintext


def test_two_seals_of_one_plaintext_share_no_secret_part() -> None:
    """Salt, nonce, commitment and ciphertext are fresh each time."""
    first, second = (seal(keyring(), PLAINTEXT, PLACE) for _ in range(2))

    for start, end in (
        (KEY_ID_END, SALT_END),
        (SALT_END, NONCE_END),
        (NONCE_END, COMMITMENT_END),
        (COMMITMENT_END, None),
    ):
        assert first[start:end] != second[start:end]


def test_every_flipped_bit_of_a_sealed_value_is_found() -> None:
    """Whichever byte it is in, and never by another error."""
    for bit in range(8 * len(FROZEN)):
        altered = bytearray(FROZEN)
        altered[bit // 8] ^= 1 << bit % 8

        reason = reason_of(keyring(), bytes(altered))

        assert reason in {"malformed", "key_unavailable", "key_mismatch", "altered"}


def test_every_truncation_of_a_sealed_value_is_found() -> None:
    """A value that was cut is refused, wherever the cut is."""
    for length in range(len(FROZEN)):
        assert reason_of(keyring(), FROZEN[:length]) in {"malformed", "altered"}


@pytest.mark.parametrize(
    "elsewhere",
    [
        replace(PLACE, instance="prod"),
        replace(PLACE, kind="credential"),
        replace(PLACE, store_hash="abc124"),
        replace(PLACE, generation=2),
        replace(PLACE, generation=4),
        Context("tes", "ttoken", "abc123", 3),
        Context("test", "toke", "nabc123", 3),
        Context("test", "token", "abc12", 33),
    ],
)
def test_a_sealed_value_opens_nowhere_else(elsewhere: Context) -> None:
    """It cannot be moved to another installation, kind, store or generation, nor may fields run together."""
    assert reason_of(keyring(), FROZEN, elsewhere) == "altered"


@given(
    first=st.tuples(st.text(max_size=4), st.text(max_size=4), st.text(max_size=4)),
    second=st.tuples(st.text(max_size=4), st.text(max_size=4), st.text(max_size=4)),
)
def test_two_contexts_never_have_the_same_bytes(
    first: tuple[str, str, str], second: tuple[str, str, str]
) -> None:
    """Lengths stand before the fields, so no two lists of fields can be confused."""
    encodings = {Context(*fields, 1).encode("k1") for fields in (first, second)}

    assert (len(encodings) == 1) == (first == second)


def test_an_unknown_key_id_is_told_from_an_altered_value() -> None:
    """The operator is to bring the key back, not to look for an intruder."""
    assert reason_of(keyring("k2", primary="k2"), FROZEN) == "key_unavailable"


def test_another_key_under_the_same_id_is_told_before_anything_is_decrypted() -> None:
    """The commitment tells a wrong key from a wrong value."""
    impostor = Keyring({"k1": Key("k1", b"another".ljust(32, b"*"))}, "k1")

    assert reason_of(impostor, FROZEN) == "key_mismatch"


def test_a_relabelled_value_does_not_open_under_the_other_key() -> None:
    """The key id is part of what is authenticated."""
    relabelled = FROZEN[:2] + b"k2" + FROZEN[KEY_ID_END:]

    assert reason_of(keyring("k1", "k2"), relabelled) == "key_mismatch"


@pytest.mark.parametrize(
    "sealed",
    [
        pytest.param(b"\x00" + FROZEN[1:], id="version 0"),
        pytest.param(b"\x02" + FROZEN[1:], id="version 2"),
        pytest.param(b"\x01\xff" + FROZEN[2:], id="key id longer than all"),
        pytest.param(b"\x01\x02\xff\xfe" + FROZEN[4:], id="key id not ASCII"),
        pytest.param(b"", id="empty"),
    ],
)
def test_what_is_no_sealed_value_is_malformed(sealed: bytes) -> None:
    """Other versions are refused and not guessed at."""
    assert reason_of(keyring(), sealed) == "malformed"
