"""Bodies and documents of the operations on references."""

from typing import Annotated, Any, Literal

from pydantic import (
    Field,
    model_validator,
)

from service.core.policy import MAX_USES
from service.web.models import (
    Body,
    Document,
    Identity,
    Limit,
    Query,
    ReferenceText,
    Scope,
    StoreHash,
    Time,
)


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
