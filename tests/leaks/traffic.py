"""What is done with the secrets: everything that the broker is for, and whatever can go wrong on the way.

Each story says what has to come of it, so that one that no longer reaches the place that it is about is noticed.
"""

import secrets
import subprocess
import sys
from typing import Any

from sandbox.demo.processes import wait_until
from sandbox.demo.stack import ROOT
from sandbox.demo.story import WORKER
from tests.leaks.arena import PLANTED, Arena
from tests.support.http import Reply

COMPANIES = "/v1/proxy/api/v3/io/companies?limit=1"


def put(arena: Arena, store: str, credential: dict[str, Any], **more: Any) -> Reply:
    """Register a store."""
    body = {"credential": credential, **more}
    return arena.recorder.ask(arena.service.operator, "PUT", f"/v1/stores/{store}", body)


def new_account(arena: Arena, name: str) -> tuple[str, dict[str, Any]]:
    """Make a store upstream, and return its hash and its administrator's credential."""
    store = f"t{secrets.token_hex(6)}"
    account = {"email": arena.email(name), "password": arena.secret(f"{name}'s password")}
    arena.service.upstream("POST", "/_sandbox/stores", {"store_hash": store, **account})
    return store, {"kind": "b2b_password", **account}


def store_life(arena: Arena) -> None:
    """A password that is used once, one that is kept, rotation, rollback, migration, removal."""
    ask, operator = arena.recorder.ask, arena.service.operator
    store, credential = new_account(arena, "a store")
    assert put(arena, store, credential).status == 201
    kept, its = new_account(arena, "a retaining store")
    assert put(arena, kept, its, retain=True).status == 201
    for step in ("rotate", "rollback", "rotate"):
        assert ask(operator, "POST", f"/v1/stores/{kept}/{step}").status == 200
    access_token = {"store_hash": kept, "access_token": arena.token("an access token")}
    arena.service.upstream("POST", "/_sandbox/stores", access_token)
    migrated = {"kind": "access_token", "access_token": access_token["access_token"]}
    assert put(arena, kept, migrated).status == 200
    assert arena.service.companies(arena.service.mint(kept)).status == 200
    for path in ("/v1/stores", f"/v1/stores/{kept}", f"/v1/stores/{kept}/orphans"):
        ask(operator, "GET", path)
    assert ask(operator, "DELETE", f"/v1/stores/{store}").status == 204


def reference_life(arena: Arena) -> None:
    """Minted, used in each of its headers, redeemed, looked at, listed, and revoked in each way."""
    ask, service = arena.recorder.ask, arena.service
    store, credential = new_account(arena, "a referenced store")
    put(arena, store, credential)
    reference = service.mint(store)
    for header in ("Broker_Reference", "authToken", "X_Auth_Token"):
        sent: dict[str, str] = {header: reference, "X_Request_Id": PLANTED}
        assert ask(service.worker, "GET", COMPANIES, **sent).status == 200
    single = service.mint(store, access="redeem")
    assert [service.redeem(single).status for _ in range(2)] == [200, 410]
    assert ask(service.minter, "GET", COMPANIES, Broker_Reference=reference).status == 410
    outside = "/v1/proxy/api/io/backend/tokens"
    assert ask(service.worker, "GET", outside, Broker_Reference=reference).status == 403
    body = {"reference": reference}
    accessor = ask(service.worker, "POST", "/v1/references/introspect", body).json()["accessor"]
    for path in (f"/v1/references?store_hash={store}&limit=1", f"/v1/references/{accessor}"):
        assert ask(service.operator, "GET", path).status == 200
    ask("", "GET", f"/v1/references/{accessor}", Broker_Key=arena.api_key)
    for revoked in (body, {"store_hash": store}, {"caller": WORKER}):
        assert ask(service.operator, "POST", "/v1/references/revoke", revoked).status == 200
    ask(service.worker, "GET", "/v1/whoami")


def mounted(arena: Arena) -> None:
    """A credential that is mounted is used by itself; one that cannot be is a problem without its content."""
    store, credential = new_account(arena, "a mounted store")
    folder = arena.given / "stores" / store
    folder.mkdir()
    for name in ("email", "password"):
        (folder / name).touch(0o600)
        (folder / name).write_text(credential[name], "utf-8")
    imported = arena.given / "stores" / f"t{secrets.token_hex(6)}"
    imported.mkdir()
    (imported / "access_token").write_text(arena.secret("a mounted token that is none"), "utf-8")
    path = f"/v1/stores/{store}"

    def is_active() -> bool:
        reply = arena.recorder.ask(arena.service.operator, "GET", path)
        return reply.status == 200 and reply.json()["status"] == "active"

    wait_until("the mounted store", is_active)


