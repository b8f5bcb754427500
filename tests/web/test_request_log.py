"""The request id, the one log line of each request, and what is counted."""

import re

import pytest
from structlog.typing import EventDict

from service.core.proxy import WITHHOLDING_BYTES
from service.web.edge import OPERATIONS
from tests.support.upstream import CannedResponse
from tests.support.world import OPERATOR, STORE, WORKER
from tests.web.answers import CANARY
from tests.web.calling import COMPANIES, Api

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.mark.parametrize("given", ["r-1", "A.b_c-9", "x" * 64])
def test_a_request_id_is_echoed_and_recorded(api: Api, given: str) -> None:
    """One id leads from the caller's log to the broker's audit trail."""
    answer = api.ask("GET", "/v1/stores", headers={"X-Request-Id": given})

    assert answer.headers["X-Request-Id"] == given
    assert api.world.audit.entries[-1].request_id == given


@pytest.mark.parametrize(
    "given", [None, "", "x" * 65, f"{CANARY} x", f"{CANARY}\t", f"{CANARY}é", f"{CANARY};", '"x"']
)
def test_a_request_id_that_is_none_or_unusual_is_replaced(
    api: Api, logs: list[EventDict], given: str | None
) -> None:
    """What goes into logs and headers is from a small alphabet."""
    headers = {} if given is None else {"X-Request-Id": given}

    answer = api.ask("GET", "/v1/whoami", headers=headers)

    assert re.fullmatch("[0-9a-f]{24}", answer.headers["X-Request-Id"])
    assert logs[-1]["request_id"] == answer.headers["X-Request-Id"]


def test_each_request_has_its_own_id(api: Api) -> None:
    """Made ids differ."""
    made = {api.ask("GET", "/v1/whoami").headers["X-Request-Id"] for _ in range(20)}

    assert len(made) == 20


@pytest.mark.parametrize(
    ("traceparent", "trace_id"),
    [
        (f"00-{TRACE}-00f067aa0ba902b7-01", TRACE),
        (f"00-{TRACE}-00f067aa0ba902b7-00", TRACE),
        (f"cc-{TRACE}-00f067aa0ba902b7-01-what-comes-later", TRACE),
        (f"ff-{TRACE}-00f067aa0ba902b7-01", ""),
        (f"00-{'0' * 32}-00f067aa0ba902b7-01", ""),
        (f"00-{TRACE}-{'0' * 16}-01", ""),
        (f"00-{TRACE}-00f067aa0ba902b7-01x", ""),
        (f"0-{TRACE}-00f067aa0ba902b7-01", ""),
        (f"00-{TRACE[1:]}-00f067aa0ba902b7-01", ""),
        (f"00-{TRACE}-00f067aa0ba902b7", ""),
        (f"00-{TRACE.upper()}-00f067aa0ba902b7-01", ""),
        (f"00-{CANARY}-00f067aa0ba902b7-01", ""),
        ("", ""),
    ],
)
def test_the_trace_id_is_in_the_log_line(
    api: Api, logs: list[EventDict], traceparent: str, trace_id: str
) -> None:
    """The caller's trace and the broker's line find each other; anything malformed is left out."""
    api.ask("GET", "/v1/whoami", headers={"traceparent": traceparent})

    assert logs[-1]["trace_id"] == trace_id


def test_a_request_writes_one_line(api: Api, logs: list[EventDict]) -> None:
    """Who, which route, what came of it, how long: and nothing else."""
    answer = api.ask("GET", f"/v1/stores/{STORE}", headers={"X-Request-Id": "r-9"})

    (line,) = logs
    assert line.pop("ms") >= 0
    assert line.pop("bytes") == len(answer.data)
    assert line == {
        "event": "request",
        "log_level": "info",
        "request_id": "r-9",
        "trace_id": "",
        "caller": OPERATOR,
        "route": "getStore",
        "method": "GET",
        "status": 404,
        "problem": "store_unknown",
        "reason": "store_unknown",
        "store_hash": "",
        "cut_short": False,
    }


