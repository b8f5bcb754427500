"""The policy of an access file, looked at without the means to verify anybody, and what becomes of the file's own tests."""

import hashlib
from dataclasses import FrozenInstanceError
from datetime import timedelta

import pytest

from service.adapters.access_policy import PolicyTest, read_policy
from service.adapters.access_schema import AccessFileError
from service.core.policy import AccessGrant, Limits

DIGESTS = [hashlib.sha256(name.encode()).hexdigest() for name in ("ci", "cd", "dev")]
FILE = f"""\
version: 1
issuers:
  - name: corp
    type: oidc
    issuer: https://idp.example
    audience: b2b-broker
    jwks: {{file: /nowhere/jwks.json}}
  - name: key
    type: api_key
    keys: [{{name: ci, sha256: "{DIGESTS[0]}"}}, {{name: cd, sha256: "{DIGESTS[1]}"}}]
  - name: other
    type: api_key
    keys: [{{name: dev, sha256: "{DIGESTS[2]}"}}]
grants:
  - name: mints
    callers: ["k8s:commerce/order-sync", "k8s:batch/*"]
    stores: ["abc*", "def456"]
    actions: [reference.mint, reference.read]
    limits:
      access: [redeem, proxy]
      audiences: ["k8s:commerce/order-worker", "k8s:batch/*"]
      max_ttl: 15m
      max_uses: 100
      max_rate: 60/m
      requests: ["GET /api/v3/io/companies/**", "POST /api/v3/io/orders"]
  - name: operators
    callers: ["corp:ops-*"]
    stores: ["*"]
    actions: ["store.*"]
"""
MINT = "caller: k8s:commerce/order-sync, action: reference.mint, store: abc123"
WORKER = "audience: k8s:commerce/order-worker"


def outcomes_of(*lines: str, file: str = FILE) -> tuple[PolicyTest, ...]:
    """Return what became of these tests, each written as in a file without its braces."""
    text = file + "tests:\n" + "".join(f"  - {{{line}}}\n" for line in lines)
    return read_policy(text.encode()).tests


def test_each_grant_is_taken_as_it_is_written() -> None:
    """In the order of the file, with its limits or the narrowest ones, and the digest of exactly these bytes."""
    policy = read_policy(FILE.encode()).policy

    assert policy.grants == (
        AccessGrant(
            name="mints",
            callers=("k8s:commerce/order-sync", "k8s:batch/*"),
            stores=("abc*", "def456"),
            actions=("reference.mint", "reference.read"),
            limits=Limits(
                access=("redeem", "proxy"),
                audiences=("k8s:commerce/order-worker", "k8s:batch/*"),
                max_ttl=timedelta(minutes=15),
                max_uses=100,
                requests=("GET /api/v3/io/companies/**", "POST /api/v3/io/orders"),
                max_rate=60,
            ),
        ),
        AccessGrant("operators", ("corp:ops-*",), ("*",), ("store.*",), Limits()),
    )
    assert policy.digest == hashlib.sha256(FILE.encode()).hexdigest()


def test_the_identities_that_a_file_names_are_those_of_its_tests_and_of_its_keys() -> None:
    """In this order; other issuers name nobody."""
    tests = "tests: [{caller: corp:ops-anna, action: store.read, store: abc123, expect: allow}]\n"

    assert read_policy((FILE + tests).encode()).identities == (
        "corp:ops-anna",
        "key:ci",
        "key:cd",
        "other:dev",
    )


@pytest.mark.parametrize(
    ("caller", "action", "store", "allowed", "because"),
    [
        ("corp:ops-anna", "store.write", "zzz999", True, "'operators' allows it"),
        ("corp:ops-anna", "store.write", "*", True, "'operators' allows it"),
        ("corp:nobody", "store.write", "abc123", False, "no grant names the caller"),
        (
            "corp:ops-anna",
            "reference.read",
            "abc123",
            False,
            "nearest is 'operators', which fails at actions",
        ),
        (
            "k8s:batch/job",
            "reference.read",
            "zzz999",
            False,
            "nearest is 'mints', which fails at stores",
        ),
    ],
)
@pytest.mark.parametrize("expect", ["allow", "deny"])
def test_a_test_passes_when_policy_decides_as_it_expects(
    caller: str, action: str, store: str, because: str, expect: str, *, allowed: bool
) -> None:
    """Either way it says what was asked and what decides it."""
    (told,) = outcomes_of(f"caller: {caller}, action: {action}, store: '{store}', expect: {expect}")

    assert told == PolicyTest(
        caller=caller,
        action=action,
        store=store,
        expected=expect,
        passed=allowed == (expect == "allow"),
        because=because,
    )


