"""``access.yaml``: who may call, and what. Read whole, checked whole, or refused whole.

The schema is DESIGN §8. Beyond it: duplicate keys, aliases and anchors are refused (two readers could understand them differently),
limits on a grant that mints nothing are refused (they would have no effect), and the file's own ``tests`` must come out as expected.
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from service.adapters.api_keys import ApiKeys
from service.adapters.issuer_links import Address, IssuerLinks
from service.adapters.jwk_sets import JwkSetError, parse_jwk_set
from service.adapters.workload_tokens import KeySource, TokenIssuer, WorkloadTokens
from service.core.caller import Caller
from service.core.clock import Clock
from service.core.policy import (
    ACTIONS,
    DEFAULT_TTL,
    MAX_USES,
    AccessGrant,
    Decision,
    Limits,
    MintAsk,
    Policy,
)
from service.core.scope import parse_scope_entry
from service.core.secret import Secret
from service.core.wildcard import matches

_LARGEST_FILE = 1024 * 1024
_LARGEST_JWK_SET = 256 * 1024
_DEEPEST = 20
_IN_CLUSTER = "/var/run/secrets/kubernetes.io/serviceaccount"
_MERGE = "tag:yaml.org,2002:merge"
_SPAN = re.compile(r"([0-9]{1,7})(s|m|h)", re.ASCII)
_SECONDS = {"s": 1, "m": 60, "h": 3600}


class AccessFileError(Exception):
    """The file is refused; the text says where and which rule, never what stood there."""


def _parse_span(value: object) -> timedelta:
    match = _SPAN.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError("a span is a number with s, m or h, such as 15m")
    return timedelta(seconds=int(match[1]) * _SECONDS[match[2]])


def _checked_scope(entry: str) -> str:
    parse_scope_entry(entry)
    return entry


def _checked_action(pattern: str) -> str:
    if not any(matches(pattern, action, ".") for action in ACTIONS):
        raise ValueError("there is no such action")
    return pattern


def _checked_caller(pattern: str) -> str:
    if ":" not in pattern:
        raise ValueError(
            "a caller begins with its issuer's name and ':'; a wildcard never crosses ':' or '/'"
        )
    return pattern


def _positive(span: timedelta) -> timedelta:
    if span <= timedelta(0):
        raise ValueError("a span is longer than nothing")
    return span


Span = Annotated[timedelta, BeforeValidator(_parse_span), AfterValidator(_positive)]
Scope = Annotated[str, AfterValidator(_checked_scope)]
ActionPattern = Annotated[str, AfterValidator(_checked_action)]
CallerPattern = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9._@:/+=|*-]{1,300}$"), AfterValidator(_checked_caller)
]
Identity = Annotated[str, Field(pattern=r"^[A-Za-z0-9._@:/+=|-]{1,300}$")]
StorePattern = Annotated[str, Field(pattern=r"^[a-z0-9*]{1,20}$")]
Name = Annotated[str, Field(min_length=1, max_length=200)]
IssuerName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,31}$")]
AccessKind = Literal["proxy", "redeem"]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


HttpsUrl = Annotated[str, Field(pattern=r"^https://[A-Za-z0-9.:\[\]-]{1,255}(/[!-~]{0,500})?$")]


class _Jwks(_Model):
    file: str | None = None
    url: HttpsUrl | None = None
    ca_file: str | None = None
    token_file: str | None = None

    @model_validator(mode="after")
    def _from_one_place(self) -> "_Jwks":
        if (self.file is None) == (self.url is None):
            raise ValueError("jwks has a file or a url")
        if self.file is not None and (self.ca_file or self.token_file):
            raise ValueError("ca_file and token_file go with url")
        return self


class _ApiServer(_Model):
    url: HttpsUrl = "https://kubernetes.default.svc"
    ca_file: str = f"{_IN_CLUSTER}/ca.crt"
    token_file: str = f"{_IN_CLUSTER}/token"


class _TokenIssuer(_Model):
    name: IssuerName
    issuer: Annotated[str, Field(min_length=1, max_length=500)]
    audience: Annotated[str, Field(min_length=1, max_length=200)]
    jwks: _Jwks


class _Kubernetes(_TokenIssuer):
    type: Literal["kubernetes"]
    token_review: bool = False
    api_server: _ApiServer = _ApiServer()


class _Oidc(_TokenIssuer):
    type: Literal["oidc"]


class _ApiKey(_Model):
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,100}$")]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _ApiKeyIssuer(_Model):
    name: IssuerName
    type: Literal["api_key"]
    keys: list[_ApiKey]


class _Limits(_Model):
    access: list[AccessKind] = ["proxy"]
    audiences: list[CallerPattern] = []
    max_ttl: Span = DEFAULT_TTL
    max_uses: Annotated[int, Field(ge=1, le=MAX_USES)] | None = None
    requests: list[Scope] = []


class _Grant(_Model):
    name: Name
    callers: Annotated[list[CallerPattern], Field(min_length=1)]
    stores: Annotated[list[StorePattern], Field(min_length=1)]
    actions: Annotated[list[ActionPattern], Field(min_length=1)]
    limits: _Limits | None = None


class _With(_Model):
    access: AccessKind = "proxy"
    audience: Identity | None = None
    ttl: Span | None = None
    max_uses: Annotated[int, Field(ge=1)] | None = None
    requests: list[Scope] | None = None


class _Test(_Model):
    caller: Identity
    action: Literal[ACTIONS]  # type: ignore[valid-type]  # the literals are the policy's own tuple
    store: StorePattern
    ask: Annotated[_With | None, Field(alias="with")] = None
    expect: Literal["allow", "deny"]


class _File(_Model):
    version: Annotated[int, Field(ge=1, le=1)]
    issuers: list[Annotated[_Kubernetes | _Oidc | _ApiKeyIssuer, Field(discriminator="type")]]
    grants: list[_Grant]
    tests: list[_Test] = []


@dataclass(frozen=True, slots=True)
class AccessSnapshot:
    """One version of the file, ready for use. Fulfils ``Access``."""

    policy: Policy
    tokens: WorkloadTokens
    keys: ApiKeys
    files: tuple[str, ...]

    def by_token(self, token: Secret) -> Caller:
        """See ``Access.by_token``."""
        return self.tokens.verify(token)

    def by_key(self, key: Secret) -> Caller:
        """See ``Access.by_key``."""
        return self.keys.verify(key)


def read_access_file(path: str, clock: Clock, links: IssuerLinks | None = None) -> AccessSnapshot:
    """Return the snapshot of an access file.

    Args:
        path: Of the file.
        clock: For the ends of tokens.
        links: The ways to issuers, kept from one version of the file to the next.

    Raises:
        AccessFileError: It cannot be read, breaks the schema, or fails its own tests.
    """
    content = _read(Path(path), _LARGEST_FILE)
    file = _parse(content)
    policy = _policy(file, content)
    for number, result in enumerate(_run_tests(file, policy), start=1):
        if not result.passed:
            raise AccessFileError(
                f"tests: number {number} expects {result.expected}, but {result.because}"
            )
    named = [
        issuer.jwks.file
        for issuer in file.issuers
        if isinstance(issuer, _TokenIssuer) and issuer.jwks.file
    ]
    return AccessSnapshot(
        policy=policy,
        tokens=WorkloadTokens(dict(_token_issuers(file, links or IssuerLinks())), clock),
        keys=ApiKeys(_key_callers(file)),
        files=(path, *named),
    )


@dataclass(frozen=True, slots=True)
class PolicyTest:
    """What became of one of the file's own tests."""

    caller: str
    action: str
    store: str
    expected: str
    passed: bool
    because: str