def test_the_line_names_the_store_that_was_decided_about(api: Api, logs: list[EventDict]) -> None:
    """Of the path, of the body, or of the reference; none where a reference could not be used."""
    reference = api.mint()["reference"]
    api.ask("GET", f"/v1/stores/{STORE}")
    api.ask("POST", "/v1/references/introspect", json={"reference": reference})
    api.ask("GET", COMPANIES, WORKER, {"Broker-Reference": reference}).get_data()
    api.ask("GET", COMPANIES, OPERATOR, {"Broker-Reference": reference})

    stores = [(line["route"], line["store_hash"]) for line in logs if line["event"] == "request"]
    assert stores[1:] == [
        ("mintReference", STORE),
        ("getStore", STORE),
        ("introspectReference", STORE),
        ("proxy", STORE),
        ("proxy", ""),
    ]


@pytest.mark.parametrize("path", ["/openapi.json", "/nowhere"])
def test_an_answer_without_its_body_has_no_bytes(
    api: Api, logs: list[EventDict], path: str
) -> None:
    """HEAD is answered like GET, and nothing of the body goes."""
    api.ask("GET", path)
    api.ask("HEAD", path)

    assert [line["bytes"] > 0 for line in logs] == [True, False]


def test_the_line_of_a_streamed_answer_is_written_at_its_end(
    api: Api, logs: list[EventDict]
) -> None:
    """It says how many bytes went, and whether the answer was cut short."""
    size = 2 * WITHHOLDING_BYTES
    api.world.upstream.response = CannedResponse(content=[b"x" * 65_536] * (size // 65_536))
    whole = api.proxy()
    before = [line["route"] for line in logs]
    whole.get_data()
    api.world.upstream.response = CannedResponse(content=[b"x" * 65_536] * (size // 65_536))
    left = api.proxy()
    next(left.iter_encoded())
    left.close()

    lines = [line for line in logs if line.get("route") == "proxy"]
    assert "proxy" not in before
    assert (lines[0]["bytes"], lines[0]["cut_short"]) == (size, False)
    assert 0 < lines[1]["bytes"] < size
    assert lines[1]["cut_short"]


def test_the_line_of_somebody_unknown_names_nobody(api: Api, logs: list[EventDict]) -> None:
    """A claimed identity is not a proven one."""
    api.ask("GET", "/v1/whoami", None, {"Authorization": f"Bearer {CANARY}"})

    assert (logs[-1]["caller"], logs[-1]["reason"]) == ("", "token_unknown")


def test_no_line_holds_what_the_caller_sent(api: Api, logs: list[EventDict]) -> None:
    """Neither path, query, headers nor body is the broker's to keep."""
    answers = [
        api.ask("GET", f"/v1/stores/{CANARY}-", headers={"X-Said": CANARY}),
        api.ask("GET", f"/v1/stores/{STORE}?{CANARY}={CANARY}"),
        api.ask("PUT", f"/v1/stores/{STORE}", json={CANARY: CANARY}),
        api.ask("GET", f"/{CANARY}"),
        api.ask(CANARY.upper(), f"/v1/stores/{CANARY}"),
        api.ask("GET", f"{COMPANIES}/{CANARY}", WORKER, {"authToken": CANARY}),
        api.proxy(path=f"{COMPANIES}/{CANARY}?{CANARY}", headers={"X-Said": CANARY}),
    ]

    assert [answer.status_code for answer in answers] == [422, 422, 422, 404, 405, 410, 200]
    assert len(logs) >= len(answers)
    assert CANARY not in str(logs).lower()


@pytest.mark.parametrize(
    ("method", "path", "counted"),
    [
        ("GET", "/v1/whoami", ("whoami", "GET", 200)),
        ("HEAD", "/v1/whoami", ("whoami", "HEAD", 200)),
        ("GET", COMPANIES, ("proxy", "GET", 400)),
        ("BREW", "/v1/whoami", ("none", "other", 405)),
        ("GET", f"/{CANARY}", ("none", "other", 404)),
    ],
)
def test_requests_are_counted_by_route_and_never_by_path(
    api: Api, method: str, path: str, counted: tuple[str, str, int]
) -> None:
    """Whatever strangers send, the labels come from a small set."""
    api.ask(method, path)

    assert api.observed == [counted]


def test_routes_have_distinct_names() -> None:
    """They are metric labels and operation ids."""
    assert len({operation.name for operation in OPERATIONS}) == len(OPERATIONS)