@pytest.mark.parametrize(
    ("asked", "because"),
    [
        (f"{WORKER}", "'mints' allows it"),
        (f"access: redeem, {WORKER}", "'mints' allows it"),
        (
            f"{WORKER}, ttl: 15m, max_uses: 100, requests: [POST /api/v3/io/orders]",
            "'mints' allows it",
        ),
        (f"{WORKER}, requests: [GET /api/v3/io/companies/1]", "'mints' allows it"),
        ("audience: corp:anna", "nearest is 'mints', which fails at limits.audiences"),
        (f"{WORKER}, ttl: 901s", "nearest is 'mints', which fails at limits.max_ttl"),
        (f"{WORKER}, max_uses: 101", "nearest is 'mints', which fails at limits.max_uses"),
        (f"{WORKER}, requests: []", "nearest is 'mints', which fails at limits.requests"),
        (
            f"{WORKER}, requests: [POST /api/v3/io/orders, PUT /api/v3/io/orders]",
            "nearest is 'mints', which fails at limits.requests",
        ),
    ],
)
def test_a_test_of_minting_asks_for_all_that_it_names(asked: str, because: str) -> None:
    """Each of its terms is held against the limits."""
    (told,) = outcomes_of(f"{MINT}, with: {{{asked}}}, expect: allow")

    assert told.because == because


def test_a_test_of_minting_asks_for_the_way_of_access_that_it_names() -> None:
    """A grant of one way refuses a test of the other."""
    file = FILE.replace("[redeem, proxy]", "[proxy]")
    redeem = f"{MINT}, with: {{access: redeem, {WORKER}}}, expect: deny"

    (told,) = outcomes_of(redeem, file=file)

    assert (told.passed, told.because) == (
        True,
        "nearest is 'mints', which fails at limits.access",
    )


def test_a_test_of_minting_that_says_nothing_more_asks_like_a_caller_who_leaves_all_open() -> None:
    """The limits are looked at: such a reference would be for the caller itself."""
    bare, open_ask = outcomes_of(f"{MINT}, expect: deny", f"{MINT}, with: {{}}, expect: deny")

    assert bare == open_ask
    assert bare.passed
    assert bare.because == "nearest is 'mints', which fails at limits.audiences"


def test_every_test_is_run_in_the_order_of_the_file() -> None:
    """One that fails does not hide those after it."""
    line = "caller: corp:ops-anna, action: store.read, store: abc123, expect: "

    told = outcomes_of(line + "deny", line + "allow", line + "deny")

    assert [one.passed for one in told] == [False, True, False]


def test_a_test_that_asks_for_terms_and_mints_nothing_is_refused_by_its_number() -> None:
    """Its terms would have no effect, and its author believes that they have."""
    line = "caller: corp:ops-anna, action: store.read, store: abc123, expect: allow"

    with pytest.raises(AccessFileError) as refused:
        outcomes_of(line, f"{line}, with: {{}}")

    assert str(refused.value) == "tests: number 2 has 'with' and mints nothing"


def test_what_was_read_and_what_became_of_a_test_stay_as_they_are() -> None:
    """Nothing is put right after the fact."""
    line = "caller: corp:ops-anna, action: store.read, store: abc123, expect: deny"

    with pytest.raises(FrozenInstanceError):
        outcomes_of(line)[0].passed = True  # type: ignore[misc]  # what is tested
    with pytest.raises(FrozenInstanceError):
        read_policy(FILE.encode()).tests = ()  # type: ignore[misc]  # what is tested


def test_a_file_that_breaks_the_schema_has_no_policy() -> None:
    """There is nothing to look at."""
    with pytest.raises(AccessFileError):
        read_policy(FILE.replace("version: 1", "version: 2").encode())
