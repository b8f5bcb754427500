"""The schema of ``access.yaml`` at its edges: what is just within each limit, and what is just beyond it."""

from typing import Any

import pytest

from tests.adapters.entries import refusal, written

SIGNS = "amzAMZ059._@:/+=|-"
LONG_URL = f"https://h/{'!' * 500}"
Edge = tuple[list[Any], list[Any]]
"""What is taken, and what is not."""

NAME: Edge = (
    ["a", "m", "z", "am" + "z" * 30, "a-059"],
    ["", "a" * 33, "9a", "-a", "A", "a_b", "a.b", "aB", "a\n", "\u00e4", 1],
)
AUDIENCE: Edge = (["x", "x" * 200], ["", "x" * 201, ["x"]])
HTTPS: Edge = (
    [
        *("https://h", "https://h/", f"https://{'h' * 255}", LONG_URL),
        *("https://[::1]:8443/a~?b", "https://AMZ-amz.059"),
    ],
    [
        *("http://h", "https://", f"https://{'h' * 256}", f"{LONG_URL}!", "https://h/ x"),
        *("https://h/\u00e9", "https://u@h", "https://h?x", "xhttps://h", "https:/h", 1),
    ],
)
PATTERN: Edge = (
    [f"{SIGNS}*", "a:" + "b" * 298, ":"],
    ["", "ab", "a:" + "b" * 299, "a: b", "a:b\n", "a:b,", " a:b", "a:\u00e9", 1],
)
IDENTITY: Edge = (
    [SIGNS, "a", "b" * 300],
    ["", "b" * 301, "a:*", "a b", " a", "a\n", "\u00e9", 1],
)
STORE: Edge = (
    ["a", "mz059", "*", "a*0", "a" * 20],
    ["", "a" * 21, "A", "Aa", "a-b", "a b", "a\n", 1],
)
SPAN: Edge = (
    ["1s", "0000001s", "9999999h", "1m"],
    [
        *("", "s", "5", "12345678s", "1.5h", "5 m", "5d", "5M", "-1s", "\u0661m", "5s\n", 15),
        *("0s", "0m", "0000000h"),
    ],
)
SCOPE: Edge = (["GET /x", "* /**"], ["", "/x", "GET /**/x"])
FILE: Edge = (["", "f", None], [1])
KEY_NAME: Edge = (
    ["x", "x" * 100, "amzAMZ059._-"],
    ["", "x" * 101, "a b", "a:b", "a/b", "a*", "a\n", " a", 1],
)
DIGEST: Edge = (
    ["0" * 64, "0123456789abcdef" * 4],
    ["0" * 63, "0" * 65, "A" * 64, "g" * 64, "0" * 64 + "\n", 0],
)
DOMAIN: Edge = (
    ["a", "z" * 255, "am05._-9"],
    ["", "a" * 256, "A", "Aa", "a/b", "*", "a b", "a\n"],
)
ACTION: Edge = (
    ["store.read", "store.*", "*.*", "*.revoke"],
    ["", "*", "store", "x.*", "store.*.*", 1],
)
ACTION_OF_A_TEST: Edge = (
    [
        *("store.write", "store.read", "policy.read", "reference.mint", "reference.redeem"),
        *("reference.read", "reference.revoke", "audit.read"),
    ],
    ["store.*", "store", "", None],
)

EDGES: dict[str, Edge] = {
    "version": ([1], [0, 2, None]),
    **{f"issuers__{number}__name": NAME for number in range(4)},
    **{f"issuers__{number}__issuer": (["z", "z" * 500], ["", "x" * 501]) for number in range(2)},
    **{f"issuers__{number}__audience": AUDIENCE for number in range(3)},
    "issuers__0__jwks__url": HTTPS,
    "issuers__0__jwks__ca_file": FILE,
    "issuers__0__jwks__token_file": FILE,
    "issuers__0__jwks__file": ([None], [1]),
    "issuers__0__api_server__url": HTTPS,
    "issuers__0__api_server__ca_file": (["f", ""], [None]),
    "issuers__0__api_server__token_file": (["f", ""], [None]),
    "issuers__0__token_review": ([True, False], ["true", 1, None]),
    "issuers__1__jwks__url": ([None], ["h"]),
    "issuers__2__trust_domain": DOMAIN,
    "issuers__2__bundle": ([None], ["f"]),
    "issuers__2__bundle__file": (["f"], [None, 1]),
    "issuers__3__keys": ([[]], [None, {}]),
    "issuers__3__keys__0__name": KEY_NAME,
    "issuers__3__keys__0__sha256": DIGEST,
    "grants__0__name": (["x", "\u00e9" * 200], ["", "x" * 201]),
    "grants__0__callers": ([["a:b"]], [[], "a:b"]),
    "grants__0__callers__0": PATTERN,
    "grants__0__stores": ([["a"]], [[], "a"]),
    "grants__0__stores__0": STORE,
    "grants__1__actions": ([["*.*"]], [[], "*.*"]),
    "grants__1__actions__0": ACTION,
    "grants__0__limits": ([None, {}], [[]]),
    "grants__0__limits__access": ([["proxy"], ["redeem", "proxy"], []], ["proxy", None]),
    "grants__0__limits__audiences__0": PATTERN,
    "grants__0__limits__max_ttl": SPAN,
    "grants__0__limits__max_uses": ([1, 1_000_000, None], [0, -1, 1_000_001, 1.0, "1"]),
    "grants__0__limits__max_rate": (["1/m", "999999/m", None], ["0/m", "60", "60/s", "060/m", 60]),
    "grants__0__limits__requests__0": SCOPE,
    "tests": ([[]], [None]),
    "tests__0__caller": IDENTITY,
    "tests__0__action": ACTION_OF_A_TEST,
    "tests__0__store": STORE,
    "tests__0__with": ([None, {}], [[]]),
    "tests__0__with__access": (["proxy", "redeem"], ["", None]),
    "tests__0__with__audience": ([*IDENTITY[0], None], IDENTITY[1]),
    "tests__0__with__ttl": ([*SPAN[0], None], SPAN[1]),
    "tests__0__with__max_uses": ([1, 1_000_001, None], [0, -1, 1.0]),
    "tests__0__with__requests": ([None, [], ["GET /x"]], ["GET /x"]),
    "tests__0__expect": (["allow", "deny"], ["", "Allow", True]),
}


@pytest.mark.parametrize("place", EDGES)
def test_what_is_just_within_a_limit_is_taken(place: str) -> None:
    """The shortest, the longest, and every sign that may stand there."""
    said = [(value, refusal(**{place: value})) for value in EDGES[place][0]]

    assert [(value, text) for value, text in said if text] == []


@pytest.mark.parametrize("place", EDGES)
def test_what_is_just_beyond_a_limit_is_refused_with_its_place(place: str) -> None:
    """Nothing is trimmed, put into lower case or converted."""
    said = [(value, refusal(**{place: value})) for value in EDGES[place][1]]

    where = written(place)
    assert [(value, text) for value, text in said if not text.startswith(f"{where}:")] == []


@pytest.mark.parametrize(
    "actions", [["reference.*"], ["*.mint"], ["*.*"], ["store.read", "reference.mint"]]
)
def test_whatever_covers_minting_may_have_limits(actions: list[str]) -> None:
    """A wildcard mints as well as the action's own name, in any place of the list."""
    assert refusal(grants__0__actions=actions) == ""
