"""The schema of ``access.yaml``: strict models, and what they cannot say.

Beyond DESIGN §8: limits on a grant that mints nothing are refused (they would have no effect), and names are unique.
"""

import re
from datetime import timedelta
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from service.adapters.strict_yaml import BadYamlError, load_yaml
from service.core.policy import ACTIONS, DEFAULT_TTL, MAX_USES
from service.core.scope import checked_scope_entry
from service.core.wildcard import matches

_IN_CLUSTER = "/var/run/secrets/kubernetes.io/serviceaccount"
_SPAN = re.compile(r"([0-9]{1,7})(s|m|h)", re.ASCII)
_RATE = re.compile(r"([1-9][0-9]{0,5})/m", re.ASCII)
_SECONDS = {"s": 1, "m": 60, "h": 3600}


class AccessFileError(Exception):
    """The file is refused; the text says where and which rule, never what stood there."""


def _parse_span(value: object) -> timedelta:
    match = _SPAN.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError("a span is a number with s, m or h, such as 15m")
    return timedelta(seconds=int(match[1]) * _SECONDS[match[2]])


def _parse_rate(value: object) -> int:
    match = _RATE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError("a rate is a number with /m, such as 60/m")
    return int(match[1])


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


def _checked_issuer(name: str) -> str:
    if name in ("spiffe", "broker"):
        # An issuer of such a name could make up the identities of any trust domain, or the broker's own.
        raise ValueError(
            "'spiffe:' and 'broker:' begin the identities of trust domains and of the broker itself"
        )
    return name


def _checked_address(url: str) -> str:
    parts = urlsplit(url)  # raises ValueError for brackets that are no address
    try:
        port = parts.port
    except ValueError:  # its own text quotes the value
        raise ValueError("a port is from 1 to 65535") from None
    if not parts.hostname or port == 0:
        raise ValueError("an address has a host, and a port from 1 to 65535 or none")
    return url


def _checked_file_name(name: str) -> str:
    if not name.isprintable():
        raise ValueError("a file name is printable text")
    return name


def _positive(span: timedelta) -> timedelta:
    if span <= timedelta(0):
        raise ValueError("a span is longer than nothing")
    return span


Span = Annotated[timedelta, BeforeValidator(_parse_span), AfterValidator(_positive)]
Rate = Annotated[
    int,
    BeforeValidator(
        _parse_rate, json_schema_input_type=Annotated[str, Field(pattern=f"^{_RATE.pattern}$")]
    ),
]
Scope = Annotated[str, AfterValidator(checked_scope_entry)]
ActionPattern = Annotated[str, AfterValidator(_checked_action)]
CallerPattern = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9._@:/+=|*-]{1,300}$"), AfterValidator(_checked_caller)
]
Identity = Annotated[str, Field(pattern=r"^[A-Za-z0-9._@:/+=|-]{1,300}$")]
StorePattern = Annotated[str, Field(pattern=r"^[a-z0-9*]{1,20}$")]
Name = Annotated[str, Field(min_length=1, max_length=200)]
IssuerName = Annotated[
    str, Field(pattern=r"^[a-z][a-z0-9-]{0,31}$"), AfterValidator(_checked_issuer)
]
AccessKind = Literal["proxy", "redeem"]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


HttpsUrl = Annotated[
    str,
    Field(pattern=r"^https://[A-Za-z0-9.:\[\]-]{1,255}(/[!-~]{0,500})?$"),
    AfterValidator(_checked_address),
]
FileName = Annotated[str, AfterValidator(_checked_file_name)]


class JwksEntry(_Model):
    """Where an issuer's public keys come from: one file, or one address."""

    file: Annotated[FileName, Field(min_length=1)] | None = None
    url: HttpsUrl | None = None
    ca_file: FileName | None = None
    token_file: FileName | None = None

    @model_validator(mode="after")
    def _from_one_place(self) -> "JwksEntry":
        if (self.file is None) == (self.url is None):
            raise ValueError("jwks has a file or a url")
        if self.file is not None and (self.ca_file or self.token_file):
            raise ValueError("ca_file and token_file go with url")
        return self


class ApiServerEntry(_Model):
    """How to reach a cluster's API server; the defaults are what every pod has."""

    url: HttpsUrl = "https://kubernetes.default.svc"
    ca_file: FileName = f"{_IN_CLUSTER}/ca.crt"
    token_file: FileName = f"{_IN_CLUSTER}/token"


class TokenIssuerEntry(_Model):
    """An issuer of workload tokens."""

    name: IssuerName
    issuer: Annotated[str, Field(min_length=1, max_length=500)]
    audience: Annotated[str, Field(min_length=1, max_length=200)]
    jwks: JwksEntry


class KubernetesEntry(TokenIssuerEntry):
    """A cluster; gives ``<name>:<namespace>/<service account>``."""

    type: Literal["kubernetes"]
    token_review: bool = False
    api_server: ApiServerEntry = ApiServerEntry()


class OidcEntry(TokenIssuerEntry):
    """An identity provider; gives ``<name>:<sub>``."""

    type: Literal["oidc"]


