"""What whoever proves nothing is told, and what only the audit trail is: word for word."""

from datetime import timedelta

import pytest
from werkzeug import Request

from service.core.errors import BrokerError, TooManyFailuresError, UnauthenticatedError
from service.web.callers import Callers
from service.web.failure_limit import FailureLimit
from tests.support.access import FakeAccess

FAILED = (UnauthenticatedError, "One proof of identity is needed.")
SLOWED = (TooManyFailuresError, "Too many proofs of identity from here did not hold.")


@pytest.fixture
def callers() -> Callers:
    """Finds out who is calling; each source may fail twice a minute."""
    return Callers(frozenset(), FailureLimit(2, lambda: 100.0))


def _failure(callers: Callers, **headers: str) -> BrokerError:
    environ = {f"HTTP_{name.upper()}": value for name, value in headers.items()}
    with pytest.raises(BrokerError) as failed:
        callers.authenticate(Request({"REMOTE_ADDR": "192.0.2.1", **environ}), FakeAccess())
    return failed.value


def test_the_third_failure_is_told_to_wait(callers: Callers) -> None:
    """Half a minute, since two are given back in a whole one; nothing of the failure itself is in it."""
    failures = [_failure(callers) for _ in range(3)]

    assert [(type(failure), failure.detail) for failure in failures] == [FAILED, FAILED, SLOWED]
    assert [failure.reason for failure in failures] == ["no_proof"] * 2 + ["too_many_failures"]
    assert failures[2].retry_after == timedelta(seconds=30)
    assert failures[2].__suppress_context__


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({"authorization": "Bearer x", "broker_key": "y"}, "two_proofs"),
        ({"authorization": "", "broker_key": ""}, "two_proofs"),
        ({"authorization": "Bearer"}, "no_proof"),
        ({"authorization": "Bearerx"}, "no_proof"),
        ({"authorization": " Bearer x"}, "no_proof"),
        ({"x_forwarded_client_cert": "URI=spiffe://prod.example/x"}, "no_proof"),
    ],
)
def test_a_proof_of_the_wrong_form_is_told_what_is_needed(
    callers: Callers, headers: dict[str, str], reason: str
) -> None:
    """One sentence for all of them."""
    failure = _failure(callers, **headers)

    assert (type(failure), failure.detail, failure.reason) == (*FAILED, reason)


def test_an_api_key_is_told_to_wait_in_the_same_words(callers: Callers) -> None:
    """Although it was not looked at."""
    for _ in range(2):
        _failure(callers)

    failure = _failure(callers, broker_key="x")

    assert (type(failure), failure.detail, failure.reason) == (*SLOWED, "too_many_failures")
    assert failure.retry_after == timedelta(seconds=30)
