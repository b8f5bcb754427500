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


def keys_of(*texts: str) -> ApiKeys:
    """Return what an access file with the digests of these texts holds."""
    return ApiKeys({hashlib.sha256(text.encode()).hexdigest(): CALLER for text in texts})


KEYS = keys_of(KEY, SHORT)


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


@pytest.mark.parametrize(
    "key", ["k" * 22, "k" * 256, "!" * 22, "~" * 22, "!\"'[\\]^{|}~$%&()*+,-./:;"]
)
def test_a_key_is_22_to_256_visible_characters_of_ascii(key: str) -> None:
    """Whatever those are, because a key may come from anywhere."""
    assert keys_of(key).verify(Secret(key)) is CALLER


@pytest.mark.parametrize(
    "text", ["k" * 21, "k" * 257, f"{KEY} ", f"{KEY}\x7f", f"{KEY}\n", f"a key {KEY}", f"{KEY}é"]
)
def test_a_text_that_is_no_key_proves_nobody_even_if_its_digest_is_in_the_file(text: str) -> None:
    """The digest hides from the file's author that the text was too short to be safe or is no key."""
    with pytest.raises(UnauthenticatedError) as caught:
        keys_of(text).verify(Secret(text))

    assert caught.value.reason == "key_unknown"