class BundleEntry(_Model):
    """Where a trust domain's authorities are: a file with certificates in PEM."""

    file: Annotated[FileName, Field(min_length=1)]


class SpiffeEntry(_Model):
    """A SPIFFE trust domain; gives ``spiffe://<trust domain>/<path>``, from a client certificate or a JWT-SVID."""

    name: IssuerName
    type: Literal["spiffe"]
    trust_domain: Annotated[str, Field(pattern=r"^[a-z0-9._-]{1,255}$")]
    bundle: BundleEntry | None = None
    audience: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    jwks: JwksEntry | None = None

    @model_validator(mode="after")
    def _proves_something(self) -> "SpiffeEntry":
        if (self.jwks is None) != (self.audience is None):
            raise ValueError("jwks and audience go together: they are for JWT-SVIDs")
        if self.bundle is None and self.jwks is None:
            raise ValueError("spiffe has a bundle, for client certificates, or jwks, or both")
        return self


class ApiKeyEntry(_Model):
    """One API key, as its SHA-256."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,100}$")]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class ApiKeyIssuerEntry(_Model):
    """API keys; gives ``<name>:<key's name>``."""

    name: IssuerName
    type: Literal["api_key"]
    keys: list[ApiKeyEntry]


class LimitsEntry(_Model):
    """What a grant lets be minted; see ``Limits`` of the policy."""

    access: list[AccessKind] = ["proxy"]
    audiences: list[CallerPattern] = []
    max_ttl: Span = DEFAULT_TTL
    max_uses: Annotated[int, Field(ge=1, le=MAX_USES)] | None = None
    requests: list[Scope] = []
    max_rate: Rate | None = None

    @model_validator(mode="after")
    def _only_the_proxy_has_a_rate(self) -> "LimitsEntry":
        if self.max_rate is not None and "proxy" not in self.access:
            raise ValueError("max_rate binds the proxy only; whoever redeems has the token")
        return self


class GrantEntry(_Model):
    """One grant; see ``AccessGrant`` of the policy."""

    name: Name
    callers: Annotated[list[CallerPattern], Field(min_length=1)]
    stores: Annotated[list[StorePattern], Field(min_length=1)]
    actions: Annotated[list[ActionPattern], Field(min_length=1)]
    limits: LimitsEntry | None = None


class WithEntry(_Model):
    """What a test of minting asks for."""

    access: AccessKind = "proxy"
    audience: Identity | None = None
    ttl: Span | None = None
    max_uses: Annotated[int, Field(ge=1)] | None = None
    requests: list[Scope] | None = None


class TestEntry(_Model):
    """One of the file's own tests."""

    caller: Identity
    action: Literal[ACTIONS]  # type: ignore[valid-type]  # the literals are the policy's own tuple
    store: StorePattern
    ask: Annotated[WithEntry | None, Field(alias="with")] = None
    expect: Literal["allow", "deny"]


class AccessDocument(_Model):
    """The whole file."""

    version: Annotated[int, Field(ge=1, le=1)]
    issuers: list[
        Annotated[
            KubernetesEntry | OidcEntry | SpiffeEntry | ApiKeyIssuerEntry,
            Field(discriminator="type"),
        ]
    ]
    grants: list[GrantEntry]
    tests: list[TestEntry] = []


def access_schema() -> dict[str, Any]:
    """Return the JSON Schema of access files, for editors."""
    return AccessDocument.model_json_schema(by_alias=True)


def parse_document(content: bytes) -> AccessDocument:
    """Return the document of an access file.

    Raises:
        AccessFileError: It breaks the schema.
    """
    try:
        document = AccessDocument.model_validate(load_yaml(content))
    except BadYamlError as error:
        raise AccessFileError(str(error)) from None
    except ValidationError as error:
        raise AccessFileError(_first_error(error)) from None
    _refuse_ambiguity(document)
    return document


def _first_error(error: ValidationError) -> str:
    first = error.errors(include_input=False, include_url=False, include_context=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    # This one text of pydantic quotes what stood there.
    unknown = first["type"] == "union_tag_invalid"
    rule = "not one of the known types" if unknown else first["msg"].removeprefix("Value error, ")
    return f"{where or 'the file'}: {rule}"


def _refuse_ambiguity(file: AccessDocument) -> None:
    names = [issuer.name for issuer in file.issuers]
    urls = [issuer.issuer for issuer in file.issuers if isinstance(issuer, TokenIssuerEntry)]
    domains = [i.trust_domain for i in file.issuers if isinstance(i, SpiffeEntry)]
    grants = [grant.name for grant in file.grants]
    for what, values in (
        ("issuer names", names),
        ("issuer URLs", urls),
        ("trust domains", domains),
        ("grant names", grants),
    ):
        if len(set(values)) != len(values):
            raise AccessFileError(f"{what} are unique")
    for grant in file.grants:
        mints = any(matches(pattern, "reference.mint", ".") for pattern in grant.actions)
        if grant.limits is not None and not mints:
            raise AccessFileError(f"grants: '{grant.name}' has limits and mints nothing")
