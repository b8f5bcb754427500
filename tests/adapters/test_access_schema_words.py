"""The schema of ``access.yaml``: what its refusals say, what is left out, and what it makes of a good file."""

from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from service.adapters.access_schema import (
    AccessDocument,
    AccessFileError,
    access_schema,
    parse_document,
)
from tests.adapters.entries import GONE, GOOD, URL, parsed, refusal

CANARY = "canary-value"
TOGETHER = "jwks and audience go together: they are for JWT-SVIDs"
# what the refusal says → what is changed
WORDS: dict[str, dict[str, Any]] = {
    "grants.0.limits.max_ttl: a span is a number with s, m or h, such as 15m": {
        "grants__0__limits__max_ttl": "5d"
    },
    "tests.0.with.ttl: a span is a number with s, m or h, such as 15m": {
        "tests__0__with__ttl": "s"
    },
    "tests.0.with.ttl: a span is longer than nothing": {"tests__0__with__ttl": "0s"},
    "grants.1.actions.0: there is no such action": {"grants__1__actions__0": "x.*"},
    "grants.0.callers.0: a caller begins with its issuer's name and ':'; a wildcard never crosses ':' or '/'": {
        "grants__0__callers__0": "*"
    },
    "issuers.1.oidc.name: 'spiffe:' and 'broker:' begin the identities of trust domains and of the broker itself": {
        "issuers__1__name": "spiffe"
    },
    "issuers.0.kubernetes.jwks: jwks has a file or a url": {"issuers__0__jwks": {}},
    "issuers.1.oidc.jwks: jwks has a file or a url": {"issuers__1__jwks__url": URL},
    f"issuers.2.spiffe: {TOGETHER}": {"issuers__2__audience": None},
    "issuers.2.spiffe: spiffe has a bundle, for client certificates, or jwks, or both": {
        "issuers__2__audience": None,
        "issuers__2__jwks": None,
        "issuers__2__bundle": None,
    },
    "issuers.0: not one of the known types": {"issuers__0__type": CANARY},
    "issuer names are unique": {"issuers__1__name": "k8s"},
    "issuer URLs are unique": {"issuers__1__issuer": URL},
    "trust domains are unique": {"issuers__3": GOOD["issuers"][2] | {"name": "second"}},
    "grant names are unique": {"grants__1__name": "minter"},
    "grants: 'reader' has limits and mints nothing": {"grants__1__limits": {}},
    "extra: Extra inputs are not permitted": {"extra": CANARY},
}


@pytest.mark.parametrize("said", WORDS)
def test_a_refusal_says_where_and_which_rule(said: str) -> None:
    """Word for word, since it is all that whoever wrote the file gets to see."""
    assert refusal(**WORDS[said]) == said


def test_of_many_faults_the_first_is_told() -> None:
    """In the order of the file, one at a time."""
    said = refusal(version=2, grants__0__name="", tests__0__store="")

    assert said == "version: Input should be less than or equal to 1"


@pytest.mark.parametrize("content", [b"[", b"x: &a 1", b"version: canary-value"])
def test_a_refusals_trace_has_nothing_beneath_it(content: bytes) -> None:
    """What the libraries say may quote what stood there."""
    with pytest.raises(AccessFileError) as refused:
        parse_document(content)

    assert refused.value.__suppress_context__
    assert CANARY not in str(refused.value)


@pytest.mark.parametrize("member", ["ca_file", "token_file"])
def test_what_an_address_needs_has_no_use_with_a_file(member: str) -> None:
    """Each of them by itself."""
    said = refusal(**{f"issuers__1__jwks__{member}": "f"})

    assert said == "issuers.1.oidc.jwks: ca_file and token_file go with url"


def test_keys_of_tokens_need_an_audience_and_the_other_way_round() -> None:
    """Whichever of the two is missing."""
    assert refusal(issuers__2__jwks=GONE) == f"issuers.2.spiffe: {TOGETHER}"
    assert refusal(issuers__2__jwks=GONE, issuers__2__audience=GONE) == ""


def test_what_is_no_document_at_all_is_refused_as_the_file() -> None:
    """There is no place in it to name."""
    with pytest.raises(AccessFileError, match=r"^the file: "):
        parse_document(b"[]")


@pytest.mark.parametrize(
    ("span", "expected"),
    [("0000001s", timedelta(seconds=1)), ("2m", timedelta(minutes=2)), ("3h", timedelta(hours=3))],
)
def test_a_span_is_what_its_unit_says(span: str, expected: timedelta) -> None:
    """In limits and in what a test asks for alike."""
    document = parsed(grants__0__limits__max_ttl=span, tests__0__with__ttl=span)

    limits, ask = document.grants[0].limits, document.tests[0].ask
    assert (limits and limits.max_ttl, ask and ask.ttl) == (expected, expected)


def test_what_is_left_out_has_its_default() -> None:
    """The narrowest that is of use, and for a cluster what every pod has."""
    document = parsed(issuers__0__api_server=GONE, grants__0__limits={}, tests__0__with={})

    values = document.model_dump(by_alias=True)
    own, span = "/var/run/secrets/kubernetes.io/serviceaccount", timedelta(minutes=5)
    assert values["issuers"][0]["api_server"] == {
        "url": "https://kubernetes.default.svc",
        "ca_file": f"{own}/ca.crt",
        "token_file": f"{own}/token",
    }
    assert values["issuers"][0]["token_review"] is False
    keys = {"file": None, "url": URL, "ca_file": None, "token_file": None}
    assert values["issuers"][0]["jwks"] == keys
    limits = {"access": ["proxy"], "audiences": [], "max_ttl": span, "max_uses": None}
    assert [grant["limits"] for grant in values["grants"]] == [
        limits | {"requests": [], "max_rate": None},
        None,
    ]
    ask = {"access": "proxy", "audience": None, "ttl": None, "max_uses": None, "requests": None}
    assert values["tests"][0]["with"] == ask


def test_what_need_not_be_said_need_not_be_said() -> None:
    """Nobody has to write that there is nothing."""
    without_tests = parsed(tests=GONE, issuers__2__bundle=GONE)
    without_terms = parsed(tests__0__with=GONE)

    assert without_tests.tests == []
    assert without_terms.tests[0].ask is None


def test_a_document_that_was_checked_stays_as_it_is() -> None:
    """Nobody can put in what was not checked."""
    document = parsed()

    with pytest.raises(ValidationError):
        document.grants[0].name = "another"  # type: ignore[misc]  # that it cannot be set is the test


def test_not_even_the_librarys_own_error_quotes_what_stood_there() -> None:
    """The text that is shown is ours; a trace that somebody logs would be the library's."""
    with pytest.raises(ValidationError) as refused:
        AccessDocument.model_validate(GOOD | {"version": CANARY})

    assert CANARY not in str(refused.value)


def test_the_schema_for_editors_has_the_names_of_the_file() -> None:
    """``with`` is a word of the file, and none of ours."""
    members = access_schema()["$defs"]["TestEntry"]["properties"]

    assert set(members) == {"caller", "action", "store", "with", "expect"}
