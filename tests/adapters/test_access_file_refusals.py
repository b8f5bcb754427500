"""``access.yaml`` that is not good: refused as a whole, with the place and the rule."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from service.adapters.access_file import AccessFileError, AccessSnapshot, read_access_file
from tests.adapters.tokens import EC_KEY, jwk_set, public_jwk

CANARY = "canary-value"
Edit = Callable[[dict[str, Any]], object]


def _read(path: Path) -> AccessSnapshot:
    return read_access_file(str(path), lambda: datetime.now(UTC))


def _document(jwks: Path) -> dict[str, Any]:
    issuer = {"name": "corp", "type": "oidc", "issuer": "https://idp.example", "audience": "a", "jwks": {"file": str(jwks)}}  # fmt: skip
    machines = {"name": "key", "type": "api_key", "keys": [{"name": "ci", "sha256": "0" * 64}]}
    minter = {
        "name": "minter",
        "callers": ["corp:m"],
        "stores": ["abc*"],
        "actions": ["reference.mint"],
        "limits": {"max_ttl": "15m", "max_uses": 5, "requests": ["GET /api/v3/io/companies/**"]},
    }
    reader = {"name": "r", "callers": ["corp:r"], "stores": ["*"], "actions": ["store.read"]}
    test = {"caller": "corp:m", "action": "reference.mint", "store": "abc123", "expect": "allow"}
    other = {"caller": "corp:r", "action": "store.read", "store": "abc123", "expect": "allow"}
    return {
        "version": 1,
        "issuers": [issuer, machines],
        "grants": [minter, reader],
        "tests": [test, other],
    }


@pytest.fixture
def jwks(tmp_path: Path) -> Path:
    """A good JWK set."""
    path = tmp_path / "jwks.json"
    path.write_bytes(jwk_set(public_jwk("ec", EC_KEY)))
    return path


@pytest.fixture
def document(jwks: Path) -> dict[str, Any]:
    """A good file, to be spoilt."""
    return _document(jwks)


def _refused(tmp_path: Path, content: bytes) -> str:
    path = tmp_path / "access.yaml"
    path.write_bytes(content)
    with pytest.raises(AccessFileError) as caught:
        _read(path)
    assert "\n" not in str(caught.value)
    assert CANARY not in str(caught.value)
    return str(caught.value)


def test_the_file_that_the_others_are_made_from_is_good(
    tmp_path: Path, document: dict[str, Any]
) -> None:
    """Otherwise the refusals would prove nothing."""
    path = tmp_path / "access.yaml"
    path.write_text(yaml.safe_dump(document), "utf-8")

    assert len(_read(path).policy.grants) == 2


# what is wrong → how to make it so, and where the problem is said to be
FAULTS: dict[str, tuple[Edit, str]] = {
    "no version": (lambda d: d.pop("version"), "version: "),
    "another version": (lambda d: d.update(version=2), "version: "),
    "version text": (lambda d: d.update(version="1"), "version: "),
    "no issuers": (lambda d: d.pop("issuers"), "issuers: "),
    "no grants": (lambda d: d.pop("grants"), "grants: "),
    "grants no list": (lambda d: d.update(grants={}), "grants: "),
    "an unknown field": (lambda d: d.update(extra=CANARY), "extra: "),
    "unknown in a grant": (lambda d: d["grants"][0].update(allow=CANARY), "grants.0.allow: "),
    "unknown in limits": (lambda d: d["grants"][0]["limits"].update(x=1), "grants.0.limits.x: "),
    "issuer of no type": (lambda d: d["issuers"][0].pop("type"), "issuers.0: "),
    "issuer of another type": (lambda d: d["issuers"][0].update(type="saml"), "issuers.0: "),
    "issuer name": (lambda d: d["issuers"][0].update(name="Corp X"), "issuers.0.oidc.name: "),
    "issuer name with a colon": (lambda d: d["issuers"][0].update(name="a:b"), "issuers.0.oidc.n"),
    "no audience": (lambda d: d["issuers"][0].pop("audience"), "issuers.0.oidc.audience: "),
    "empty audience": (lambda d: d["issuers"][0].update(audience=""), "issuers.0.oidc.audience: "),
    "token review": (
        lambda d: d["issuers"][0].update(type="kubernetes", token_review="yes"),
        "issuers.0.kubernetes.token_review: ",
    ),
    "key digest": (
        lambda d: d["issuers"][1]["keys"][0].update(sha256=CANARY),
        "issuers.1.api_key.keys.0.sha256: ",
    ),
    "the same key twice": (
        lambda d: d["issuers"][1]["keys"].append({"name": "cd", "sha256": "0" * 64}),
        "issuers: 'key': a key stands twice",
    ),
    "the same key of two issuers": (
        lambda d: d["issuers"].append(d["issuers"][1] | {"name": "other"}),
        "issuers: 'other': a key stands twice",
    ),
    "version true": (lambda d: d.update(version=True), "version: "),
    "no callers": (lambda d: d["grants"][0].update(callers=[]), "grants.0.callers: "),
    "caller without issuer": (lambda d: d["grants"][0].update(callers=["*"]), "grants.0.callers.0"),
    "caller with a blank": (lambda d: d["grants"][0].update(callers=["a: b"]), "grants.0.callers."),
    "callers a text": (lambda d: d["grants"][0].update(callers="corp:m"), "grants.0.callers: "),
    "no stores": (lambda d: d["grants"][0].update(stores=[]), "grants.0.stores: "),
    "store in upper case": (lambda d: d["grants"][0].update(stores=["ABC"]), "grants.0.stores.0: "),
    "store a number": (lambda d: d["grants"][0].update(stores=[123456]), "grants.0.stores.0: "),
    "no such action": (lambda d: d["grants"][0].update(actions=["x.y"]), "grants.0.actions.0: "),
    "no such actions": (lambda d: d["grants"][0].update(actions=["*"]), "grants.0.actions.0: "),
    "span a number": (lambda d: d["grants"][0]["limits"].update(max_ttl=15), "limits.max_ttl: "),
    "span of nothing": (lambda d: d["grants"][0]["limits"].update(max_ttl="0s"), "limits.max_ttl"),
    "span of days": (lambda d: d["grants"][0]["limits"].update(max_ttl="1d"), "limits.max_ttl: "),
    "negative span": (lambda d: d["grants"][0]["limits"].update(max_ttl="-1m"), "limits.max_ttl: "),
    "span with a blank": (lambda d: d["grants"][0]["limits"].update(max_ttl="5 m"), "max_ttl: "),
    "no uses": (lambda d: d["grants"][0]["limits"].update(max_uses=0), "limits.max_uses: "),
    "uses true": (lambda d: d["grants"][0]["limits"].update(max_uses=True), "limits.max_uses: "),
    "too many uses": (lambda d: d["grants"][0]["limits"].update(max_uses=10**6 + 1), "max_uses: "),
    "rate a number": (lambda d: d["grants"][0]["limits"].update(max_rate=60), "limits.max_rate: "),
    "rate of hours": (lambda d: d["grants"][0]["limits"].update(max_rate="9/h"), "max_rate: "),
    "rate of who redeems": (
        lambda d: d["grants"][0]["limits"].update(max_rate="60/m", access=["redeem"]),
        "limits: max_rate binds the proxy only",
    ),
    "another access": (
        lambda d: d["grants"][0]["limits"].update(access=["x"]),
        "limits.access.0: ",
    ),
    "a request": (lambda d: d["grants"][0]["limits"].update(requests=[CANARY]), "requests.0: "),
    "a wide request": (lambda d: d["grants"][0]["limits"].update(requests=["GET /**/x"]), "requ"),
    "test of no action": (lambda d: d["tests"][0].update(action="mint"), "tests.0.action: "),
    "test caller pattern": (lambda d: d["tests"][0].update(caller="corp:*"), "tests.0.caller: "),
    "test expects more": (lambda d: d["tests"][0].update(expect="maybe"), "tests.0.expect: "),
    # what the schema alone does not see
    "issuer names": (lambda d: d["issuers"][1].update(name="corp"), "issuer names are unique"),
    "issuer URLs": (
        lambda d: d["issuers"].append(d["issuers"][0] | {"name": "other"}),
        "issuer URLs are unique",
    ),
    "grant names": (lambda d: d["grants"][1].update(name="minter"), "grant names are unique"),
    "limits on nothing": (
        lambda d: d["grants"][1].update(limits={}),
        "grants: 'r' has limits and mints nothing",
    ),
    "with on nothing": (
        lambda d: d["tests"].append(
            {
                "caller": "corp:r",
                "action": "store.read",
                "store": "a",
                "with": {},
                "expect": "allow",
            }
        ),
        "tests: number 3 has 'with' and mints nothing",
    ),
    "test of a limit": (
        lambda d: d["tests"][0].update(
            {"with": {"ttl": "1h", "requests": ["GET /api/v3/io/companies"]}}
        ),
        "tests: number 1 expects allow, but nearest is 'minter', which fails at limits.max_ttl",
    ),
    "test of a store": (
        lambda d: d["tests"][0].update(store="xyz"),
        "tests: number 1 expects allow, but nearest is 'minter', which fails at stores",
    ),
    "test of a denial": (
        lambda d: d["tests"][0].update(expect="deny"),
        "tests: number 1 expects deny, but 'minter' allows it",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_file_with_a_fault_is_refused_with_its_place(
    tmp_path: Path, document: dict[str, Any], fault: str
) -> None:
    """One line: where, and which rule; never what stood there."""
    spoil, says = FAULTS[fault]
    spoil(document)

    text = yaml.dump(document, Dumper=_NoAliases)

    assert says in _refused(tmp_path, text.encode())


class _NoAliases(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        """Write everything out."""
        del data
        return True


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "cannot be read"),
        (b"{}", "issuers: 'corp': a JWK set has 'keys'"),
        (b"x" * (256 * 1024 + 1), "larger than 262144 bytes"),
    ],
    ids=["missing", "no set", "too large"],
)
def test_a_key_set_that_cannot_be_used_refuses_the_file(
    tmp_path: Path, document: dict[str, Any], jwks: Path, content: bytes | None, says: str
) -> None:
    """An issuer without keys would refuse everybody silently."""
    jwks.unlink()
    if content is not None:
        jwks.write_bytes(content)

    assert says in _refused(tmp_path, yaml.safe_dump(document).encode())


@pytest.mark.parametrize("place", ["nowhere.yaml", "."])
def test_a_file_that_is_not_there_is_refused(tmp_path: Path, place: str) -> None:
    """A folder is not a file either."""
    with pytest.raises(AccessFileError, match="cannot be read"):
        _read(tmp_path / place)
