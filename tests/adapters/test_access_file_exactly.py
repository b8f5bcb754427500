"""``access.yaml`` and what it names: how large it may be, which files are watched, and which addresses are asked with what."""

import hashlib
import json
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import pytest

from service.adapters.access_file import AccessFileError, AccessSnapshot, read_access_file
from service.adapters.issuer_links import Address, IssuerLinks
from service.adapters.jwk_sets import parse_jwk_set, parse_spiffe_bundle
from service.adapters.jwks_source import JwksSource, Parse
from service.adapters.token_review import TokenReviews
from service.core.caller import Caller
from service.core.policy import Policy
from service.core.secret import Secret
from tests.adapters.meshed_files import BY_CERTIFICATE, BY_TOKEN, Files, same_time

MIB, QUARTER_MIB = 1024 * 1024, 256 * 1024
URL, SERVER_URL = "https://keys.example/set", "https://cluster.example"
SERVER = {"url": SERVER_URL, "ca_file": "server-ca", "token_file": "server-token"}
CLUSTER: dict[str, Any] = {
    "name": "k8s",
    "type": "kubernetes",
    "issuer": "https://cluster.example",
    "audience": "ours",
    "api_server": SERVER,
}
COMPANY = {"name": "corp", "type": "oidc", "issuer": "https://idp.example", "audience": "ours"}
MESH = {"name": "mesh", "type": "spiffe", "trust_domain": "prod.example", "audience": "ours"}


class Asked(IssuerLinks):
    """Ways to issuers that nobody goes; it keeps which were wanted."""

    def __init__(self) -> None:
        super().__init__()
        self.for_keys: list[tuple[Address, Parse]] = []
        self.for_reviews: list[tuple[Address, str]] = []

    def keys(self, address: Address, parse: Parse = parse_jwk_set) -> JwksSource:
        self.for_keys.append((address, parse))
        return super().keys(Address(address.url), parse)

    def reviews(self, address: Address, audience: str) -> TokenReviews:
        self.for_reviews.append((address, audience))
        return super().reviews(Address(address.url), audience)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """The files, with one authority."""
    return Files(tmp_path)


def _read(
    files: Files, *issuers: dict[str, Any], links: IssuerLinks | None = None, **members: Any
) -> AccessSnapshot:
    document = {"version": 1, "issuers": list(issuers), "grants": [], **members}
    files.path.write_text(json.dumps(document), "utf-8")
    return read_access_file(str(files.path), same_time, links)


@pytest.mark.parametrize(
    ("name", "limit"),
    [("access.yaml", MIB), ("bundle.json", QUARTER_MIB), ("bundle.pem", QUARTER_MIB)],
)
def test_a_file_may_be_as_large_as_its_limit_and_not_a_byte_larger(
    files: Files, name: str, limit: int
) -> None:
    """Blanks behind what counts are part of it."""
    path = Path(files.write(files.issuers(BY_CERTIFICATE, BY_TOKEN)))
    file = files.named(name)
    content = file.read_bytes()

    file.write_bytes(content.ljust(limit, b"\n"))
    whole = read_access_file(str(path), same_time)
    file.write_bytes(content.ljust(limit + 1, b"\n"))

    assert len(whole.policy.grants) == 1
    with pytest.raises(AccessFileError) as refused:
        read_access_file(str(path), same_time)
    assert str(refused.value) == f"{file} is larger than {limit} bytes"


def test_every_test_of_the_file_is_run(files: Files) -> None:
    """Not only the first; the refusal says which one it was."""
    denied = {"caller": "a:b", "action": "store.read", "store": "abc", "expect": "deny"}

    with pytest.raises(AccessFileError) as refused:
        _read(files, tests=[denied, denied, denied | {"expect": "allow"}])

    assert str(refused.value) == "tests: number 3 expects allow, but no grant names the caller"


def test_the_files_of_all_issuers_are_watched_and_nothing_else(files: Files) -> None:
    """An address is not a file, and an API key has none."""
    named = {name: str(files.named(name)) for name in ("corp-jwks.json", "bundle.pem")}
    issuers: list[dict[str, Any]] = [
        CLUSTER | {"jwks": {"url": URL}},
        MESH | {"jwks": {"url": URL}, "bundle": {"file": named["bundle.pem"]}},
        {"name": "key", "type": "api_key", "keys": []},
        COMPANY | {"jwks": {"file": named["corp-jwks.json"]}},
    ]

    snapshot = _read(files, *issuers, links=Asked())

    assert snapshot.files == (str(files.path), named["bundle.pem"], named["corp-jwks.json"])


