"""Stored records: signed as a whole, sealed where secret, and bound to their store."""

from dataclasses import replace
from datetime import timedelta

import pytest

from service.core.errors import IntegrityError
from service.core.records import (
    Refusal,
    StoredToken,
    StoreRecord,
    decode_record,
    open_token,
    seal_token,
    token_headers,
)
from service.core.sealing import Context, open_sealed
from service.core.secret import Secret
from tests.support.clock import START
from tests.support.world import INSTANCE, STORE, keyring

TOKEN = "eyJhbGciOiJIUzI1NiJ9.canarytoken1001.sig"
LATER = START + timedelta(hours=1)
NAME = "b2b-broker/test/abc123/0123456789abcdef0123456789abcdef"
REFUSALS = tuple(Refusal("k1", f"{number:064x}", "credential_incorrect") for number in range(20))
FROZEN = (
    b"1 active 3 k1 iJ-Y4a5p-Vwh9k1URZ7Mviax0K501NEaH77V-fhAEvg "
    b'{"created_at":1795435200000,"credential":"AQJrMcBCtYS270OWHrGzHKFfF6vu1p8UKE2HDtPu3e1vdF3AU5dMvKIrerAqACjBXlHsluPwuaC6gUsYzz'
    b'jwjwW7kg9RcoupyD8wqCyZrD77Py/Mo3HzhMf/EoA+sEaDqrIXZ3l2SEEouE2ryXNiCO5Sgr9ulzK5YHkrfeNSRpnrEs9lkfc3OGv3DUyeH6gR",'
    b'"generation":3,"previous":{"generation":2,"issued_at":1795435200000,"name":"b2b-broker/test/abc123/2222222222222222222222222'
    b'2222222",'
    b'"sealed":"AQJrMSv8dKzEEZzoYySg9OSNJeYY3CeFBiO3AmdLDbb9p8aRn91PKnSXKTK+oQ5KaufLFWC8r2ptZ7Bszz9gyp+nydDc2wVnS/dS3s2wo8nHFREbou'
    b'45L5U6HbQDDTbjT8iuWESkLkIpulpwzil67EnngI7fwYT7kCFG58v2JnnYvxfxLuuhiA==","style":"auth_token"},'
    b'"reason":"","refusals":[["k1","28058f90e547d19eb4b51f0b9a58c57756c5645cba4f24785cd37fcb24eddde2","token_rejected"],["k1","ac'
    b'e4252204b8e03efe3911e6e39815eb7a71b47206c261341d3c60e21a630bd3","token_rejected"]],'
    b'"retired":[{"generation":1,"issued_at":1795435200000,"name":"b2b-broker/test/abc123/11111111111111111111111111111111",'
    b'"sealed":"AQJrMUxR7uW0YFnQte6bI9taMesdX+S5Z8vs/HbxRA6KHm5AlnIA/AEyGQi3yCBAFleU+O8tmNAbu3oy7FEywxz+JDoyiT5MFvn4qXgPxSkqLuUgEK'
    b'CJ/zEqg26MUGVNgTmFOCVpvNAmTbYt1bD72+o8U/JOMUxTCEZbaC0XFa4ljwMF0NbNfw==","style":"auth_token"}],'
    b'"status":"active","store_hash":"abc123",'
    b'"token":{"generation":3,"issued_at":1795435200000,"name":"b2b-broker/test/abc123/0123456789abcdef0123456789abcdef",'
    b'"sealed":"AQJrMbYmHPsTSZJXaU0mXWK9Mq+L5cT+D2FQofQDQNv79LyO4MHIkEnb2DSXeqP8aG5VjDI940pm4mC00dXrYEtinOfBltW7NW3g9C1noruZ3QWo/j'
    b'aGJLV1QiePjNw2PvkBVTzAQHVqBnaib2sqSsOpR769CYbZ8GpVjuS6X9p8sbVtqD0CiQ==","style":"auth_token"}}'
)