def refused(arena: Arena) -> None:
    """Proofs, credentials and references that are wrong, in every place where one could be put."""
    ask, service = arena.recorder.ask, arena.service
    store, credential = new_account(arena, "a refused store")
    wrong = credential | {"password": arena.secret("a wrong password")}
    assert put(arena, store, wrong).status == 409
    assert put(arena, store, wrong).status == 409
    nobody = arena.service.stack.identities.cluster.token({"sub": arena.secret("a forged subject")})
    arena.canaries.add("a forged token", nobody)
    for proof in (
        nobody,
        nobody[:-1],
        service.worker[:-4] + "AAAA",
        arena.token("a token that is none"),
    ):
        assert ask(proof, "GET", "/v1/whoami").status == 401
    key = arena.token("a wrong key")
    assert ask("", "GET", "/v1/whoami", Broker_Key=key).status == 401
    assert ask("", "GET", "/v1/whoami", Authorization=f"Basic {key}").status == 401
    placed = arena.token("a secret where none belongs")
    for path in (f"/v1/stores/{placed}", f"/{placed}", f"/v1/whoami?token={placed}",
                 f"/v1/references/{placed}", f"/v1/stores?cursor={placed}", f"{COMPANIES}&authToken={placed}"):  # fmt: skip
        ask(service.operator, "GET", path)
    for header in ("X_Request_Id", "Traceparent", "Referer", "User_Agent", "Cookie"):
        ask(service.operator, "GET", "/v1/whoami", **{header: f"{placed} !"})
    arena.canaries.add("a method that is a secret", placed.upper())
    ask(service.operator, placed.upper(), "/v1/whoami")
    for reference in (placed, f"cbr_{placed}", service.mint(arena_store(arena))[:-1] + "0"):
        service.redeem(reference)
        service.companies(reference)
        ask(service.operator, "GET", f"/v1/references/{reference}")


def arena_store(arena: Arena) -> str:
    """Register a new store and return its hash."""
    store, credential = new_account(arena, "another store")
    assert put(arena, store, credential).status == 201
    return store


def malformed(arena: Arena) -> None:
    """Bodies and requests that cannot be read, with secrets in them, before and after what is wrong."""
    recorder, secret = arena.recorder, arena.secret("a password in what cannot be read")
    raw = secret.encode()
    bodies = [
        b'{"credential": {"kind": "b2b_password", "password": "%b' % raw,
        b'{"password": "%b", "password": "%b"}' % (raw, raw),
        b'{"%b": 1, "store_hash": "%b"}' % (raw, raw),
        b'{"reference": ["%b"]}' % raw,
        b'{"credential": {"kind": "%b"}}' % raw.replace(b'"', b"").replace(b"\\", b""),
        b"\xff\xfe" + raw,
        secret.encode("utf-16"),
        b"[" * 5_000 + raw,
        raw * 1_000,
        b"password=" + raw,
        b"NaN",
    ]
    headers = {"Authorization": f"Bearer {arena.service.operator}"}
    for content in bodies:
        for path in ("/v1/references", "/v1/references/redeem", "/v1/references/revoke"):
            for kind in ("application/json", "application/x-www-form-urlencoded"):
                assert recorder.post(path, content, Content_Type=kind, **headers).status >= 400
    store, credential = new_account(arena, "a store of wrong fields")
    for name in ("password", "email", "kind"):
        for value in (credential[name] * 200, [credential[name]], {credential[name]: 1}, 7, None):
            assert put(arena, store, credential | {name: value}).status == 422
    put(arena, store, {**credential, credential["password"]: credential["password"]})
    plain = arena.token("a secret in what is not HTTP").encode()
    lines = (b"GET /%b", b"%b", b"GET / HTTP/1.1\r\n%b", b"GET /%b HTTP/9.9", b"POST / HTTP/1.1\r\nContent-Length: %b",
             b"GET / HTTP/1.1\r\nX: \x00%b", b"GET / HTTP/1.1\r\nA: b\r\n %b", b"GET http://%b@[/ HTTP/1.1",
             b"POST /v1/references HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n%b")  # fmt: skip
    for line in lines:
        recorder.send(line % plain + b"\r\nHost: b\r\nConnection: close\r\n\r\n")
    recorder.send(b"GET / HTTP/1.1\r\nA: " + plain * 5_000 + b"\r\n\r\n")


def commands(arena: Arena) -> None:
    """An operator's command, with the password from a file and the e-mail typed; then with a wrong password."""
    store, credential = new_account(arena, "a store by command")
    token, password, authority = (arena.given / name for name in ("token", "password", "leaks.crt"))
    token.write_text(arena.service.operator, "utf-8")
    for content, status in ((arena.secret("a mistyped password"), 1), (credential["password"], 0)):
        password.write_text(content, "utf-8")
        options = {"token-file": token, "ca-file": authority, "password-file": password}
        done = subprocess.run(  # noqa: S603 — arguments of our own
            [
                *(sys.executable, "-m", "service.cli", "stores", "put", store),
                *("--url", f"https://localhost:{arena.service.stack.port}"),
                *(f"--{name}={path}" for name, path in options.items()),
            ],
            env={"PYTHONPATH": str(ROOT)},
            input=credential["email"].encode() + b"\n",
            capture_output=True,
            check=False,
        )
        assert done.returncode == status, done.stderr
        arena.saw("commands", done.stdout + done.stderr)
