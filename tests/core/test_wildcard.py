"""Wildcards of the access file: a star never crosses a separator."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.wildcard import matches

IDENTITY = ":/"
PLAIN = st.text(st.characters(exclude_characters=":/*"), max_size=12)


@pytest.mark.parametrize(
    ("pattern", "text", "separators", "expected"),
    [
        ("corp:ops-*", "corp:ops-anna", IDENTITY, True),
        ("corp:ops-*", "corp:ops-", IDENTITY, True),
        ("corp:ops-*", "corp:ops/x", IDENTITY, False),
        ("corp:ops-*", "corp:ops-a/b", IDENTITY, False),
        ("corp:ops-*", "corp:ops-a:b", IDENTITY, False),
        ("k8s:commerce/*", "k8s:commerce/order-sync", IDENTITY, True),
        ("k8s:commerce/*", "k8s:commerce/a/b", IDENTITY, False),
        ("k8s:*/order-sync", "k8s:commerce/order-sync", IDENTITY, True),
        ("*", "corp:anna", IDENTITY, False),
        ("*:*", "corp:anna", IDENTITY, True),
        ("spiffe://prod/*", "spiffe://prod/ns/x", IDENTITY, False),
        ("store.*", "store.write", ".", True),
        ("store.*", "reference.mint", ".", False),
        ("*", "store.write", ".", False),
        ("*.read", "store.read", ".", True),
        ("abc*", "abc123", "", True),
        ("*", "abc123", "", True),
        ("abc123", "abc1234", "", False),
        ("abc123", "xabc123", "", False),
        ("a.c", "abc", "", False),
        ("a[b]c", "abc", "", False),
        ("corp:anna", "corp:anna\n", IDENTITY, False),
        ("corp:Anna", "corp:anna", IDENTITY, False),
    ],
)
def test_a_pattern_matches_the_whole_text_and_stays_between_separators(
    pattern: str, text: str, separators: str, *, expected: bool
) -> None:
    """Everything but the star is literal."""
    assert matches(pattern, text, separators) is expected


@given(before=PLAIN, inside=PLAIN, separator=st.sampled_from(IDENTITY), after=PLAIN)
def test_a_star_never_stands_for_a_separator(
    before: str, inside: str, separator: str, after: str
) -> None:
    """Whatever stands around it, a text with one more separator than the pattern does not match."""
    assert matches(f"{before}*{after}", f"{before}{inside}{after}", IDENTITY)
    assert not matches(f"{before}*{after}", f"{before}{inside}{separator}{after}", IDENTITY)


@given(text=PLAIN)
def test_a_pattern_without_a_star_matches_only_itself(text: str) -> None:
    """No character of an identity has a meaning of its own."""
    assert matches(text, text, IDENTITY)
    assert not matches(text, text + "x", IDENTITY)
