"""Bodies and documents of the operations on stores and locks."""

from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    Field,
    SecretStr,
    model_validator,
)

from service.core.lifecycle import Status
from service.core.records import TokenStyle
from service.web.models import (
    STORE_HASH,
    Body,
    Document,
    Flag,
    Limit,
    Query,
    StoreHash,
    Text,
    Time,
    one_line,
    printable,
)


class B2BPasswordCredential(Body):
    """An administrator's e-mail and password, exchanged for a token and then forgotten."""

    kind: Literal["b2b_password"]
    email: Annotated[SecretStr, Field(min_length=3, max_length=254), AfterValidator(printable)]
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

    reason: Annotated[str, Field(max_length=200, examples=["INC-42"]), AfterValidator(one_line)]


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