def token(store_hash: str = STORE, generation: int = 1) -> StoredToken:
    """Return a sealed token."""
    sealed = seal_token(keyring(), INSTANCE, store_hash, generation, Secret(TOKEN))
    return StoredToken("auth_token", generation, NAME, sealed, START)


def decoded(line: bytes, store_hash: str = STORE, instance: str = INSTANCE) -> StoreRecord:
    """Decode with the only key."""
    return decode_record(keyring(), instance, store_hash, line)


def reason_of(line: bytes, store_hash: str = STORE, instance: str = INSTANCE) -> str:
    """Return why a stored record is refused."""
    with pytest.raises(IntegrityError) as refused:
        decoded(line, store_hash, instance)
    return refused.value.reason


def test_a_record_stored_by_the_first_release_is_read_with_all_that_is_sealed_in_it() -> None:
    """The stored format is frozen, token and retained password included."""
    record = decoded(FROZEN)

    assert (record.status, record.generation, record.created_at) == ("active", 3, START)
    assert (record.token, record.previous, *record.retired) == record.deletable
    assert [(held.name, held.issued_at) for held in record.deletable] == [
        (NAME, START),
        ("b2b-broker/test/abc123/22222222222222222222222222222222", START),
        ("b2b-broker/test/abc123/11111111111111111111111111111111", START),
    ]
    assert [open_token(keyring(), INSTANCE, STORE, held).reveal() for held in record.deletable] == [
        f"eyJhbGciOiJIUzI1NiJ9.canarytoken100{number}.sig" for number in (3, 2, 1)
    ]
    assert [refusal.reason for refusal in record.refusals] == ["token_rejected"] * 2
    assert record.credential is not None
    assert open_sealed(keyring(), record.credential, Context(INSTANCE, "credential", STORE, 0)) == (
        b'["owner@canary.example", "canary-password-Zq7!"]'
    )


def test_a_record_is_still_written_as_the_first_release_wrote_it() -> None:
    """Signing is deterministic, so reading and writing gives the same bytes."""
    assert decoded(FROZEN).encode(keyring(), INSTANCE) == FROZEN


@pytest.mark.parametrize(
    "record",
    [
        StoreRecord(STORE, START),
        StoreRecord(STORE, START, "rejected", "role_forbidden", refusals=REFUSALS[:2]),
        StoreRecord(STORE, START, "quarantined", "token_of_another_store", 3),
        StoreRecord(STORE, START).with_token(token(), None, LATER),
        StoreRecord(STORE, START)
        .with_token(token(), b"sealed", LATER)
        .with_token(token(), None, LATER),
        replace(StoreRecord(STORE, START), token=token(), retired=(token(), token(generation=2))),
    ],
    ids=["pending", "rejected", "quarantined", "active", "with a previous token", "with retired"],
)
def test_every_kind_of_record_is_read_as_it_was_written(record: StoreRecord) -> None:
    """No field is lost, set or unset."""
    assert decoded(record.encode(keyring(), INSTANCE)) == record


def test_a_new_token_makes_the_store_active_and_keeps_the_one_before() -> None:
    """The reason is over, a password is kept only if it is given, and what was refused stays refused."""
    before = replace(
        StoreRecord(STORE, START).with_token(token(), b"sealed", LATER),
        status="needs_credential",
        reason="token_rejected",
        refusals=REFUSALS,
    )

    after = before.with_token(token(generation=2), None, LATER)

    assert (after.status, after.reason, after.generation) == ("active", "", 2)
    assert (after.previous, after.previous_until) == (before.token, LATER)
    assert (after.credential, after.refusals) == (None, REFUSALS)