@dataclass(frozen=True, slots=True)
class PolicyFile:
    """An access file without the means to verify callers: for looking at it anywhere."""

    policy: Policy
    tests: tuple[PolicyTest, ...]
    identities: tuple[str, ...]


def read_policy(path: str) -> PolicyFile:
    """Return the policy of an access file; its tests may fail, and the key files that it names are not looked at.

    Raises:
        AccessFileError: It cannot be read, or breaks the schema.
    """
    content = _read(Path(path), _LARGEST_FILE)
    file = _parse(content)
    policy = _policy(file, content)
    named = [test.caller for test in file.tests]
    named += [
        f"{i.name}:{key.name}"
        for i in file.issuers
        if isinstance(i, _ApiKeyIssuer)
        for key in i.keys
    ]
    return PolicyFile(policy, tuple(_run_tests(file, policy)), tuple(named))


def access_schema() -> dict[str, Any]:
    """Return the JSON Schema of access files, for editors."""
    return _File.model_json_schema(by_alias=True)


def _parse(content: bytes) -> _File:
    try:
        file = _File.model_validate(_load_yaml(content))
    except ValidationError as error:
        raise AccessFileError(_first_error(error)) from None
    _refuse_ambiguity(file)
    return file


def _policy(file: _File, content: bytes) -> Policy:
    grants = tuple(_grant(grant) for grant in file.grants)
    return Policy(grants, hashlib.sha256(content).hexdigest())


