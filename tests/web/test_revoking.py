"""Revoking over HTTP: one reference, all of a store, of a caller, or all there are."""

import pytest

from tests.support.world import MINTER, OPERATOR, STORE, WORKER
from tests.web.answers import assert_problem
from tests.web.calling import COMPANIES, Api

FIELDS = {"scope", "revoked", "accessor", "store_hash", "caller"}


def is_live(api: Api, reference: str) -> bool:
    """Tell whether a reference still works at the proxy."""
    answer = api.ask("GET", COMPANIES, WORKER, {"Broker-Reference": reference})
    assert answer.status_code in (200, 410)
    return answer.status_code == 200


@pytest.mark.parametrize("identity", [OPERATOR, MINTER])
def test_a_reference_is_revoked_by_its_accessor(api: Api, identity: str) -> None:
    """The operator and the minter may, and it stops working at once."""
    minted = api.mint()

    answer = api.ask("DELETE", f"/v1/references/{minted['accessor']}", identity)

    assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-store")
    assert answer.get_json() == {
        "scope": "reference",
        "revoked": True,
        "accessor": minted["accessor"],
        "store_hash": None,
        "caller": None,
    }
    assert not is_live(api, minted["reference"])


def test_a_reference_is_revoked_by_itself(api: Api) -> None:
    """Whoever found a reference can end it without knowing its accessor; the answer does not repeat it."""
    minted = api.mint()

    answer = api.ask("POST", "/v1/references/revoke", json={"reference": minted["reference"]})

    assert (answer.get_json()["revoked"], answer.get_json()["accessor"]) == (
        True,
        minted["accessor"],
    )
    assert minted["reference"] not in answer.text
    assert not is_live(api, minted["reference"])


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"store_hash": STORE}, {"scope": "store", "store_hash": STORE}),
        ({"caller": WORKER}, {"scope": "caller", "caller": WORKER}),
        ({"caller": MINTER}, {"scope": "caller", "caller": MINTER}),
        ({"all": True}, {"scope": "all"}),
    ],
    ids=["store", "audience", "minter", "all"],
)
def test_many_are_revoked_in_one_step(
    api: Api, body: dict[str, object], expected: dict[str, object]
) -> None:
    """The answer says what was revoked, and what it covers stops working."""
    minted = api.mint()

    answer = api.ask("POST", "/v1/references/revoke", json=body)

    nothing = dict.fromkeys(FIELDS)
    assert (answer.status_code, answer.get_json()) == (200, nothing | {"revoked": True} | expected)
    assert not is_live(api, minted["reference"])


@pytest.mark.parametrize(
    "body",
    [{"store_hash": "other1"}, {"caller": "k8s:elsewhere/somebody"}],
    ids=["store", "caller"],
)
def test_what_a_revocation_does_not_cover_goes_on_working(
    api: Api, body: dict[str, object]
) -> None:
    """Another store and another caller are left alone."""
    minted = api.mint()

    answer = api.ask("POST", "/v1/references/revoke", json=body)

    assert answer.status_code == 200
    assert is_live(api, minted["reference"])


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("DELETE", "/v1/references/cba_00" + "0" * 43, None),
        ("DELETE", "/v1/references/nonsense", None),
        ("POST", "/v1/references/revoke", {"reference": "nonsense"}),
    ],
)
def test_revoking_what_is_not_live_is_no_error(
    api: Api, method: str, path: str, body: object
) -> None:
    """It is not valid afterwards, which is what was asked (RFC 7009 §2.2)."""
    answer = api.ask(method, path, json=body)

    nothing = dict.fromkeys(FIELDS)
    assert answer.status_code == 200
    assert answer.get_json() == nothing | {"scope": "reference", "revoked": False}


@pytest.mark.parametrize(
    "body",
    [{"store_hash": STORE}, {"caller": WORKER}, {"all": True}],
    ids=["store", "caller", "all"],
)
def test_revoking_many_without_the_right_to_is_403(api: Api, body: dict[str, object]) -> None:
    """A minter may end its own references, not everybody's."""
    minted = api.mint()

    answer = api.ask("POST", "/v1/references/revoke", MINTER, json=body)

    assert_problem(answer, "forbidden")
    assert is_live(api, minted["reference"])


def test_revoking_somebody_elses_reference_is_403(api: Api) -> None:
    """The audience may use a reference, and may not end it."""
    minted = api.mint()

    answer = api.ask("DELETE", f"/v1/references/{minted['accessor']}", WORKER)

    assert_problem(answer, "forbidden")
    assert is_live(api, minted["reference"])
