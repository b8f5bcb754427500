"""Requests that are refused, each with the canary somewhere in what it sends."""

from dataclasses import dataclass, field
from typing import Any

from werkzeug.test import TestResponse

from tests.support.access import key_of, token_of
from tests.support.world import MINTER, OPERATOR, STORE, WORKER
from tests.web.answers import CANARY
from tests.web.calling import Api

STORE_PATH = f"/v1/stores/{STORE}"
MINT = "/v1/references"
REDEEM = "/v1/references/redeem"
REVOKE = "/v1/references/revoke"
SAID = {"X-Said": CANARY}


@dataclass(frozen=True)
class BadRequest:
    """One bad request and the problem that it must be answered with."""

    method: str
    path: str
    problem: str
    body: bytes | None = None
    identity: str | None = OPERATOR
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str | None = "application/json"
    environ: dict[str, Any] = field(default_factory=dict)

    def send(self, api: Api) -> TestResponse:
        """Send it."""
        return api.ask(
            self.method,
            self.path,
            self.identity,
            self.headers,
            data=self.body,
            content_type=self.content_type if self.body is not None else None,
            environ_overrides=self.environ,
        )

    def input(self) -> str:
        """Return everything that the caller sends."""
        body = (self.body or b"").decode("latin-1").replace("\0", "")
        return f"{self.path} {self.headers} {self.environ} {self.content_type} {body}"


def put(body: str | bytes, problem: str = "wrong_fields", **more: Any) -> BadRequest:
    """Return a bad registration."""
    return BadRequest("PUT", STORE_PATH, problem, _bytes(body), **more)


def mint(members: str, problem: str = "wrong_fields") -> BadRequest:
    """Return a bad mint with these members beside a good store hash; the canary is beside them."""
    body = f'{{"store_hash":"{STORE}",{members}}}'
    return BadRequest("POST", MINT, problem, _bytes(body), MINTER, SAID)


def post(path: str, body: str | bytes, problem: str = "wrong_fields") -> BadRequest:
    """Return a bad post by the worker."""
    return BadRequest("POST", path, problem, _bytes(body), WORKER, SAID)


def get(path: str, problem: str = "wrong_fields", **more: Any) -> BadRequest:
    """Return a bad read."""
    return BadRequest("GET", path, problem, **more)


def _bytes(body: str | bytes) -> bytes:
    return body.encode() if isinstance(body, str) else body


def _password(password: str, more: str = "") -> str:
    return f'{{"credential":{{"kind":"b2b_password","email":"a@b.c","password":{password}{more}}}}}'


def _access_token(token: str) -> str:
    return f'{{"credential":{{"kind":"access_token","access_token":"{token}"}}}}'


