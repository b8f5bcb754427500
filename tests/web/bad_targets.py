"""Requests that lead nowhere: unknown paths and methods, and what the proxy does not forward."""

from tests.support.world import OPERATOR, STORE, WORKER
from tests.web.answers import CANARY
from tests.web.bad_requests import SAID, BadRequest, get, post
from tests.web.calling import COMPANIES

ROUTES = {
    "unknown path": get(f"/{CANARY}", "not_found"),
    "unknown path beneath the API": get(f"/v1/{CANARY}?{CANARY}={CANARY}", "not_found"),
    "unknown path without a proof": get(f"/{CANARY}", "not_found", identity=None),
    "double slash": get(f"/v1//stores?x={CANARY}", "not_found"),
    "double slash in front": get(f"//v1/stores?{CANARY}", "not_found"),
    "encoded slash": get(f"/v1/stores/{CANARY}%2Fx", "not_found"),
    "no upstream path": get(f"/v1/proxy?{CANARY}", "not_found"),
    "page that is none": get(f"/docs/{CANARY}", "not_found"),
    **{
        f"{method} {path}": BadRequest(method, path, "method_not_allowed", headers=SAID)
        for method in ("TRACE", "OPTIONS", "CONNECT", "PROPFIND", CANARY.upper())
        for path in (f"/v1/stores/{STORE}", "/v1/references", COMPANIES, "/docs", "/openapi.json")
    },
    "other method": BadRequest("POST", f"/v1/stores/{CANARY}", "method_not_allowed"),
    "other method on a page": BadRequest("DELETE", f"/docs?{CANARY}", "method_not_allowed"),
}


def proxied(
    raw: str | None = None,
    problem: str = "ambiguous_target",
    headers: dict[str, str] | None = None,
    method: str = "GET",
) -> BadRequest:
    """Return a bad request to the proxy whose target stood on the request line as ``raw``."""
    sent = {"Broker-Reference": CANARY} if headers is None else headers
    environ = {} if raw is None else {"RAW_URI": raw}
    return BadRequest(
        method, COMPANIES, problem, identity=WORKER, headers=sent | SAID, environ=environ
    )


AMBIGUOUS = (
    f"/v1/proxy/api/{CANARY}/../x",
    f"/v1/proxy/api/./{CANARY}",
    f"/v1/proxy/api/%2e%2e/{CANARY}",
    f"/v1/proxy/api/.%2E/{CANARY}",
    f"/v1/proxy/api/..%2f{CANARY}",
    f"/v1/proxy/api/..;/{CANARY}",
    f"/v1/proxy/api/{CANARY};x=1",
    f"/v1/proxy/api//{CANARY}",
    f"/v1/proxy//{CANARY}",
    f"/v1/proxy/api/%5c{CANARY}",
    f"/v1/proxy/api/\\{CANARY}",
    f"/v1/proxy/api/{CANARY}%2F",
    f"/v1/proxy/api/{CANARY}%00",
    f"/v1/proxy/api/{CANARY}%0d%0aX:y",
    f"/v1/proxy/api/{CANARY}%252e",
    f"/v1/proxy/api/%61{CANARY}",
    f"/v1/proxy/api/{CANARY}%",
    f"/v1/proxy/api/{CANARY}\xe9",
    f"/v1/proxy/api/{CANARY}#x",
    f"/v1/proxy/api/{CANARY}?a b",
    f"/v1/%70roxy/api/{CANARY}",
    f"//v1/proxy/api/{CANARY}",
    f"http://{CANARY}.example/v1/proxy/api/v3/io/companies",
    f"file:///{CANARY}",
    f"@{CANARY}/v1/proxy/api/v3/io/companies",
    f"/v1/stores/{CANARY}",
    "*",
    "",
)
PROXY = {
    **{raw or "empty": proxied(raw) for raw in AMBIGUOUS},
    "outside the API": proxied(f"/v1/proxy/{CANARY}", "never_proxied"),
    "exchange": proxied(f"/v1/proxy/api/io/auth/backend?{CANARY}", "never_proxied", method="POST"),
    "list of tokens": proxied(f"/v1/proxy/api/v3/io/backend/tokens?{CANARY}", "never_proxied"),
    "other proxy": proxied(f"/v1/proxy/api/v2/io/proxy/{CANARY}", "never_proxied"),
    "no reference": proxied(None, "malformed", {}),
    "two references": proxied(None, "malformed", {"Broker-Reference": CANARY, "authToken": "x"}),
    "garbage": proxied(None, "reference_invalid"),
    "garbage in authToken": proxied(None, "reference_invalid", {"authToken": CANARY}),
    "garbage in X-Auth-Token": proxied(None, "reference_invalid", {"X-Auth-Token": CANARY}),
    "reference beyond ASCII": proxied(None, "reference_invalid", {"authToken": f"{CANARY}é"}),
    "no raw target": BadRequest(
        "GET",
        COMPANIES,
        "malformed",
        identity=WORKER,
        headers={"Broker-Reference": CANARY},
        environ={"RAW_URI": None},
    ),
}
REFERENCES = {
    "garbage redeemed": post(
        "/v1/references/redeem", f'{{"reference":"{CANARY}"}}', "reference_invalid"
    ),
    "half a character redeemed": post(
        "/v1/references/redeem", f'{{"reference":"{CANARY}\\ud800"}}', "malformed"
    ),
    "unknown accessor": get(f"/v1/references/{CANARY}", "accessor_unknown"),
    "accessor with a line break": get(f"/v1/references/cba_00{CANARY:0<43}%0A", "accessor_unknown"),
    "unknown store": BadRequest("DELETE", f"/v1/stores/{CANARY}", "store_unknown"),
    "not allowed": get(f"/v1/stores/{CANARY}", "forbidden", identity=WORKER),
    "unknown store to mint": BadRequest(
        "POST",
        "/v1/references",
        "forbidden",
        f'{{"store_hash":"{CANARY}"}}'.encode(),
        OPERATOR,
    ),
}
