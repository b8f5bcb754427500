"""What only the real server shows: raw requests, both token styles, TLS, metrics over several processes."""

import json
import ssl
from pathlib import Path
from socket import create_connection

import pytest
import urllib3

from sandbox.demo.processes import free_port, stopping
from sandbox.demo.stack import Stack, broker_settings, start_broker
from tests.support.pki import Authority
from tests.support.service import Service


def raw(stack: Stack, request: bytes) -> bytes:
    """Send bytes as they are, and return the first part of the answer."""
    with create_connection(("127.0.0.1", stack.port), timeout=10) as connection:
        connection.sendall(request)
        return connection.recv(65536)


def get(target: str, *headers: str) -> bytes:
    """Return a raw GET request."""
    lines = [f"GET {target} HTTP/1.1", "Host: broker", *headers, "Connection: close", "", ""]
    return "\r\n".join(lines).encode("latin-1")


@pytest.mark.parametrize(
    "target",
    [
        "/v1/proxy/api/v3/io/../auth/backend",
        "/v1/proxy/api/v3/io/%2e%2e/companies",
        "/v1/proxy/api/v3/io/companies%2f..%2fusers",
        "/v1/proxy//evil.example/api",
        "/v1/proxy/api/v3/io/companies;a=b",
        "http://evil.example/v1/proxy/api/v3/io/companies",
        "/v1%2fproxy/api/v3/io/companies",
        "/v1/proxy/api/v3/io/compani%65s",
        "/v1/proxy/api/v3/io/a%00b",
        "/v1/proxy/api/v3/io/a%0d%0ab",
    ],
)
def test_an_ambiguous_target_never_reaches_the_upstream(service: Service, target: str) -> None:
    """The real gunicorn hands over the raw target, and nothing of it goes on."""
    reference = service.mint(service.active_store())
    service.upstream("DELETE", "/_sandbox/requests")
    headers = (f"Authorization: Bearer {service.worker}", f"Broker-Reference: {reference}")

    answer = raw(service.stack, get(target, *headers))

    assert answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 404")), answer
    assert service.upstream("GET", "/_sandbox/requests")["requests"] == []


@pytest.mark.parametrize(
    "path",
    [
        "/api/io/auth/backend",
        "/api/io/backend/tokens",
        "/api/v3/io/AUTH/backend",
        "/api/v2/io/proxy",
    ],
)
def test_credential_endpoints_are_never_proxied(service: Service, path: str) -> None:
    """They make and list tokens; no reference opens them."""
    reference = service.mint(service.active_store())

    reply = service.client.ask(
        service.worker, "GET", f"/v1/proxy{path}", Broker_Reference=reference
    )

    assert (reply.status, reply.json()["type"].rpartition(":")[2]) == (403, "never_proxied")


@pytest.mark.parametrize(
    "framing",
    [
        b"Transfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n3;x=\x00\r\nabc\r\n0\r\n\r\n",
        b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"Content-Length: +5\r\n\r\nhello",
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ],
)
def test_broken_framing_is_a_400_and_never_a_500(service: Service, framing: bytes) -> None:
    """Also where the server beneath only notices while the body is read."""
    head = (
        f"POST /v1/references HTTP/1.1\r\nHost: broker\r\nAuthorization: Bearer {service.minter}\r\n"
        "Content-Type: application/json\r\n"
    )

    answer = raw(service.stack, head.encode() + framing)

    assert answer.startswith(b"HTTP/1.1 400"), answer


@pytest.mark.parametrize("header", ["Broker-Reference", "authToken", "X-Auth-Token"])
def test_a_client_library_may_send_the_reference_where_it_sends_its_token(
    service: Service, header: str
) -> None:
    """Only base URL and token change; whatever credentials it sends beside are dropped."""
    store_hash = service.active_store()
    reference = service.mint(store_hash)
    service.upstream("DELETE", "/_sandbox/requests")
    path = "/v1/proxy/api/v3/io/companies?limit=1"

    reply = service.client.ask(
        service.worker,
        "GET",
        path,
        **{header: reference, "X-Store-Hash": "evil00", "Cookie": "a=b", "X-Custom": "kept"},
    )

    assert reply.status == 200
    assert "Set-Cookie" not in reply.headers
    sent = service.upstream("GET", "/_sandbox/requests")["requests"][0]
    names = [name.lower() for name, _ in sent["headers"]]
    assert sent["style"] == "auth_token"
    assert names.count("authtoken") == 1
    assert not {"x-auth-token", "x-store-hash", "cookie", "authorization"} & set(names)
    assert ["X-Custom", "kept"] in sent["headers"]


def test_a_store_moves_to_an_access_token_and_its_references_keep_working(service: Service) -> None:
    """The same reference is carried by the other style afterwards; the old token stays as previous until the store goes."""
    store_hash = service.active_store()
    reference = service.mint(store_hash)
    access_token = "0123456789abcdefghijklmnopqrstu"
    administrator = {"email": f"owner@{store_hash}.example", "password": "right password"}
    service.upstream(
        "POST",
        "/_sandbox/stores",
        {"store_hash": store_hash, "access_token": access_token, **administrator},
    )
    credential = {"kind": "access_token", "access_token": access_token}
    path = f"/v1/stores/{store_hash}"

    moved = service.client.ask(service.operator, "PUT", path, {"credential": credential})

    assert (moved.status, moved.json()["token_style"]) == (200, "x_auth_token")
    assert moved.json()["deprecated"] is False
    previous = moved.json()["previous"]
    assert (previous["generation"], previous["token_style"]) == (1, "auth_token")
    assert service.companies(reference).status == 200
    last = service.upstream("GET", "/_sandbox/requests")["requests"][-1]
    assert last["style"] == "x_auth_token"
    assert service.client.ask(service.operator, "DELETE", path).status == 204
    assert service.live_tokens(store_hash) == []
    assert service.companies(reference).status == 410


