"""The switches that make the sandbox misbehave: default, meaning, and where it is documented.

The defaults are a fast and well-behaved upstream. A switch is set for all stores, or for one store
over that. README.md shows the same table; a test compares the two.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from sandbox.checks import (
    amount,
    count,
    failures,
    header_map,
    one_of,
    seconds_or_range,
    text,
    yes_or_no,
)
from sandbox.delivery import Delivery

if TYPE_CHECKING:
    from sandbox.checks import Check

CREATE_OUTCOMES = (
    "normal",
    "bad_credentials",
    "role_forbidden",
    "ok_with_422_body",
    "saving_error",
    "commit_then_drop",
    "commit_then_hang",
    "commit_then_500",
    "drop_before_commit",
    "status_500",
    "status_503",
    "status_429",
    "hang",
    "html",
    "redirect",
    "empty_token",
    "huge_body",
    "wrong_store_claim",
)
INVALID_TOKEN_ANSWERS = ("401_A", "401_F", "401_G", "403_A", "403_F", "403_G", "200_A")
MANAGEMENT_OUTCOMES = (
    "normal",
    "ok_with_422_body",
    "session_expired",
    "saving_error",
    "html",
    "huge_body",
)
CONNECTION_FAULTS = ("none", "drop", "truncate", "close", "close_silently")


def _about(check: Check, meaning: str, source: str) -> dict[str, Any]:
    return {"check": check, "meaning": meaning, "source": source}


def _switch(default: Any, check: Check, meaning: str, source: str) -> Any:
    return field(default=default, metadata=_about(check, meaning, source))


def _off(meaning: str, source: str) -> Any:
    return field(default=False, metadata=_about(yes_or_no(), meaning, source))


def _on(meaning: str, source: str) -> Any:
    return field(default=True, metadata=_about(yes_or_no(), meaning, source))


@dataclass(frozen=True)
class Behaviours:
    """How the sandbox behaves towards one store."""

    create_shape: str = _switch(
        "list",
        one_of("list", "object", "token_array"),
        "where `data` of a created token has the value",
        "§1.1",
    )
    create_outcome: str = _switch(
        "normal",
        one_of(*CREATE_OUTCOMES),
        "what a create with the right password comes to",
        "§1.1, §2.4",
    )
    create_delay_seconds: float = _switch(0, amount(), "wait before a create is decided", "§3")
    create_hang_seconds: float = _switch(
        30, amount(), "how long the outcomes `hang` and `commit_then_hang` hold on", "§7 S20"
    )
    honour_end_at: bool = _on("`endAt` bounds the token", "§1.5, U4")
    unknown_store_answer: int = _switch(
        400, one_of(400, 404, 422), "create for a store that does not exist", "§1.1, U3"
    )
    duplicate_name_refused: bool = _off(
        "a second live token of one name is refused (400)", "§1.1, U3"
    )
    delete_needs_token: bool = _on("delete without a live `authToken` is refused", "§1.3")
    self_delete_allowed: bool = _on("a token may delete itself (otherwise 403)", "§1.3")
    revocation_delay_seconds: float = _switch(
        0, amount(), "how long a deleted token still opens everything", "§1.3"
    )
    password_change_kills_tokens: bool = _off(
        "a changed password or role deletes the user's tokens", "U5"
    )
    auth_endpoints_take_x_auth_token: bool = _off(
        "list and delete accept `X-Auth-Token` + `X-Store-Hash`", "U8"
    )
    v2_takes_x_auth_token: bool = _off(
        "`/api/v2/io` accepts `X-Auth-Token` + `X-Store-Hash`", "§2.1, U8"
    )
    invalid_token_answer: str = _switch(
        "401_A",
        one_of(*INVALID_TOKEN_ANSWERS),
        "status and shape for an invalid, revoked or expired token",
        "§2.3, U1",
    )
    hash_mismatch_answer: int = _switch(
        500, one_of(500, 403), "`X-Auth-Token` without or with another store's hash", "§2.1, U7"
    )
    mixed_styles_answer: int = _switch(
        400,
        one_of(400, 403, 500),
        "`authToken` together with `X-Store-Hash` or `X-Auth-Token`",
        "§2.1",
    )
    rate_limit_per_minute: int = _switch(
        150, count(), "requests of one store in 60 s; 0 = no limit", "§3"
    )
    rate_limit_retry_after: bool = _on("429 carries `Retry-After`", "§3, U7")
    rate_limit_counts_create: bool = _off(
        "creating a token takes a place in the same window", "§3, U6"
    )
    sub_limit_per_minute: int = _switch(
        15, count(), "the same for attachments and hierarchy, each; 0 = no limit", "§3"
    )
    latency_seconds: float | list[float] = field(
        default=0, metadata=_about(seconds_or_range(), "wait before every answer", "§3")
    )
    fail_next: dict[str, Any] | None = field(
        default=None,
        metadata=_about(
            failures(),
            "the next `count` requests (whose path begins with `path`) get `status`",
            "§3",
        ),
    )
    fail_every: int = _switch(
        0, count(), "every nth request fails, with 500 and 503 in turn; 0 = none", "§3"
    )
    management_outcome: str = _switch(
        "normal",
        one_of(*MANAGEMENT_OUTCOMES),
        "what a management request comes to",
        "§2.3, §2.4, §3",
    )
    company_credit: bool = _off("the store has company credit (otherwise 400)", "§2.2")
    channels_answer: int = _switch(
        200, one_of(200, 403, 422), "`GET /channels`; 403 and 422: multi storefront is off", "§2.3"
    )
    set_cookie: bool = _on("answers set a `csrftoken` cookie", "§2.2")
    response_headers: dict[str, str] = field(
        default_factory=dict, metadata=_about(header_map(), "headers added to every answer", "—")
    )
    gzip: bool = _off("compress when the request accepts it", "§7 S15")
    gzip_unasked: bool = _off("compress whatever the request accepts", "§7 S15")
    chunked: bool = _off("send bodies in chunks", "§7 S15")
    chunk_bytes: int = _switch(1000, count(1), "size of those chunks", "§7 S15")
    drip_bytes_per_second: int = _switch(
        0, count(), "send answers this slowly; 0 = at once", "§7 S20"
    )
    hang_seconds: float = _switch(
        0, amount(), "hold every answer this long, then close without one; 0 = off", "§7 S20"
    )
    connection_fault: str = _switch(
        "none",
        one_of(*CONNECTION_FAULTS),
        "drop before the answer, cut it in half, close after it, close without saying so",
        "§7 S4, S20",
    )
    redirect_to: str = _switch("", text(), "answer everything with a 302 to this address", "§3")
    reflect_headers: bool = _off(
        "management answers show the request's headers, token included", "—"
    )
    reflect_escaped: bool = _off("… with every character of a value as a JSON escape", "—")
    reflect_in_header: bool = _off("answers carry the token in the header `X-Reflected-Token`", "—")

    @cached_property
    def delivery(self) -> Delivery:
        """How answers are written to the socket."""
        return Delivery(
            gzip_when_accepted=self.gzip,
            gzip_always=self.gzip_unasked,
            chunk_bytes=self.chunk_bytes if self.chunked else 0,
            drip_bytes_per_second=self.drip_bytes_per_second,
            fault=self.connection_fault,
        )

    def as_json(self) -> dict[str, Any]:
        """Give every switch with its value."""
        return asdict(self)
