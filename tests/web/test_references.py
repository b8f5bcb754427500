"""Minting, redeeming, introspecting and listing references over HTTP."""

from datetime import timedelta

import pytest

from tests.support.access import STRANGER
from tests.support.world import MINTER, OPERATOR, STORE, WORKER
from tests.web.answers import assert_problem
from tests.web.calling import BASE_URL, CREDENTIAL, Api

GRANT = {
    "accessor",
    "store_hash",
    "audience",
    "access",
    "requests",
    "max_uses",
    "max_rate",
    "expires_at",
}
KNOWN = GRANT | {"uses_left", "minted_by", "minted_at"}


def test_minting_answers_201_with_the_reference_and_its_grant(api: Api) -> None:
    """Every field of the contract is there; what was left out is decided by policy."""
    api.put_store()

    answer = api.ask("POST", "/v1/references", MINTER, json={"store_hash": STORE})

    assert (answer.status_code, answer.headers["Cache-Control"]) == (201, "no-store")
    assert set(answer.get_json()) == {"reference", *GRANT}
    assert answer.get_json()["reference"].startswith("cbr_")
    assert answer.get_json()["accessor"].startswith("cba_")
    assert {name: answer.get_json()[name] for name in GRANT - {"accessor"}} == {
        "store_hash": STORE,
        "audience": MINTER,
        "access": "proxy",
        "requests": ["GET /api/v3/io/companies/**", "POST /api/v3/io/orders"],
        "max_uses": None,
        "max_rate": None,
        "expires_at": "2026-11-23T12:05:00.000Z",
    }


def test_minting_takes_what_is_asked_within_the_limits(api: Api) -> None:
    """Each member of the body becomes a part of the grant."""
    minted = api.mint(
        access="proxy", ttl_seconds=60, max_uses=7, requests=["GET /api/v3/io/companies/*"]
    )

    assert (minted["audience"], minted["max_uses"]) == (WORKER, 7)
    assert minted["requests"] == ["GET /api/v3/io/companies/*"]
    assert minted["expires_at"] == "2026-11-23T12:01:00.000Z"


@pytest.mark.parametrize(
    "beyond",
    [
        {"ttl_seconds": 901},
        {"audience": STRANGER},
        {"requests": ["GET /api/v3/io/users"]},
        {"requests": ["* /api/v3/io/companies"]},
    ],
)
def test_minting_beyond_the_limits_is_403(api: Api, beyond: dict[str, object]) -> None:
    """What a grant does not allow is refused, not narrowed."""
    api.put_store()

    answer = api.ask("POST", "/v1/references", MINTER, json={"store_hash": STORE, **beyond})

    assert_problem(answer, "forbidden")


def test_minting_for_an_unknown_store_is_404(api: Api) -> None:
    """There is nothing to refer to."""
    answer = api.ask("POST", "/v1/references", MINTER, json={"store_hash": STORE})

    assert_problem(answer, "store_unknown")


def test_minting_for_a_store_without_token_is_409_with_its_status(api: Api) -> None:
    """The caller learns why the store cannot be used."""
    api.put_store(credential=CREDENTIAL | {"password": "wrong"})

    answer = api.ask("POST", "/v1/references", MINTER, json={"store_hash": STORE})

    assert_problem(answer, "store_not_active")
    assert answer.get_json()["reason"] == "rejected"


def test_redeeming_answers_the_headers_to_set(api: Api) -> None:
    """A caller sets all of ``headers`` and never has to know the style."""
    minted = api.mint(access="redeem")

    answer = api.ask(
        "POST", "/v1/references/redeem", WORKER, json={"reference": minted["reference"]}
    )

    assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-store")
    assert answer.get_json() == {
        "headers": {"authToken": api.world.upstream.live(STORE)[0].value},
        "base_url": BASE_URL,
        "store_hash": STORE,
        "expires_at": "2026-11-23T12:05:00.000Z",
    }


def test_redeeming_an_imported_token_answers_both_of_its_headers(api: Api) -> None:
    """After a migration nothing changes for the caller but the names of the headers."""
    token = "imported0access0token0abcdef"
    api.put_store()
    api.world.upstream.access_tokens[STORE] = token
    api.put_store(credential={"kind": "access_token", "access_token": token})
    minted = api.mint(access="redeem")

    answer = api.ask(
        "POST", "/v1/references/redeem", WORKER, json={"reference": minted["reference"]}
    )

    assert answer.get_json()["headers"] == {"X-Auth-Token": token, "X-Store-Hash": STORE}


@pytest.mark.parametrize("why", ["used up", "expired", "revoked", "wrong caller", "wrong access"])
def test_every_invalid_reference_gets_the_same_410(api: Api, why: str) -> None:
    """Nothing but the request id tells one reason from another."""
    access = "proxy" if why == "wrong access" else "redeem"
    minted = api.mint(access=access, audience=MINTER if why == "wrong caller" else WORKER)
    body = {"reference": minted["reference"]}
    if why == "used up":
        api.ask("POST", "/v1/references/redeem", WORKER, json=body)
    if why == "expired":
        api.world.clock.move(timedelta(minutes=6))
    if why == "revoked":
        api.ask("DELETE", f"/v1/references/{minted['accessor']}", MINTER)

    answer = api.ask("POST", "/v1/references/redeem", WORKER, json=body)

    assert_problem(answer, "reference_invalid")
    assert set(answer.get_json()) == {"type", "title", "status", "detail", "request_id"}
    assert answer.get_json()["detail"] == "The reference is not valid for this request."