def test_an_upstream_that_echoes_the_token_is_cut_off(service: Service) -> None:
    """The answer is withheld, and what the caller gets instead does not hold the token either."""
    store_hash = service.active_store()
    reference = service.mint(store_hash)
    token = service.live_tokens(store_hash)[0]["token"]
    service.upstream("PATCH", "/_sandbox/behaviours", {"reflect_headers": True})

    reply = service.companies(reference)

    assert (reply.status, reply.json()["type"].rpartition(":")[2]) == (502, "token_in_answer")
    assert token.encode() not in reply.content


def test_a_large_answer_streams_through_unchanged(service: Service) -> None:
    """What arrives is what the upstream sent, byte for byte."""
    store_hash = service.active_store()
    reference = service.mint(store_hash)
    path = "/api/v3/io/companies?limit=250"
    token = service.live_tokens(store_hash)[0]["token"]
    direct = urllib3.request("GET", service.stack.upstream_url + path, headers={"authToken": token})

    reply = service.client.ask(
        service.worker, "GET", f"/v1/proxy{path}", Broker_Reference=reference
    )

    assert reply.content == direct.data
    assert len(reply.content) > 100_000
    assert reply.headers["Proxy-Status"] == "b2b-broker; received-status=200"


def test_metrics_add_up_over_the_worker_processes(service: Service) -> None:
    """Whichever process answers, the count is that of all."""
    url = f"http://127.0.0.1:{service.stack.ops_port}/metrics"

    def count() -> float:
        lines = urllib3.request("GET", url).data.decode().splitlines()
        wanted = 'b2b_broker_http_requests_total{method="GET",route="whoami",status="200"} '
        return sum(float(line.removeprefix(wanted)) for line in lines if line.startswith(wanted))

    before = count()
    for _ in range(40):
        assert service.client.ask(service.operator, "GET", "/v1/whoami").status == 200

    assert count() == before + 40


def test_the_api_speaks_tls_13_and_nothing_older(service: Service, tmp_path: Path) -> None:
    """With a certificate set, the API is HTTPS; TLS 1.2 is refused in the handshake."""
    authority = Authority(tmp_path)
    issued = authority.server("localhost")
    stack = service.stack
    settings = broker_settings(
        tmp_path,
        stack.folder / "access.yaml",
        stack.folder / "keyring",
        stack.redis_port,
        stack.upstream_url,
    )
    settings |= {
        "BROKER_TLS_CERT_FILE": str(issued.cert_file),
        "BROKER_TLS_KEY_FILE": str(issued.key_file),
    }
    port = free_port()
    with stopping(start_broker(tmp_path, settings, port, free_port())):
        pool = urllib3.HTTPSConnectionPool("localhost", port, ca_certs=str(authority.ca_file))
        reply = pool.request(
            "GET", "/v1/whoami", headers={"Authorization": f"Bearer {service.operator}"}
        )
        pool.close()
        old = ssl.create_default_context(cafile=str(authority.ca_file))
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        with (
            create_connection(("127.0.0.1", port)) as connection,
            pytest.raises(ssl.SSLError),
        ):
            old.wrap_socket(connection, server_hostname="localhost")

    assert reply.status == 200


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET /v1/whoami HTTP/1.1\r\nHost: b\r\nauth Token: canary-7f3a\r\n\r\n", 400),
        (b"GET /canary-7f3a\x01 HTTP/1.1\r\nHost: b\r\n\r\n", 400),
        (b"GET /canary-7f3a HTTP/9.9\r\nHost: b\r\n\r\n", 400),
        (b"GET /" + b"canary-7f3a" * 1000 + b" HTTP/1.1\r\nHost: b\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nHost: b\r\nX: " + b"canary-7f3a" * 2000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: b\r\nSCRIPT_NAME: /canary-7f3a\r\n\r\n", 400),
    ],
)
def test_an_unreadable_request_is_a_problem_that_repeats_nothing(
    service: Service, request_bytes: bytes, status: int
) -> None:
    """Neither the answer nor the log holds any of it: a mistyped header may hold a token."""
    answer = raw(service.stack, request_bytes)

    assert answer.startswith(f"HTTP/1.1 {status} ".encode()), answer
    assert b"application/problem+json" in answer
    assert b"canary-7f3a" not in answer
    assert b"canary-7f3a" not in service.stack.broker.stderr.read_bytes()


def test_a_broker_that_serves_writes_only_objects_on_standard_error(service: Service) -> None:
    """Its warnings about the settings too: what collects the lines expects nothing else."""
    lines = service.stack.broker.stderr.read_text("utf-8").splitlines()

    events = {json.loads(line)["event"] for line in lines}
    assert {"api_is_plain_http", "audit_trail_is_unsigned"} <= events
