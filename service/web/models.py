"""The wire models of the API: strict in what they take, and the source of the OpenAPI document."""

import re
import unicodedata
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    SecretStr,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)

from service.core.caller import Proof
from service.core.clock import rfc3339
from service.core.lifecycle import Status
from service.core.policy import ACTIONS, MAX_USES
from service.core.records import TokenStyle
from service.core.scope import checked_scope_entry


def _checked_number(text: Any) -> Any:
    # Python reads more spellings of a number than a query should have.
    if isinstance(text, str) and not re.fullmatch("[0-9]{1,9}", text, re.ASCII):
        raise ValueError("a number is digits")
    return text


def _checked_flag(text: Any) -> Any:
    # Python and YAML read more spellings of a truth value than a query should have.
    if isinstance(text, str) and text not in ("true", "false"):
        raise ValueError("true or false")
    return text


STORE_HASH = r"^[a-z0-9]{4,20}$"
IDENTITY = r"^[A-Za-z0-9._@:/+=|-]{1,300}$"
Time = Annotated[
    datetime,
    PlainSerializer(rfc3339, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
StoreHash = Annotated[
    str, StringConstraints(pattern=STORE_HASH), Field(description="The store's permanent id.")
]
Identity = Annotated[str, StringConstraints(pattern=IDENTITY)]
Scope = Annotated[
    str,
    StringConstraints(max_length=500),
    AfterValidator(checked_scope_entry),
    Field(examples=["GET /api/v3/io/companies/**"]),
]


def _printable(text: SecretStr) -> SecretStr:
    if any(unicodedata.category(character) == "Cc" for character in text.get_secret_value()):
        raise ValueError("no control characters")
    return text


def _one_line(text: str) -> str:
    if not text.isprintable() or not text.strip():
        raise ValueError("one line of text")
    return text


Text = Annotated[SecretStr, Field(min_length=1, max_length=1024), AfterValidator(_printable)]
Limit = Annotated[int, BeforeValidator(_checked_number), Field(ge=1, le=200)]
Flag = Annotated[bool, BeforeValidator(_checked_flag)]
ReferenceText = Annotated[SecretStr, Field(min_length=1, max_length=200)]


class Body(BaseModel):
    """What callers send: unknown members and near misses of types are refused."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


class Query(BaseModel):
    """What callers ask for in a query, where everything is text."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Document(BaseModel):
    """What the broker answers."""

    model_config = ConfigDict(frozen=True, extra="forbid")


# --- stores


class B2BPasswordCredential(Body):
    """An administrator's e-mail and password, exchanged for a token and then forgotten."""

    kind: Literal["b2b_password"]
    email: Annotated[SecretStr, Field(min_length=3, max_length=254), AfterValidator(_printable)]
    password: Text


class AccessTokenCredential(Body):
    """The token of a BigCommerce API account with the B2B Edition scope."""

    kind: Literal["access_token"]
    access_token: Annotated[SecretStr, Field(min_length=20, max_length=128)]

    @model_validator(mode="after")
    def _is_opaque(self) -> "AccessTokenCredential":
        text = self.access_token.get_secret_value()
        if not (text.isascii() and text.isalnum()):
            raise ValueError("an access token is letters and digits")
        return self


class PutStore(Body):
    """Make a store active."""

    credential: Annotated[
        B2BPasswordCredential | AccessTokenCredential, Field(discriminator="kind")
    ]
    retain: Annotated[bool, Field(description="Keep the password, sealed, for self-repair.")] = (
        False
    )


class RotateStore(Body):
    """Give a store a new token."""

    credential: Annotated[
        Annotated[B2BPasswordCredential | AccessTokenCredential, Field(discriminator="kind")]
        | None,
        Field(description="Default: the credential that is mounted or retained."),
    ] = None


class PreviousTokenDocument(Document):
    """The token before the active one."""

    generation: int
    token_style: TokenStyle
    until: Annotated[
        Time | None, Field(description="When it is deleted; until then a rollback brings it back.")
    ]


class AttemptDocument(Document):
    """An attempt to get a token whose outcome is not known."""

    attempt: str
    token_name: Annotated[str, Field(description="What its token is called upstream, if any.")]
    started_at: Time


class OrphanDocument(AttemptDocument):
    """An abandoned attempt, and whether there is a token of it."""

    alive: Annotated[bool | None, Field(description="Null: no token at hand can look it up.")]


class OrphansDocument(Document):
    """Tokens upstream that the broker does not keep."""

    orphans: list[OrphanDocument]
    unproven: Annotated[
        list[str],
        Field(description="Names that look like ours and are not proven to be; never deleted."),
    ]


class OrphansQuery(Query):
    """How far to go."""

    forget: Annotated[
        Flag,
        Field(
            description="Also forget attempts whose token cannot be looked up: the operator has seen that there is none."
        ),
    ] = False


class LockStores(Body):
    """Why; for those who find it locked."""

    reason: Annotated[str, Field(max_length=200, examples=["INC-42"]), AfterValidator(_one_line)]


class LockNote(Document):
    """A lock that is on. Who and why are as stored: the audit trail is what proves them."""

    scope: Literal["store", "all"]
    by: Annotated[str, Field(description="Empty: the note cannot be read; locked all the same.")]
    reason: str
    since: Time | None


class LockDocument(Document):
    """What is locked, or is not any more."""

    store_hash: Annotated[str, Field(description="`*`: all stores.")]
    lock: LockNote | None


class StoreLockNote(LockNote):
    """The lock of one store."""

    store_hash: StoreHash


class LocksDocument(Document):
    """Every lock that the caller may see."""

    on_all: LockNote | None
    stores: Annotated[list[StoreLockNote], Field(description="Also of stores that are gone.")]


class StoreDocument(Document):
    """A store; never a secret."""

    store_hash: StoreHash
    status: Status
    reason: Annotated[str, Field(description="Why it is not active; empty when it is.")]
    token_style: TokenStyle | None
    generation: Annotated[int, Field(description="Which of the store's tokens is the active one.")]
    deprecated: Annotated[
        bool, Field(description="Its token is of the style that ended 2025-09-30.")
    ]
    retained: Annotated[bool, Field(description="Its password is kept, sealed.")]
    issued_at: Time | None
    expires_at: Annotated[Time | None, Field(description="Most tokens do not expire.")]
    last_used_at: Annotated[Time | None, Field(description="To the minute.")]
    live_references: int
    previous: PreviousTokenDocument | None
    attempts: Annotated[
        list[AttemptDocument], Field(description="Attempts whose outcome is not known.")
    ]
    lock: Annotated[
        LockNote | None, Field(description="Nobody can use it until this is taken off.")
    ]


class StoresPage(Document):
    """A page of stores, sorted by hash."""

    stores: list[StoreDocument]
    next_cursor: Annotated[str | None, Field(description="For the next page; null on the last.")]


class StoresQuery(Query):
    """Which page of stores."""

    deprecated: Annotated[
        Flag | None, Field(description="Only stores that are, or only those that are not.")
    ] = None
    cursor: Annotated[str, Field(pattern=STORE_HASH)] | None = None
    limit: Limit = 50


# --- references


class MintReference(Body):
    """What the reference is to be; what is left out is decided by policy."""

    store_hash: StoreHash
    access: Literal["proxy", "redeem"] = "proxy"
    audience: Annotated[
        Identity | None, Field(description="Who may use it; default: the caller.")
    ] = None
    ttl_seconds: Annotated[int | None, Field(ge=1, le=86_400, description="Default: 300.")] = None
    max_uses: Annotated[
        int | None,
        Field(ge=1, le=MAX_USES, description="Default: 1 to redeem, no limit to proxy."),
    ] = None
    requests: Annotated[
        list[Scope] | None,
        Field(min_length=1, max_length=50, description="Default: all that the grant allows."),
    ] = None

    @model_validator(mode="after")
    def _only_the_proxy_has_a_scope(self) -> "MintReference":
        if self.access == "redeem" and self.requests is not None:
            raise ValueError("requests bind the proxy only; whoever redeems has the token")
        return self


class GrantFields(Document):
    """What a reference stands for."""

    accessor: str
    store_hash: StoreHash
    audience: str
    access: Literal["proxy", "redeem"]
    requests: Annotated[
        list[str], Field(description="Empty: every request that the proxy forwards.")
    ]
    max_uses: Annotated[int | None, Field(description="Null: no limit.")]
    max_rate: Annotated[
        int | None,
        Field(description="Requests a minute through the proxy; null: no limit of its own."),
    ]
    expires_at: Time


class MintedReferenceDocument(GrantFields):
    """A fresh reference; it is shown this once."""

    reference: str


class ReferenceDocument(GrantFields):
    """A live reference, without the reference itself."""

    uses_left: int | None
    minted_by: str
    minted_at: Time


class ReferencesPage(Document):
    """A page of live references, the first to expire first."""

    references: list[ReferenceDocument]
    next_cursor: str | None


class ReferencesQuery(Query):
    """Whose references, and which page."""

    store_hash: StoreHash
    cursor: Annotated[str, Field(pattern=r"^[0-9]{1,16}\.[0-9A-Za-z]{43}$")] | None = None
    limit: Limit = 50


class ReferenceOnly(Body):
    """A reference."""

    reference: ReferenceText


class RedeemedDocument(Document):
    """What to call the upstream with. The style of the token does not matter to whoever sets all of ``headers``."""

    headers: dict[str, str]
    base_url: str
    store_hash: StoreHash
    expires_at: Time


class InactiveDocument(Document):
    """Not live, or not the caller's to know."""

    active: Literal[False]


class ActiveDocument(ReferenceDocument):
    """A live reference."""

    active: Literal[True]


class Revoke(Body):
    """Exactly one of the members says what to revoke."""

    reference: ReferenceText | None = None
    store_hash: StoreHash | None = None
    caller: Identity | None = None
    all: Literal[True] | None = None

    @model_validator(mode="before")
    @classmethod
    def _exactly_one(cls, members: Any) -> Any:
        # A null, or a 1 that passes for true, must never widen what is revoked.
        if isinstance(members, dict) and (len(members) != 1 or None in members.values()):
            raise ValueError("exactly one of reference, store_hash, caller and all")
        if isinstance(members, dict) and members.get("all", True) is not True:
            raise ValueError("all is true")
        return members


class RevokedDocument(Document):
    """What was revoked."""

    scope: Literal["reference", "store", "caller", "all"]
    revoked: Annotated[bool, Field(description="False: there was no such live reference.")]
    accessor: str | None = None
    store_hash: str | None = None
    caller: str | None = None


# --- callers


class GrantSummary(Document):
    """A grant of the access file that names the caller."""

    name: str
    stores: list[str]
    actions: list[str]


class WhoamiDocument(Document):
    """Who the caller is to the broker."""

    identity: str
    issuer: str
    proof: Proof
    expires_at: Time | None
    grants: list[GrantSummary]
    policy: Annotated[str, Field(description="SHA-256 of the access file in force.")]


# --- policy


class ExplainPolicy(Body):
    """A request that is not made: who would do what; the rest only for ``reference.mint``."""

    caller: Identity
    action: Literal[ACTIONS]  # type: ignore[valid-type]  # the literals are the policy's own tuple
    store_hash: Annotated[
        str,
        StringConstraints(pattern=r"^([a-z0-9]{4,20}|\*)$"),
        Field(description="`*`: all stores."),
    ]
    access: Literal["proxy", "redeem"] | None = None
    audience: Identity | None = None
    ttl_seconds: Annotated[int | None, Field(ge=1, le=86_400)] = None
    max_uses: Annotated[int | None, Field(ge=1, le=MAX_USES)] = None
    requests: Annotated[list[Scope] | None, Field(min_length=1, max_length=50)] = None

    @model_validator(mode="after")
    def _only_minting_has_terms(self) -> "ExplainPolicy":
        terms = (self.access, self.audience, self.ttl_seconds, self.max_uses, self.requests)
        if self.action != "reference.mint" and any(term is not None for term in terms):
            raise ValueError("these say what to mint")
        return self


class TermsDocument(Document):
    """What the reference would be."""

    access: Literal["proxy", "redeem"]
    audience: str
    ttl_seconds: int
    max_uses: int | None
    max_rate: Annotated[
        int | None,
        Field(description="Requests a minute through the proxy; null: no limit of its own."),
    ]
    requests: list[str]


class ExplanationDocument(Document):
    """What policy decides, and why."""

    allowed: bool
    grant: Annotated[
        str | None, Field(description="The grant that allows it, or the one that came nearest.")
    ]
    failed: Annotated[
        str | None, Field(description="The first condition of the nearest grant that fails.")
    ]
    terms: TermsDocument | None
    policy: Annotated[str, Field(description="SHA-256 of the access file in force.")]


class ProblemDocument(Document):
    """A problem (RFC 9457)."""

    model_config = ConfigDict(frozen=True, extra="allow")

    type: str
    title: str
    status: int
    detail: str
    request_id: str


# --- the audit trail


class AuditHeadDocument(Document):
    """How far one writer's chain has come, as that writer signed it."""

    writer: str
    signed: Annotated[
        str, Field(description="Signature and body; `broker audit verify` reads and checks them.")
    ]


class AuditHeadsPage(Document):
    """A page of heads, sorted by writer."""

    heads: list[AuditHeadDocument]
    next_cursor: Annotated[str | None, Field(description="For the next page; null on the last.")]


class AuditHeadsQuery(Query):
    """Which page of heads."""

    cursor: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")] | None = None
    limit: Limit = 50
