"""Secrets: nothing that usually shows a value by accident shows one of these."""

import copy
import json
import pickle
import traceback
from collections.abc import Callable

import pytest

from service.core.secret import Secret

CANARY = "canary-secret-9fK"


@pytest.mark.parametrize(
    "show",
    [
        pytest.param(repr, id="repr"),
        pytest.param(str, id="str"),
        pytest.param(lambda s: f"{s}", id="format"),
        pytest.param(lambda s: f"{s!r:>40}", id="format with a width"),
        pytest.param(lambda s: "%s %r" % (s, s), id="percent"),  # noqa: UP031 — the old way of formatting is the subject
        pytest.param(lambda s: repr([s, {"k": s}]), id="within containers"),
    ],
)
def test_no_text_of_a_secret_shows_it(show: Callable[[Secret], str]) -> None:
    """Stars stand where the value would."""
    text = show(Secret(CANARY))

    assert CANARY not in text
    assert "***" in text


@pytest.mark.parametrize(
    "leak",
    [
        pytest.param(pickle.dumps, id="pickle"),
        pytest.param(json.dumps, id="json"),
        pytest.param(hash, id="hash"),
        pytest.param(vars, id="vars"),
        pytest.param(lambda s: s == s, id="equality"),  # noqa: PLR0124 — comparing at all is the subject
        pytest.param(lambda s: s != CANARY, id="inequality"),
    ],
)
def test_what_could_leak_a_secret_is_refused_without_showing_it(
    leak: Callable[[Secret], object],
) -> None:
    """Pickle, JSON, sets and comparisons raise, and their error does not quote the value."""
    with pytest.raises(TypeError) as raised:
        leak(Secret(CANARY))

    assert CANARY not in "".join(traceback.format_exception(raised.value))


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy])
def test_a_copied_secret_is_the_same_object(duplicate: Callable[[Secret], Secret]) -> None:
    """Copying a structure does not multiply its secrets."""
    secret = Secret(CANARY)

    assert duplicate(secret) is secret


def test_reveal_gives_the_value_back() -> None:
    """There is one way out."""
    assert Secret(CANARY).reveal() == CANARY