@pytest.mark.parametrize("damage", ["cut", "changed", "partition", "longer"])
def test_a_damaged_reference_is_410(api: Api, damage: str) -> None:
    """A typing error is refused by shape or checksum and takes no use."""
    whole: str = api.mint(access="redeem")["reference"]
    damaged = {
        "cut": whole[:-1],
        "changed": whole[:-1] + ("A" if whole[-1] != "A" else "B"),
        "partition": f"cbr_99{whole[6:]}",
        "longer": f"{whole}\n",
    }[damage]

    refused = api.ask("POST", "/v1/references/redeem", WORKER, json={"reference": damaged})
    redeemed = api.ask("POST", "/v1/references/redeem", WORKER, json={"reference": whole})

    assert_problem(refused, "reference_invalid")
    assert redeemed.status_code == 200


def test_redeeming_without_the_right_to_is_403(api: Api) -> None:
    """A reference alone does not entitle a caller to the token."""
    minted = api.mint(access="redeem", audience=MINTER)

    answer = api.ask(
        "POST", "/v1/references/redeem", MINTER, json={"reference": minted["reference"]}
    )

    assert_problem(answer, "forbidden")


def test_redeeming_for_a_store_outside_the_callers_grant_is_403(api: Api) -> None:
    """The worker may redeem for stores that begin with ``abc`` only, whatever it holds."""
    api.put_store("xyz789")
    body = {"store_hash": "xyz789", "access": "redeem", "audience": WORKER}
    minted = api.ask("POST", "/v1/references", MINTER, json=body).get_json()

    answer = api.ask(
        "POST", "/v1/references/redeem", WORKER, json={"reference": minted["reference"]}
    )

    assert_problem(answer, "forbidden")


@pytest.mark.parametrize("identity", [OPERATOR, MINTER, WORKER])
def test_introspection_answers_the_grant_and_takes_no_use(api: Api, identity: str) -> None:
    """Whoever may read, minted or may use a reference sees what it stands for."""
    minted = api.mint(access="redeem")
    body = {"reference": minted["reference"]}

    answer = api.ask("POST", "/v1/references/introspect", identity, json=body)

    assert (answer.status_code, set(answer.get_json())) == (200, KNOWN | {"active"})
    assert (answer.get_json()["active"], answer.get_json()["uses_left"]) == (True, 1)
    assert answer.get_json()["minted_by"] == MINTER


def test_introspection_tells_strangers_and_garbage_the_same(api: Api) -> None:
    """What is not live and what is not the caller's to know look alike (RFC 7662 §2.2)."""
    live = {"reference": api.mint()["reference"]}

    of_stranger = api.ask("POST", "/v1/references/introspect", STRANGER, json=live)
    of_garbage = api.ask("POST", "/v1/references/introspect", WORKER, json={"reference": "x"})

    assert (of_stranger.status_code, of_stranger.get_json()) == (200, {"active": False})
    assert (of_garbage.status_code, of_garbage.get_json()) == (200, {"active": False})


def test_a_reference_is_shown_by_its_accessor(api: Api) -> None:
    """The document has the grant and never the reference."""
    minted = api.mint(max_uses=3)

    answer = api.ask("GET", f"/v1/references/{minted['accessor']}")

    assert (answer.status_code, set(answer.get_json())) == (200, KNOWN)
    assert {name: answer.get_json()[name] for name in GRANT} == {
        name: minted[name] for name in GRANT
    }
    assert minted["reference"] not in answer.text


@pytest.mark.parametrize("accessor", ["cba_00" + "0" * 43, "cba_64" + "0" * 43, "nonsense"])
def test_an_unknown_accessor_is_404(api: Api, accessor: str) -> None:
    """Well-formed or not, there is no such reference."""
    assert_problem(api.ask("GET", f"/v1/references/{accessor}"), "accessor_unknown")


def test_a_reference_that_is_not_the_callers_to_know_is_404(api: Api) -> None:
    """It looks exactly like one that does not exist."""
    minted = api.mint()

    answer = api.ask("GET", f"/v1/references/{minted['accessor']}", STRANGER)

    assert_problem(answer, "accessor_unknown")


def test_references_are_listed_page_by_page(api: Api) -> None:
    """Following the cursor visits every live reference once, the first to expire first."""
    minted = [api.mint(ttl_seconds=seconds)["accessor"] for seconds in (60, 120, 180)]

    first = api.ask("GET", f"/v1/references?store_hash={STORE}&limit=2")
    cursor = first.get_json()["next_cursor"]
    second = api.ask("GET", f"/v1/references?store_hash={STORE}&limit=2&cursor={cursor}")

    assert set(first.get_json()) == {"references", "next_cursor"}
    assert [set(shown) for shown in first.get_json()["references"]] == [KNOWN, KNOWN]
    listed = first.get_json()["references"] + second.get_json()["references"]
    assert [shown["accessor"] for shown in listed] == minted
    assert second.get_json()["next_cursor"] is None


def test_listing_without_the_right_to_is_403(api: Api) -> None:
    """References of a store are shown to those who may read them only."""
    assert_problem(api.ask("GET", f"/v1/references?store_hash={STORE}", WORKER), "forbidden")
