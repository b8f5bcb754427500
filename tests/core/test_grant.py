"""Stored references: the grant under its MAC, and the counter that is checked against it."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.clock import from_millis
from service.core.errors import IntegrityError
from service.core.grant import (
    NO_CLAIM,
    UNLIMITED,
    Grant,
    MaxRate,
    StoredReference,
    signed_grant,
    uses_field,
    verified_reference,
)
from service.core.policy import MAX_USES
from service.core.reference import Accessor, parse_accessor
from tests.support.clock import START
from tests.support.world import INSTANCE, MINTER, STORE, WORKER, keyring

FROZEN_ACCESSOR = "cba_44mBT65FcqG1ncRVrGS4ZYVhNtTKDVHKXkdKeBsqx5Mkg"
FROZEN = (
    b"1 0000005 ---------------- 0.0.0.0 k1 WMmEl9sI-29hlwwaJhMZLlAtzRzO_2fobHLelP6hLbM "
    b'{"access":"proxy","audience":"k8s:commerce/order-worker","expires_at":1795435500000,"max_uses":5,"minted_at":1795435200000,'
    b'"minted_by":"k8s:commerce/order-sync","requests":["GET /api/v3/io/companies/**"],"store_hash":"abc123"}'
)
GRANT = Grant(
    store_hash=STORE,
    audience=WORKER,
    access="proxy",
    requests=("GET /api/v3/io/companies/**",),
    max_uses=5,
    minted_by=MINTER,
    minted_at=START,
    expires_at=START + timedelta(minutes=5),
)


def accessor(text: str = FROZEN_ACCESSOR) -> Accessor:
    """Return a parsed accessor."""
    parsed = parse_accessor(text)
    assert parsed is not None
    return parsed


def stored(uses: str, grant: Grant = GRANT) -> bytes:
    """Return a reference as Redis would keep it."""
    signed = signed_grant(keyring(), INSTANCE, accessor(), grant)
    return f"1 {uses} {NO_CLAIM} 0.0.0.0 ".encode() + signed


def reason_of(line: bytes, name: str = FROZEN_ACCESSOR, instance: str = INSTANCE) -> str:
    """Return why a stored reference is refused."""
    with pytest.raises(IntegrityError) as refused:
        verified_reference(keyring(), instance, accessor(name), line)
    return refused.value.reason


def test_a_reference_stored_by_the_first_release_is_read_and_still_written_so() -> None:
    """The stored format is frozen, in both directions."""
    assert verified_reference(keyring(), INSTANCE, accessor(), FROZEN) == StoredReference(GRANT, 5)
    assert stored(uses_field(5)) == FROZEN


def test_a_rate_is_signed_with_the_grant_and_left_out_where_there_is_none() -> None:
    """Grants from before it read as they were written; the place and the spelling are frozen."""
    limited = replace(GRANT, max_rate=MaxRate(60, "order-sync mints"))

    body = limited.encode()

    assert b',"max_rate":{"per_minute":60,"under":"order-sync mints"},"max_uses":5,' in body
    assert b"max_rate" not in GRANT.encode()
    assert (Grant.decode(body), Grant.decode(GRANT.encode())) == (limited, GRANT)
    assert reason_of(stored("0000005", limited).replace(b"60", b"90")) == "mac_mismatch"


@given(
    audience=st.text(max_size=20),
    requests=st.lists(st.text(max_size=20), max_size=3),
    max_uses=st.none() | st.integers(1, MAX_USES),
    seconds=st.integers(0, 10**6),
)
def test_every_grant_is_read_as_it_was_signed(
    audience: str, requests: list[str], max_uses: int | None, seconds: int
) -> None:
    """Whatever text its fields hold."""
    grant = Grant(
        STORE, audience, "redeem", tuple(requests), max_uses, MINTER, START, from_millis(seconds)
    )

    read = verified_reference(keyring(), INSTANCE, accessor(), stored(uses_field(max_uses), grant))

    assert read == StoredReference(grant, max_uses)


@pytest.mark.parametrize("uses", range(6))
def test_a_counter_up_to_the_grants_own_limit_is_believed(uses: int) -> None:
    """It only ever counts down."""
    assert verified_reference(
        keyring(), INSTANCE, accessor(), stored(uses_field(uses))
    ) == StoredReference(GRANT, uses)


def test_a_revoked_reference_has_no_uses_left() -> None:
    """The mark stands where the counter was."""
    assert verified_reference(keyring(), INSTANCE, accessor(), stored("revoked")).uses_left == 0


@pytest.mark.parametrize("uses", ["0000006", "9999999", UNLIMITED, "-000001", "000000A", "+000001"])
def test_a_counter_above_the_grants_limit_is_refused(uses: str) -> None:
    """Whoever can write Redis cannot give a reference more uses than were signed."""
    assert reason_of(stored(uses)) == "uses_altered"


def test_a_counter_on_an_unlimited_grant_is_refused() -> None:
    """A limit that nobody signed was not there."""
    unlimited = Grant(STORE, WORKER, "proxy", (), None, MINTER, START, START)

    assert reason_of(stored("0000001", unlimited)) == "uses_altered"
    assert (
        verified_reference(keyring(), INSTANCE, accessor(), stored(UNLIMITED, unlimited)).uses_left
        is None
    )


def test_a_grant_moved_to_another_accessor_is_refused() -> None:
    """The MAC covers the place."""
    assert reason_of(FROZEN, "cba_44" + "0" * 43) == "mac_mismatch"
    assert reason_of(FROZEN, "cba_45" + FROZEN_ACCESSOR[6:]) == "mac_mismatch"


def test_a_grant_of_another_installation_is_refused() -> None:
    """Two brokers with the same keys do not share references."""
    assert reason_of(FROZEN, instance="prod") == "mac_mismatch"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"abc123", b"abc124"),
        (b"order-worker", b"order-thief"),
        (b'"access":"proxy"', b'"access":"redeem"'),
        (b'"max_uses":5', b'"max_uses":9'),
        (b'"max_uses":5', b'"max_uses":null'),
        (b"1795435500000", b"1895435500000"),
        (b'"GET /api/v3/io/companies/**"', b'"* /**"'),
        (b"order-sync", b"order-thief"),
    ],
)
def test_no_field_of_a_grant_can_be_altered(before: bytes, after: bytes) -> None:
    """Each one widens the grant and is under the MAC."""
    assert before in FROZEN

    assert reason_of(FROZEN.replace(before, after)) == "mac_mismatch"


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"1 0000005 ---------------- 0.0.0.0", id="cut"),
        pytest.param(b"2" + FROZEN[1:], id="another version"),
        pytest.param(b"1 0000005 ---------------- 0.0.0.0 k1 body", id="unsigned"),
    ],
)
def test_what_is_no_stored_reference_is_malformed(line: bytes) -> None:
    """Other versions are refused and not guessed at."""
    assert reason_of(line) == "malformed"
