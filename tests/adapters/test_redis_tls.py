"""TLS to a process, to sentinels and what they name, and to a cluster; and addresses of every form."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from sandbox.demo.processes import Program, accepts, free_port, stopping, wait_until
from service.adapters.redis_link import RedisLink
from service.adapters.redis_references import RedisReferences
from service.adapters.redis_stores import RedisStores
from service.adapters.redis_topology import _address
from service.core.errors import StorageError
from tests.adapters.making import linked_to, mint, minted, store
from tests.support.pki import Authority
from tests.support.redis_group import binary, start_server

NAME = "b2b"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Whom the broker trusts."""
    return Authority(tmp_path, "redis-ca")


@pytest.fixture
def tls(authority: Authority) -> list[str]:
    """The options of a server that speaks nothing but TLS, also with others of its kind."""
    issued = authority.server("localhost", "127.0.0.1")
    return [
        *("--tls-cert-file", str(issued.cert_file), "--tls-key-file", str(issued.key_file)),
        *("--tls-ca-cert-file", str(authority.ca_file), "--tls-auth-clients", "no"),
        *("--tls-replication", "yes"),
    ]


@pytest.fixture
def server(tmp_path: Path, tls: list[str]) -> Iterator[int]:
    """A server that speaks TLS; its port."""
    port = free_port()
    with stopping(start_server(tmp_path, port, "--port", "0", "--tls-port", str(port), *tls)):
        yield port


@pytest.fixture
def sentinel(tmp_path: Path, tls: list[str], server: int) -> Iterator[int]:
    """A sentinel that speaks TLS; its port."""
    port = free_port()
    lines = [" ".join(pair) for pair in zip(tls[::2], tls[1::2], strict=True)]
    file = tmp_path / "sentinel.conf"
    file.write_text(
        "\n".join(
            [
                f"dir {tmp_path}\nbind 127.0.0.1\nport 0\ntls-port {port}",
                *(line.removeprefix("--") for line in lines),
                f"sentinel monitor {NAME} 127.0.0.1 {server} 1\n",
            ]
        ),
        "utf-8",
    )
    program = Program("sentinel", [binary("redis-server"), str(file), "--sentinel"], tmp_path, {})
    with stopping(program):
        program.wait_ready(lambda: accepts(port))
        yield port


@pytest.fixture
def cluster(tmp_path: Path, tls: list[str]) -> Iterator[int]:
    """A cluster of one node that speaks TLS; its port."""
    port = free_port()
    cluster = ("--cluster-enabled", "yes", "--tls-cluster", "yes")
    options = ("--port", "0", "--tls-port", str(port), *tls, *cluster)
    with stopping(start_server(tmp_path, port, *options)):
        with redis.Redis(
            port=port, ssl=True, ssl_cert_reqs="none", ssl_check_hostname=False
        ) as node:
            node.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
            wait_until(
                "it serves",
                lambda: "'cluster_state': 'ok'" in str(node.execute_command("CLUSTER INFO")),
            )
        yield port


def _answers(link: RedisLink) -> bool:
    try:
        link.ping()
    except StorageError:
        return False
    return True


def _refusal(link: RedisLink) -> str:
    with pytest.raises(StorageError) as caught:
        link.ping()
    return caught.value.reason


@pytest.mark.parametrize("kind", ["server", "sentinel", "cluster"])
def test_everybody_is_spoken_to_over_tls(
    request: pytest.FixtureRequest, authority: Authority, kind: str
) -> None:
    """With the authority that was given; without it, nobody is believed."""
    port = request.getfixturevalue(kind)
    url = {
        "server": f"rediss://localhost:{port}/0",
        "sentinel": f"rediss+sentinel://localhost:{port}/{NAME}/0",
        "cluster": f"rediss+cluster://localhost:{port}",
    }[kind]

    with linked_to(url, ca_file=str(authority.ca_file)) as link:
        wait_until("it answers", lambda: _answers(link), 5)
        store(RedisStores(link))
        accessor = mint(RedisReferences(link), minted())
        verdict = RedisReferences(link).look(accessor).verdict
    with linked_to(url) as link:
        refusal = _refusal(link)

    assert verdict == "ok"
    assert refusal in {"redis_ConnectionError", "redis_MasterNotFoundError"}


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("redis-0.redis", ("redis-0.redis", 26379)),
        ("redis-0:6380", ("redis-0", 6380)),
        ("[::1]", ("::1", 26379)),
        ("[fe80::1]:1", ("fe80::1", 1)),
    ],
)
def test_addresses_of_every_form(text: str, address: tuple[str, int]) -> None:
    """With and without a port, in brackets or not."""
    assert _address(text, 26379) == address
