"""A token that dies: callers of the proxy see a repaired store, or a problem of its own, and never somebody else's 401 for it."""

import pytest
from werkzeug.test import TestResponse

from service.core.errors import StorageError
from tests.support.upstream import CannedResponse
from tests.support.world import OPERATOR, STORE, WORKER, World, call
from tests.web.answers import assert_problem, assert_retry_after
from tests.web.calling import COMPANIES, CREDENTIAL, Api
from tests.web.rejecting import REJECTED, RejectingUpstream

ACCESS_TOKEN = "canary0access0token0abcdefghijk"


@pytest.fixture
def upstream() -> RejectingUpstream:
    """An upstream that rejects what it does not know."""
    return RejectingUpstream()


@pytest.fixture
def api(upstream: RejectingUpstream) -> Api:
    """The API with one store, whose password is retained."""
    made = Api(World(upstream=upstream))
    made.put_store(retain=True)
    return made


@pytest.fixture
def reference(api: Api) -> dict[str, str]:
    """A reference that was minted while all was well."""
    headers = {
        "store_hash": STORE,
        "requests": ["GET /api/v3/io/companies/**", "POST /api/v3/io/orders"],
    }
    return {"Broker-Reference": api.mint(**headers)["reference"]}


def get(api: Api, reference: dict[str, str], method: str = "GET") -> TestResponse:
    """Send a request through the proxy."""
    path = COMPANIES if method != "POST" else "/v1/proxy/api/v3/io/orders"
    return api.ask(method, path, WORKER, reference, data=b"{}" if method == "POST" else None)


def events(api: Api) -> int:
    """Return how many rejected tokens were counted."""
    return api.world.observer.counts["security", "token_rejected"]


def import_token(api: Api, upstream: RejectingUpstream) -> None:
    """Move the store to an access token."""
    upstream.access_tokens[STORE] = ACCESS_TOKEN
    credential = {"kind": "access_token", "access_token": ACCESS_TOKEN}
    assert api.put_store(credential=credential).status_code == 200


def test_a_safe_request_is_sent_again_with_the_new_token(
    api: Api, upstream: RejectingUpstream, reference: dict[str, str]
) -> None:
    """The caller notices nothing."""
    upstream.dies()

    answer = get(api, reference)

    tokens = [dict(sent.headers)["authToken"] for sent in upstream.proxied]
    assert (answer.status_code, answer.data) == (200, b"{}")
    assert tokens == [made.value for made in upstream.ledger]
    assert (upstream.logins, events(api)) == (2, 1)


def test_an_unsafe_request_is_not_sent_again(
    api: Api, upstream: RejectingUpstream, reference: dict[str, str]
) -> None:
    """The token is replaced, and the caller decides; the next one goes through."""
    upstream.dies()

    answer = get(api, reference, "POST")
    again = get(api, reference, "POST")

    assert_problem(answer, "token_rejected")
    assert_retry_after(answer, 1)
    assert "Proxy-Status" in answer.headers
    assert again.status_code == 200
    assert len(upstream.proxied) == 2
    assert upstream.logins == 2


def test_a_store_that_cannot_be_repaired_is_503_and_then_409(
    api: Api, upstream: RejectingUpstream, reference: dict[str, str]
) -> None:
    """One event; afterwards the upstream is not asked any more."""
    api.put_store(retain=False)
    upstream.dies()

    answer = get(api, reference)
    later = [get(api, reference) for _ in range(3)]

    assert_problem(answer, "token_rejected")
    assert "Retry-After" not in answer.headers
    for other in later:
        assert_problem(other, "store_not_active")
    assert len(upstream.proxied) == 1
    assert events(api) == 1
    assert api.ask("GET", f"/v1/stores/{STORE}").get_json()["status"] == "needs_credential"