def _read(path: Path, limit: int) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(limit + 1)
    except OSError:
        raise AccessFileError(f"{path} cannot be read") from None
    if len(content) > limit:
        raise AccessFileError(f"{path} is larger than {limit} bytes")
    return content


class _UniqueLoader(yaml.SafeLoader):
    """Refuses what two readers could understand differently."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002 — PyYAML's signature
        if any(key.tag == _MERGE for key, _ in node.value):
            raise AccessFileError(f"line {_line(node.start_mark)}: merge keys are not allowed")
        mapping = super().construct_mapping(node, deep)
        if len(mapping) != len(node.value):
            raise AccessFileError(f"line {_line(node.start_mark)}: a key stands twice")
        return mapping


def _refuse_features(events: Iterator[Any]) -> None:
    """Refuse what a list of grants has no use for: anchors, aliases, explicit types, and deep nesting, which is slow to read."""
    depth = 0
    for event in events:
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if getattr(event, "anchor", None) or getattr(event, "tag", None) or depth > _DEEPEST:
            raise AccessFileError(
                f"line {_line(event.start_mark)}: anchors, aliases, types and deep nesting are not allowed"
            )


def _load_yaml(content: bytes) -> Any:
    try:
        _refuse_features(yaml.parse(content, Loader=yaml.SafeLoader))
        return yaml.load(content, Loader=_UniqueLoader)  # noqa: S506 — a SafeLoader, stricter
    except yaml.MarkedYAMLError as error:
        raise AccessFileError(f"line {_line(error.problem_mark)}: not YAML") from None
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError):
        raise AccessFileError("not YAML") from None


def _line(mark: Any) -> int:
    return int(mark.line) + 1 if mark else 1


def _first_error(error: ValidationError) -> str:
    first = error.errors(include_input=False, include_url=False, include_context=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    # This one text of pydantic quotes what stood there.
    rule = "not one of the known types" if first["type"] == "union_tag_invalid" else first["msg"]
    return f"{where or 'the file'}: {rule}"


def _refuse_ambiguity(file: _File) -> None:
    names = [issuer.name for issuer in file.issuers]
    urls = [issuer.issuer for issuer in file.issuers if isinstance(issuer, _TokenIssuer)]
    grants = [grant.name for grant in file.grants]
    for what, values in (("issuer names", names), ("issuer URLs", urls), ("grant names", grants)):
        if len(set(values)) != len(values):
            raise AccessFileError(f"{what} are unique")
    for grant in file.grants:
        mints = any(matches(pattern, "reference.mint", ".") for pattern in grant.actions)
        if grant.limits is not None and not mints:
            raise AccessFileError(f"grants: '{grant.name}' has limits and mints nothing")


def _grant(grant: _Grant) -> AccessGrant:
    limits = grant.limits or _Limits()
    return AccessGrant(
        name=grant.name,
        callers=tuple(grant.callers),
        stores=tuple(grant.stores),
        actions=tuple(grant.actions),
        limits=Limits(
            access=tuple(limits.access),
            audiences=tuple(limits.audiences),
            max_ttl=limits.max_ttl,
            max_uses=limits.max_uses,
            requests=tuple(limits.requests),
        ),
    )


def _run_tests(file: _File, policy: Policy) -> Iterator[PolicyTest]:
    for number, test in enumerate(file.tests, start=1):
        ask = None
        if test.action == "reference.mint":
            asked = test.ask or _With()
            requests = None if asked.requests is None else tuple(asked.requests)
            ask = MintAsk(asked.access, asked.audience, asked.ttl, asked.max_uses, requests)
        elif test.ask is not None:
            raise AccessFileError(f"tests: number {number} has 'with' and mints nothing")
        decision = policy.decide(test.caller, test.action, test.store, ask)
        yield PolicyTest(
            caller=test.caller,
            action=test.action,
            store=test.store,
            expected=test.expect,
            passed=decision.allowed == (test.expect == "allow"),
            because=_because(decision),
        )


def _because(decision: Decision) -> str:
    if decision.allowed:
        return f"'{decision.grant}' allows it"
    if not decision.grant:
        return "no grant names the caller"
    return f"nearest is '{decision.grant}', which fails at {decision.failed}"


def _token_issuers(file: _File, links: IssuerLinks) -> Iterator[tuple[str, TokenIssuer]]:
    for issuer in file.issuers:
        if isinstance(issuer, _Kubernetes | _Oidc):
            try:
                yield issuer.issuer, _token_issuer(issuer, links)
            except JwkSetError as error:
                raise AccessFileError(f"issuers: '{issuer.name}': {error}") from None
            except OSError:
                raise AccessFileError(
                    f"issuers: '{issuer.name}': a file that it names cannot be read"
                ) from None


def _token_issuer(issuer: _Kubernetes | _Oidc, links: IssuerLinks) -> TokenIssuer:
    reviews = None
    server = issuer.api_server if isinstance(issuer, _Kubernetes) else None
    if isinstance(issuer, _Kubernetes) and issuer.token_review and server is not None:
        address = Address(server.url, server.ca_file, server.token_file)
        reviews = links.reviews(address, issuer.audience)
    return TokenIssuer(
        name=issuer.name,
        kind=issuer.type,
        issuer=issuer.issuer,
        audience=issuer.audience,
        keys=_keys(issuer.jwks, server, links),
        reviews=reviews,
    )


def _keys(jwks: _Jwks, server: _ApiServer | None, links: IssuerLinks) -> KeySource:
    """Return the issuer's keys; a cluster's own addresses are asked with what the cluster gives to its pods."""
    if jwks.url is None:
        return parse_jwk_set(_read(Path(jwks.file or ""), _LARGEST_JWK_SET))
    ca_file = jwks.ca_file if jwks.ca_file is not None else server.ca_file if server else ""
    token_file = (
        jwks.token_file if jwks.token_file is not None else server.token_file if server else ""
    )
    return links.keys(Address(jwks.url, ca_file, token_file))


def _key_callers(file: _File) -> dict[str, Caller]:
    callers: dict[str, Caller] = {}
    for issuer in file.issuers:
        if isinstance(issuer, _ApiKeyIssuer):
            for key in issuer.keys:
                if key.sha256 in callers:
                    raise AccessFileError(f"issuers: '{issuer.name}': a key stands twice")
                identity = f"{issuer.name}:{key.name}"
                callers[key.sha256] = Caller(identity, issuer.name, "api_key")
    return callers
