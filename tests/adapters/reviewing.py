"""An API server in memory that says of every token what it is told to."""

import json
from typing import Any

from service.adapters.token_review import TokenReviews
from service.core.errors import BrokerError
from service.core.secret import Secret

AUDIENCE = "b2b-broker"
USER = "system:serviceaccount:commerce:order-sync"


class Answering:
    """An API server that says what it is told to."""

    def __init__(self, status: object, code: int = 201) -> None:
        self.answer = code, json.dumps({"status": status}).encode()
        self.sent: list[Any] = []

    def post(self, review: bytes) -> tuple[int, bytes]:
        """Fulfil ``Post``."""
        self.sent.append(json.loads(review))
        return self.answer


GOOD: dict[str, Any] = {
    "authenticated": True,
    "audiences": [AUDIENCE],
    "user": {"username": USER},
}


def outcome(reviews: TokenReviews, token: Secret, username: str = USER) -> str:
    """Return why a token was not good; empty if it was."""
    try:
        reviews.check(token, username)
    except BrokerError as error:
        return error.reason
    return ""