SYNTAX = {
    "cut": put(f'{{"credential":"{CANARY}"', "malformed"),
    "empty body": put(b"", "malformed", headers=SAID),
    "duplicate member": post(REDEEM, f'{{"reference":"{CANARY}","reference":"x"}}', "malformed"),
    "duplicate within": put(_password(f'"{CANARY}"', ',"password":"x"'), "malformed"),
    "NaN": mint('"ttl_seconds":NaN', "malformed"),
    "Infinity": mint('"ttl_seconds":-Infinity', "malformed"),
    "number without end": mint('"ttl_seconds":1e400', "malformed"),
    "half a character": mint(f'"audience":"{CANARY}\\ud800"', "malformed"),
    "half a character in a name": mint(f'"{CANARY}\\udfff":1', "malformed"),
    "endless number": mint('"ttl_seconds":' + "9" * 5000, "malformed"),
    "deep": put("[" * 30_000 + f'"{CANARY}"' + "]" * 30_000, "malformed"),
    "deep and never closed": put(f'{{"{CANARY}":' * 4_000, "malformed"),
    "not UTF-8": put(f'{{"{CANARY}":"'.encode() + b'\xff"}', "malformed"),
    "UTF-16": put(f'{{"a":"{CANARY}"}}'.encode("utf-16"), "malformed"),
    "byte order mark": put(f'\ufeff{{"a":"{CANARY}"}}', "malformed"),
    "two values": put(f'{{}} "{CANARY}"', "malformed"),
    "deeper than the limit of size": put("[" * 100_000, "too_large", headers=SAID),
    "too large": put(f'{{"{CANARY}":"' + "x" * 65_536 + '"}', "too_large"),
    "text": put(CANARY, "wrong_media_type", content_type="text/plain"),
    "form": put(
        f"a={CANARY}", "wrong_media_type", content_type="application/x-www-form-urlencoded"
    ),
    "no media type": put(CANARY, "wrong_media_type", content_type=None),
    "unknown media type": put("{}", "wrong_media_type", content_type=f"application/{CANARY}"),
    "near miss of the media type": put(CANARY, "wrong_media_type", content_type="text/json"),
    "no body": BadRequest("POST", REDEEM, "wrong_media_type", headers=SAID),
}
FIELDS = {
    "list": put(f'["{CANARY}"]'),
    "text alone": put(f'"{CANARY}"'),
    "null": put("null", headers=SAID),
    "unknown member": post(REDEEM, f'{{"reference":"x","{CANARY}":1}}'),
    "unknown member within": put(_password('"x"', f',"{CANARY}":"{CANARY}"')),
    "missing members": put(f'{{"{CANARY}":1}}'),
    "missing member within": put(f'{{"credential":{{"kind":"b2b_password","email":"{CANARY}"}}}}'),
    "missing kind": put(f'{{"credential":{{"password":"{CANARY}"}}}}'),
    "unknown kind": put(f'{{"credential":{{"kind":"{CANARY}"}}}}'),
    "kind of another type": put(f'{{"credential":{{"kind":["{CANARY}"]}}}}'),
    "number for text": put(_password("1", f',"{CANARY}":1')),
    "object for text": put(_password(f'{{"a":"{CANARY}"}}')),
    "empty password": put(_password('""'), headers=SAID),
    "long password": put(_password(f'"{CANARY}{"x" * 1024}"')),
    "password with a zero": put(_password(f'"{CANARY}\\u0000"')),
    "password with a line feed": put(_password(f'"{CANARY}\\n"')),
    "password with a C1 control": put(_password(f'"{CANARY}\\u0085"')),
    "email with a tab": put(_password('"x"').replace("a@b.c", f"{CANARY}\\t@b.c")),
    "email with a delete": put(_password('"x"').replace("a@b.c", f"{CANARY}\x7f@b.c")),
    "short access token": put(_access_token(CANARY)),
    "long access token": put(_access_token(CANARY * 20)),
    "access token with a line break": put(_access_token(f"{CANARY * 3}\\r\\nX-A: b")),
    "access token beyond ASCII": put(_access_token(CANARY * 3 + "é")),
    "text for a truth": put(_password(f'"{CANARY}"')[:-1] + ',"retain":"true"}'),
    "number for a truth": put(_password(f'"{CANARY}"')[:-1] + ',"retain":1}'),
    "text for a number": mint('"ttl_seconds":"300"'),
    "truth for a number": mint('"ttl_seconds":true'),
    "float for a number": mint('"ttl_seconds":300.0'),
    "no time": mint('"ttl_seconds":0'),
    "too much time": mint('"ttl_seconds":86401'),
    "no uses": mint('"max_uses":0'),
    "too many uses": mint('"max_uses":1000001'),
    "unknown access": mint(f'"access":"{CANARY}"'),
    "long audience": mint(f'"audience":"{CANARY}{"x" * 300}"'),
    "audience with a space": mint(f'"audience":"{CANARY} x"'),
    "audience with a line break": mint(f'"audience":"{CANARY}\\n"'),
    "no requests": mint('"requests":[]'),
    "many requests": mint('"requests":["GET /api/x"' + ',"GET /api/x"' * 50 + "]"),
    "long request": mint(f'"requests":["GET /{CANARY}{"x" * 500}"]'),
    "request without method": mint(f'"requests":["/{CANARY}"]'),
    "request with dots": mint(f'"requests":["GET /{CANARY}/../x"]'),
    "request with tail in the middle": mint(f'"requests":["GET /**/{CANARY}"]'),
    "request to redeem": mint(f'"access":"redeem","requests":["GET /{CANARY}"]'),
    "good request to redeem": mint('"access":"redeem","requests":["GET /api/v3/io/companies"]'),
    "request of another type": mint(f'"requests":[{{"{CANARY}":1}}]'),
    "empty reference": post(REDEEM, '{"reference":""}'),
    "long reference": post(REDEEM, f'{{"reference":"{CANARY}{"x" * 200}"}}'),
    "revoking nothing": post(REVOKE, "{}"),
    "revoking two": post(REVOKE, f'{{"store_hash":"{STORE}","caller":"{CANARY}"}}'),
    "revoking the unknown": post(REVOKE, f'{{"{CANARY}":true}}'),
    "revoking not all": post(REVOKE, '{"all":false}'),
    "revoking all with a number": post(REVOKE, '{"all":1}'),
    "revoking all with a fraction": post(REVOKE, '{"all":1.0}'),
    "revoking all with text": post(REVOKE, '{"all":"true"}'),
    "revoking null of a store": post(REVOKE, '{"store_hash":null}'),
    "revoking null of a caller": post(REVOKE, '{"caller":null}'),
    "revoking null of a reference": post(REVOKE, '{"reference":null}'),
    "revoking null of all": post(REVOKE, '{"all":null}'),
    "revoking all beside a null": post(REVOKE, '{"all":true,"reference":null}'),
    "revoking a store beside a null": post(REVOKE, f'{{"store_hash":"{CANARY}","caller":null}}'),
    "revoking a list": post(REVOKE, f'["{CANARY}"]'),
}
STORE_HASHES = {
    f"{method} {name}": BadRequest(
        method, f"/v1/stores/{store_hash}", "wrong_fields", body, headers=SAID
    )
    for method, body in (("GET", None), ("PUT", b"{}"), ("DELETE", None))
    for name, store_hash in {
        "upper case": CANARY.upper(),
        "short": "abc",
        "long": CANARY * 3,
        "other digits": f"{CANARY}٣",
        "line break": f"{CANARY}%0A",
        "null": f"{CANARY}%00",
        "dash": f"{CANARY}-",
    }.items()
}
QUERIES = {
    "cursor of stores": get(f"/v1/stores?cursor={CANARY.upper()}"),
    "empty cursor": get("/v1/stores?cursor=", headers=SAID),
    "cursor with a line break": get(f"/v1/stores?cursor={CANARY}%0A"),
    "cursor of references": get(f"/v1/references?store_hash={STORE}&cursor={CANARY}"),
    "cursor with other digits": get(f"/v1/references?store_hash={STORE}&cursor=٣.{CANARY:0<43}"),
    "limit": get(f"/v1/stores?limit={CANARY}"),
    "no limit": get("/v1/stores?limit=0", headers=SAID),
    "high limit": get("/v1/stores?limit=201", headers=SAID),
    "fraction": get("/v1/stores?limit=1.5", headers=SAID),
    "repeated": get(f"/v1/references?store_hash={STORE}&store_hash={CANARY}"),
    "repeated with the same value": get(f"/v1/stores?cursor={CANARY}&cursor={CANARY}"),
    "unknown parameter": get(f"/v1/stores?{CANARY}={CANARY}"),
    "parameter where there are none": get(f"/v1/stores/{STORE}?{CANARY}"),
    "parameter of another operation": BadRequest(
        "DELETE", f"{STORE_PATH}?limit=1", "wrong_fields", headers=SAID
    ),
    "parameter beside a body": BadRequest(
        "PUT", f"{STORE_PATH}?retain={CANARY}", "wrong_fields", headers=SAID
    ),
    "parameter beside a reference": BadRequest(
        "POST", f"{REDEEM}?reference={CANARY}", "wrong_fields", headers=SAID
    ),
    "parameter of what to revoke": BadRequest(
        "POST", f"{REVOKE}?all={CANARY}", "wrong_fields", headers=SAID
    ),
    "missing parameter": get(f"/v1/references?cursor={CANARY}"),
    "bad store": get(f"/v1/references?store_hash={CANARY.upper()}"),
}
PROOFS = {
    "none": get("/v1/whoami", "unauthenticated", identity=None, headers=SAID),
    "unknown token": get(
        "/v1/whoami", "unauthenticated", headers={"Authorization": f"Bearer {CANARY}"}
    ),
    "unknown scheme": get(
        "/v1/whoami", "unauthenticated", headers={"Authorization": f"{CANARY} {CANARY}"}
    ),
    "unknown key": get(
        "/v1/whoami", "unauthenticated", identity=None, headers={"Broker-Key": CANARY}
    ),
    "two": get("/v1/whoami", "unauthenticated", headers={"Broker-Key": CANARY}),
    "two good ones": get(
        f"/v1/whoami?{CANARY}",
        "unauthenticated",
        headers={
            "Broker-Key": key_of(OPERATOR),
            "Authorization": f"Bearer {token_of(OPERATOR)}",
        },
    ),
}
