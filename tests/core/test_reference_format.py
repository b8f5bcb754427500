"""References and accessors: how they are written, and what is refused without asking Redis."""

import hashlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.errors import ReferenceInvalidError
from service.core.reference import (
    PARTITIONS,
    accessor_of,
    new_reference,
    parse_accessor,
    partition_of,
)
from service.core.secret import Secret

STORE_HASHES = st.from_regex(r"[a-z0-9]{4,20}", fullmatch=True)
CHARACTERS = st.characters(min_codepoint=0x20, max_codepoint=0x17F)
FROZEN_REFERENCE = "cbr_4400000000000000000000000000000000000000000001f9MZr"
FROZEN_ACCESSOR = "cba_44mBT65FcqG1ncRVrGS4ZYVhNtTKDVHKXkdKeBsqx5Mkg"


@given(store_hash=STORE_HASHES)
def test_every_new_reference_leads_to_the_partition_of_its_store(store_hash: str) -> None:
    """What is generated can be read, and names its slot."""
    reference = new_reference(store_hash)

    accessor = accessor_of(reference)

    assert len(reference.reveal()) == 55
    assert accessor.partition == partition_of(store_hash) == reference.reveal()[4:6]
    assert parse_accessor(accessor.text) == accessor


@given(store_hash=STORE_HASHES, place=st.integers(0, 54), wrong=CHARACTERS)
def test_a_reference_with_any_one_character_changed_is_refused(
    store_hash: str, place: int, wrong: str
) -> None:
    """The checksum finds every single typing error, in prefix, partition, body and checksum alike."""
    text = new_reference(store_hash).reveal()
    changed = text[:place] + wrong + text[place + 1 :]
    if changed == text:
        return

    with pytest.raises(ReferenceInvalidError) as refused:
        accessor_of(Secret(changed))

    assert refused.value.reason == "malformed"


@given(text=st.text(max_size=80))
def test_no_other_text_is_a_reference(text: str) -> None:
    """Garbage is refused, whatever it is made of."""
    with pytest.raises(ReferenceInvalidError):
        accessor_of(Secret(text))


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda text: text + "\n", id="line feed behind"),
        pytest.param(lambda text: " " + text, id="space before"),
        pytest.param(lambda text: text[:-1], id="cut"),
        pytest.param(lambda text: text.upper(), id="upper case"),
        pytest.param(lambda text: text.replace("cbr_", "cba_"), id="accessor's prefix"),
    ],
)
def test_a_reference_in_another_shape_is_refused(change: Callable[[str], str]) -> None:
    """There is one way to write a reference."""
    with pytest.raises(ReferenceInvalidError):
        accessor_of(Secret(change(FROZEN_REFERENCE)))


def test_a_reference_to_a_partition_that_does_not_exist_is_refused() -> None:
    """A right checksum does not make a 65th partition."""
    body = f"cbr_{PARTITIONS}" + "0" * 43
    wrong = body + "3dOcCc"

    with pytest.raises(ReferenceInvalidError):
        accessor_of(Secret(wrong))


def test_the_accessor_of_a_reference_is_frozen() -> None:
    """It is the key of a stored record, so it may never change."""
    assert accessor_of(Secret(FROZEN_REFERENCE)).text == FROZEN_ACCESSOR


@pytest.mark.parametrize(
    ("store_hash", "partition"),
    [
        ("abc123", "44"),
        ("abc124", "13"),
        ("z4zn3wo", "23"),
        ("1234abcd", "34"),
        ("stores", "14"),
    ],
)
def test_the_partition_of_a_store_is_frozen(store_hash: str, partition: str) -> None:
    """A store's keys would be lost if its partition moved."""
    assert partition_of(store_hash) == partition


@given(store_hash=STORE_HASHES)
def test_every_partition_is_one_of_the_64(store_hash: str) -> None:
    """The first byte of the SHA-256, modulo 64, in two digits."""
    partition = partition_of(store_hash)

    assert len(partition) == 2
    assert int(partition) == hashlib.sha256(store_hash.encode()).digest()[0] % 64


@pytest.mark.parametrize(
    "text",
    [
        "",
        "cba_",
        FROZEN_REFERENCE,
        FROZEN_ACCESSOR + "\n",
        FROZEN_ACCESSOR[:-1],
        FROZEN_ACCESSOR + "0",
        "cba_64" + FROZEN_ACCESSOR[6:],
        "cba_٤٤" + FROZEN_ACCESSOR[6:],
        FROZEN_ACCESSOR.replace("m", "/"),
    ],
)
def test_what_is_no_accessor_is_not_taken_for_one(text: str) -> None:
    """An accessor becomes a part of a Redis key, so its shape is checked to the last character."""
    assert parse_accessor(text) is None


def test_two_new_references_differ() -> None:
    """They are random."""
    assert len({new_reference("abc123").reveal() for _ in range(100)}) == 100
