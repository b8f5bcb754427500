"""API keys: found by digest, or nobody's."""

import hashlib

import pytest

from service.adapters.api_keys import ApiKeys
from service.core.caller import Caller
from service.core.errors import UnauthenticatedError
from service.core.secret import Secret

KEY = "canary-key-0123456789-abc"
SHORT = "twenty-one-characters"
CALLER = Caller("key:ci", "key", "api_key")
KEYS = ApiKeys({hashlib.sha256(text.encode()).hexdigest(): CALLER for text in (KEY, SHORT)})


def test_a_key_proves_its_caller() -> None:
    """And its proof does not end."""
    assert KEYS.verify(Secret(KEY)) is CALLER
    assert CALLER.expires_at is None


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        KEY + "x",
        KEY.upper(),
        f" {KEY}",
        f"{KEY}\n",
        hashlib.sha256(KEY.encode()).hexdigest(),
        SHORT,
        "x" * 257,
        "kéy" * 10,
    ],
)
def test_anything_else_is_nobodys(wrong: str) -> None:
    """The digest itself, a key too short to be safe, and what is no key at all."""
    with pytest.raises(UnauthenticatedError) as caught:
        KEYS.verify(Secret(wrong))

    assert caught.value.reason == "key_unknown"
    assert str(caught.value) == "The proof of identity does not hold."
