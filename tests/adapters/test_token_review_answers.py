"""Answers of the cluster about a token that are less than a whole yes."""

import pytest

from service.adapters.token_review import TokenReviews
from service.core.secret import Secret
from tests.adapters.asking import Monotonic
from tests.adapters.reviewing import AUDIENCE, GOOD, USER, Answering, outcome

OTHER = "system:serviceaccount:commerce:other"
TOKEN = Secret("canary.token.text")
UNPROVEN: dict[str, tuple[object, str]] = {
    "nothing": (None, "token_review_unreadable"),
    "a list": ([GOOD], "token_review_unreadable"),
    "a text": ("authenticated", "token_review_unreadable"),
    "empty": ({}, "token_review_negative"),
    "false": (GOOD | {"authenticated": False}, "token_review_negative"),
    "a text that says true": (GOOD | {"authenticated": "true"}, "token_review_negative"),
    "a number": (GOOD | {"authenticated": 1}, "token_review_negative"),
    "no audiences": (GOOD | {"audiences": []}, "token_review_negative"),
    "audiences null": (GOOD | {"audiences": None}, "token_review_negative"),
    "audiences a text": (GOOD | {"audiences": AUDIENCE}, "token_review_negative"),
    "audiences an object": (GOOD | {"audiences": {AUDIENCE: 1}}, "token_review_negative"),
    "another audience": (GOOD | {"audiences": ["other"]}, "token_review_negative"),
    "no user": (GOOD | {"user": None}, "token_review_negative"),
    "a user of text": (GOOD | {"user": USER}, "token_review_negative"),
    "no username": (GOOD | {"user": {"uid": "u"}}, "token_review_negative"),
    "a list of usernames": (GOOD | {"user": {"username": [USER]}}, "token_review_negative"),
    "another username": (GOOD | {"user": {"username": OTHER}}, "token_review_negative"),
}


@pytest.mark.parametrize(("status", "reason"), UNPROVEN.values(), ids=UNPROVEN.keys())
def test_only_a_whole_yes_is_one(status: object, reason: str) -> None:
    """Whatever is missing or of another form proves nothing, and is not remembered."""
    server = Answering(status)
    reviews = TokenReviews(server.post, AUDIENCE, Monotonic())

    assert [outcome(reviews, TOKEN) for _ in range(2)] == [reason] * 2
    assert len(server.sent) == 2