def test_a_token_of_ours_that_is_no_longer_previous_is_retired_until_it_was_deleted() -> None:
    """What the broker had made stays known, the newest first; an imported token is not the broker's to delete."""
    tokens = [token(generation=number) for number in range(1, 6)]
    tokens[2] = replace(tokens[2], name="", style="x_auth_token")
    record = StoreRecord(STORE, START)
    for made in tokens:
        record = record.with_token(made, None, LATER)

    first, second, _imported, fourth, fifth = tokens
    assert (record.token, record.previous) == (fifth, fourth)
    assert record.retired == (second, first)
    assert record.deletable == (fifth, fourth, second, first)


def test_only_what_the_broker_had_made_is_deletable() -> None:
    """A store without a token has nothing to delete, and neither has one with imported tokens only."""
    imported = replace(token(), name="", style="x_auth_token")

    assert StoreRecord(STORE, START).deletable == ()
    assert StoreRecord(STORE, START).with_token(imported, None, LATER).deletable == ()


def test_the_latest_sixteen_refusals_are_remembered() -> None:
    """The oldest goes, so that nobody can make a record grow without bound."""
    record = StoreRecord(STORE, START)
    for refusal in REFUSALS:
        record = record.with_refusal(refusal)

    assert record.refusals == REFUSALS[-16:]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"1 active 3 ", b"1 active 2 "),
        (b"1 active 3 ", b"1 active 03 "),
        (b"1 active 3 ", b"1 pending 3 "),
        (b"1 active 3 ", b"1 rejected 3 "),
        (b"1 active 3 ", b"2 active 3 "),
        (b"1 active 3 ", b"1 active "),
    ],
)
def test_the_front_fields_must_agree_with_the_signed_body(before: bytes, after: bytes) -> None:
    """They are there for Lua to read, and no word of theirs is believed."""
    assert reason_of(FROZEN.replace(before, after)) == "malformed"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b'"status":"active"', b'"status":"pending"'),
        (b'"generation":1,"issued_at"', b'"generation":2,"issued_at"'),
        (b'"sealed":"AQJr', b'"sealed":"AQJs'),
        (b'"refusals":[[', b'"refusals":[],"x":[['),
        (b'"retired":[{', b'"retired":[],"x":[{'),
        (b"22222222222222222222222222222222", b"11111111111111111111111111111111"),
        (b'"style":"auth_token"', b'"style":"x_auth_token"'),
    ],
)
def test_no_field_of_the_body_can_be_altered(before: bytes, after: bytes) -> None:
    """The record is signed as a whole."""
    assert before in FROZEN

    assert reason_of(FROZEN.replace(before, after)) == "mac_mismatch"


def test_the_record_of_another_store_is_refused() -> None:
    """A record that was copied over another store's is found out, and so is one of another installation."""
    assert reason_of(FROZEN, "abc456") == "mac_mismatch"
    assert reason_of(FROZEN, instance="prod") == "mac_mismatch"


@pytest.mark.parametrize("line", [b"", b"1 active 1", b"garbage", b"1 active 1 k1 {}"])
def test_what_is_no_record_is_malformed(line: bytes) -> None:
    """Garbage is an integrity error and nothing else."""
    assert reason_of(line) == "malformed"


@pytest.mark.parametrize(
    ("store_hash", "stored"),
    [("abc456", token()), (STORE, replace(token(), generation=2)), (STORE, token("abc456"))],
)
def test_a_token_opens_only_for_its_own_store_and_generation(
    store_hash: str, stored: StoredToken
) -> None:
    """Even within a record that verifies, a token of elsewhere stays shut."""
    with pytest.raises(IntegrityError):
        open_token(keyring(), INSTANCE, store_hash, stored)


def test_each_style_sets_its_own_headers_and_no_others() -> None:
    """Both styles together misbehave upstream."""
    legacy = token_headers("auth_token", STORE, Secret(TOKEN))
    unified = token_headers("x_auth_token", STORE, Secret(TOKEN))

    assert {name: value.reveal() for name, value in legacy.items()} == {"authToken": TOKEN}
    assert {name: value.reveal() for name, value in unified.items()} == {
        "X-Auth-Token": TOKEN,
        "X-Store-Hash": STORE,
    }