# the issuer → the address that its keys come from
PLACES: list[tuple[dict[str, Any], dict[str, str], Address]] = [
    (COMPANY, {}, Address(URL)),
    (COMPANY, {"ca_file": "ca", "token_file": "token"}, Address(URL, "ca", "token")),
    (CLUSTER, {}, Address(URL, "server-ca", "server-token")),
    (CLUSTER, {"ca_file": "ca"}, Address(URL, "ca", "server-token")),
    (CLUSTER, {"token_file": "token"}, Address(URL, "server-ca", "token")),
    (CLUSTER, {"ca_file": "", "token_file": ""}, Address(URL)),
    (MESH, {}, Address(URL)),
    (MESH, {"ca_file": "ca", "token_file": "token"}, Address(URL, "ca", "token")),
]


@pytest.mark.parametrize(("issuer", "members", "address"), PLACES)
def test_keys_are_asked_for_with_what_the_entry_names(
    files: Files, issuer: dict[str, Any], members: dict[str, str], address: Address
) -> None:
    """A cluster's own authority and token are for clusters only, and only where the entry names nothing else."""
    links = Asked()

    _read(files, issuer | {"jwks": {"url": URL, **members}}, links=links)

    parse = parse_spiffe_bundle if issuer is MESH else parse_jwk_set
    assert links.for_keys == [(address, parse)]
    assert links.for_reviews == []


@pytest.mark.parametrize("jwks", [{"url": URL}, {"file": "{folder}/corp-jwks.json"}])
def test_reviews_are_asked_of_the_api_server_whose_audience_is_ours(
    files: Files, jwks: dict[str, str]
) -> None:
    """Wherever the keys come from."""
    links = Asked()
    place = {name: value.format(folder=files.folder) for name, value in jwks.items()}

    _read(files, CLUSTER | {"token_review": True, "jwks": place}, links=links)

    server = Address(SERVER_URL, "server-ca", "server-token")
    assert links.for_reviews == [(server, "ours")]


@pytest.mark.parametrize(
    "issuer",
    [
        COMPANY | {"jwks": {"url": URL, "ca_file": "/nowhere/ca"}},
        CLUSTER | {"jwks": {"url": URL, "ca_file": "/nowhere/ca"}},
        CLUSTER | {"jwks": {"url": URL, "ca_file": ""}, "token_review": True},
        MESH | {"jwks": {"url": URL, "ca_file": "/nowhere/ca"}},
    ],
)
def test_an_authority_that_cannot_be_read_refuses_the_file(
    files: Files, issuer: dict[str, Any]
) -> None:
    """By the name of the issuer: whom else to trust would be a guess."""
    with pytest.raises(AccessFileError) as refused:
        _read(files, issuer, links=IssuerLinks())

    name = issuer["name"]
    assert str(refused.value) == f"issuers: '{name}': a file that it names cannot be read"
    assert refused.value.__suppress_context__


@pytest.mark.parametrize("content", [None, b"{", b"x" * (QUARTER_MIB + 1)])
def test_a_refusals_trace_has_nothing_beneath_it(files: Files, content: bytes | None) -> None:
    """It is all that whoever wrote the file gets to see."""
    file = files.named("corp-jwks.json")
    file.unlink()
    if content is not None:
        file.write_bytes(content)

    with pytest.raises(AccessFileError) as refused:
        _read(files, COMPANY | {"jwks": {"file": str(file)}})

    assert refused.value.__suppress_context__ or refused.value.__context__ is None


def test_what_was_read_stays_as_it_is(files: Files) -> None:
    """A version of the file is replaced as a whole, by another one."""
    snapshot = _read(files)

    with pytest.raises(FrozenInstanceError):
        snapshot.policy = Policy(())  # type: ignore[misc]  # that it cannot be set is the test


@pytest.mark.parametrize("issuer", [COMPANY, CLUSTER, MESH])
def test_without_ways_of_its_own_a_file_is_read_with_new_ones(
    files: Files, issuer: dict[str, Any]
) -> None:
    """For looking at it once; nothing is asked for yet."""
    jwks = {"url": URL, "ca_file": "", "token_file": ""}

    assert _read(files, issuer | {"jwks": jwks}).files == (str(files.path),)


def test_a_key_proves_its_name_and_where_it_stands(files: Files) -> None:
    """The whole caller: identity, issuer, the kind of proof, and no end."""
    keys = [
        {
            "name": name,
            "sha256": hashlib.sha256(f"canary-api-key-0123456789-{name}".encode()).hexdigest(),
        }
        for name in ("ci", "cd")
    ]
    snapshot = _read(files, {"name": "key", "type": "api_key", "keys": keys})

    callers = [
        snapshot.by_key(Secret(f"canary-api-key-0123456789-{name}")) for name in ("ci", "cd")
    ]

    assert callers == [Caller(f"key:{name}", "key", "api_key") for name in ("ci", "cd")]
