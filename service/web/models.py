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
from service.core.policy import ACTIONS, MAX_USES
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


def printable(text: SecretStr) -> SecretStr:
    """Return a text without control characters.

    Raises:
        ValueError: It has one.
    """
    if any(unicodedata.category(character) == "Cc" for character in text.get_secret_value()):
        raise ValueError("no control characters")
    return text


def one_line(text: str) -> str:
    """Return a text that stays on its line wherever it is shown.

    Raises:
        ValueError: It does not, or is empty.
    """
    if not text.isprintable() or not text.strip():
        raise ValueError("one line of text")
    return text


Text = Annotated[SecretStr, Field(min_length=1, max_length=1024), AfterValidator(printable)]
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
