"""The proxy with every method: HEAD has no body, and each needs to be within the request scope."""

from dataclasses import replace

import pytest

from service.core.policy import Limits, Policy
from tests.support.access import FakeAccess
from tests.support.upstream import CannedResponse
from tests.support.world import POLICY
from tests.web.answers import assert_problem
from tests.web.calling import Api


@pytest.fixture
def open_api(api: Api) -> Api:
    """The API under a policy whose minter may mint for every request."""
    operators, minter, worker = POLICY.grants
    limits = Limits(audiences=minter.limits.audiences)
    api.access = FakeAccess(Policy((operators, replace(minter, limits=limits), worker)))
    return api


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"])
def test_each_method_goes_upstream_as_it_is(open_api: Api, method: str) -> None:
    """The upstream sees the method that was asked, and its status comes back."""
    open_api.world.upstream.response = CannedResponse(status=207)

    answer = open_api.proxy(method)

    assert answer.status_code == 207
    assert [sent.method for sent in open_api.world.upstream.proxied] == [method]


def test_head_answers_the_headers_alone(open_api: Api) -> None:
    """The length that the upstream announced passes, the body stays empty."""
    open_api.world.upstream.response = CannedResponse(
        headers=[("Content-Length", "1234")], content=[]
    )

    answer = open_api.proxy("HEAD")

    assert (answer.headers["Content-Length"], answer.data) == ("1234", b"")
    assert answer.headers["Proxy-Status"] == "b2b-broker; received-status=200"


@pytest.mark.parametrize(
    ("method", "status"), [("HEAD", 200), ("HEAD", 404), ("DELETE", 204), ("GET", 304)]
)
def test_an_answer_without_a_body_closes_its_exchange(
    open_api: Api, method: str, status: int
) -> None:
    """Nobody reads a body that is not there, so the connection is given back before the answer leaves."""
    open_api.world.upstream.response = CannedResponse(status=status, content=[])

    answer = open_api.proxy(method)

    assert open_api.world.upstream.response.closed
    assert (answer.status_code, answer.data) == (status, b"")
    answer.close()


def test_an_override_of_the_method_stays_behind(open_api: Api) -> None:
    """The method that policy saw is the method that the upstream does."""
    open_api.proxy("GET", headers={"X-HTTP-Method-Override": "DELETE"})

    (sent,) = open_api.world.upstream.proxied
    assert "x-http-method-override" not in {name.lower() for name, _ in sent.headers}


@pytest.mark.parametrize("method", ["HEAD", "PUT", "PATCH", "DELETE"])
def test_a_method_outside_the_request_scope_is_refused(api: Api, method: str) -> None:
    """The minter's scope lists GET for companies, and HEAD is another method."""
    answer = api.proxy(method)

    assert answer.status_code == 403
    assert api.world.upstream.proxied == []
    if method != "HEAD":
        assert_problem(answer, "outside_request_scope")