def test_a_put_brings_the_references_back(
    api: Api, upstream: RejectingUpstream, reference: dict[str, str]
) -> None:
    """Nothing has to be minted again."""
    test_a_store_that_cannot_be_repaired_is_503_and_then_409(api, upstream, reference)

    assert api.put_store(credential=CREDENTIAL).status_code == 200
    assert get(api, reference).status_code == 200


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (401, b'{"code":401,"data":{"errMsg":"You may not see this company."}}'),
        (403, b'{"code":403,"message":"Multi storefront is not enabled"}'),
        (403, b'{"code":403,"message":"Invalid access token"}'),
        (200, b'{"code":40101,"data":{"errMsg":"Session expired"}}'),
        (500, b'{"code":500}'),
        (503, b"<html>"),
    ],
)
def test_an_answer_for_another_reason_is_the_callers_and_starts_nothing(
    api: Api, upstream: RejectingUpstream, reference: dict[str, str], status: int, body: bytes
) -> None:
    """The token works, so the answer is about the request; also of the other style."""
    import_token(api, upstream)
    audited = len(api.world.audit.entries)
    upstream.response = CannedResponse(status=status, content=[body])

    answers = [get(api, reference) for _ in range(3)]

    assert {(answer.status_code, answer.data) for answer in answers} == {(status, body)}
    assert (upstream.logins, events(api)) == (1, 0)
    told = [outcome for _, outcome, _ in api.world.audit.told()[audited:]]
    assert told == ["allowed", "completed"] * 3
    assert api.ask("GET", f"/v1/stores/{STORE}").get_json()["generation"] == 2


@pytest.mark.parametrize("status", [500, 502, 503])
def test_a_server_error_of_a_dead_pair_leads_back_to_the_previous_token(
    api: Api, upstream: RejectingUpstream, reference: dict[str, str], status: int
) -> None:
    """It is no outage: the pair does not match any more."""
    import_token(api, upstream)
    upstream.access_tokens.clear()
    upstream.rejection = CannedResponse(status=status, content=[b"<html>"])

    answer = get(api, reference)

    assert answer.status_code == 200
    assert dict(upstream.proxied[-1].headers)["authToken"] == upstream.ledger[0].value
    assert events(api) == 1


def test_a_rejection_in_pieces_is_one(
    api: Api, upstream: RejectingUpstream, reference: dict[str, str]
) -> None:
    """Where the upstream cuts its answer is of no matter, and neither is what stands before the word."""
    import_token(api, upstream)
    upstream.access_tokens.clear()
    body = b'{"code":403,"data":"' + b"x" * 900 + b'","message":"Invalid access token"}'
    upstream.rejection = CannedResponse(
        status=403, content=[body[i : i + 100] for i in range(0, len(body), 100)]
    )

    assert get(api, reference).status_code == 200
    assert events(api) == 1


def test_a_large_rejection_is_not_left_open(
    api: Api, upstream: RejectingUpstream, reference: dict[str, str]
) -> None:
    """Its connection is given back whatever becomes of the repair."""
    upstream.rejection = CannedResponse(status=401, content=[b"x" * 300_000])
    upstream.dies()
    repaired = get(api, reference)
    first = upstream.rejection
    upstream.dies()
    upstream.rejection = CannedResponse(status=401, content=[b"x" * 300_000])

    refused = get(api, reference)

    assert repaired.status_code == 200
    assert_problem(refused, "token_rejected")
    assert_retry_after(refused, 2)
    assert first.closed
    assert upstream.rejection.closed


def test_a_repair_that_cannot_be_recorded_is_503(
    api: Api, upstream: RejectingUpstream, reference: dict[str, str]
) -> None:
    """The request itself could be; nothing is made upstream."""
    upstream.dies()
    api.world.audit.broken = False
    record = api.world.audit.record

    def break_then(entry: object) -> None:
        if getattr(entry, "reason", "") == "repair":
            api.world.audit.broken = True
        record(entry)  # type: ignore[arg-type]  # as it came

    api.world.audit.record = break_then  # type: ignore[method-assign]  # the sink breaks in the middle

    answer = get(api, reference)

    assert_problem(answer, "audit_unavailable")
    assert upstream.logins == 1


def test_redis_away_in_the_middle_is_503(
    api: Api, upstream: RejectingUpstream, reference: dict[str, str]
) -> None:
    """Nothing is known of who repairs, so nobody does."""
    upstream.dies()

    def away(*_: object) -> bool:
        raise StorageError("away", reason="redis_away")

    api.world.agreed.claim_store = away  # type: ignore[method-assign,assignment]  # Redis goes away in the middle

    assert_problem(get(api, reference), "storage_unavailable")
    assert upstream.logins == 1


def test_a_second_rejection_is_the_callers(
    api: Api, upstream: RejectingUpstream, reference: dict[str, str]
) -> None:
    """One request is sent twice at the most."""
    upstream.dies()
    upstream.response = CannedResponse(status=401, content=[REJECTED])

    answer = get(api, reference)

    assert answer.status_code == 401
    assert len(upstream.proxied) == 2
    assert api.world.stores.get(call(OPERATOR), STORE).generation == 2
