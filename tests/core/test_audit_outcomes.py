"""What comes of what was allowed is recorded too, once, and before it is released."""

from collections.abc import Iterator

import pytest

from service.core.errors import (
    AuditError,
    CredentialRefusedError,
    IssuingPausedError,
    UpstreamTimeoutError,
)
from service.core.gate import About
from service.core.login_pause import MOST_STORES
from service.core.policy import MintAsk
from service.core.proxy import WITHHOLDING_BYTES, Answer, Incoming
from tests.core.replicas import SECOND, WRONG, maintain_after
from tests.support.upstream import CannedResponse
from tests.support.world import CREDENTIAL, MINTER, OPERATOR, PREVIOUS, STORE, WORKER, World, call

USE = "reference.use"


class BreaksOff(CannedResponse):
    """An answer whose end never comes."""

    def chunks(self) -> Iterator[bytes]:
        """See ``ProxyResponse.chunks``."""
        yield from [b"x" * 65_536] * (WITHHOLDING_BYTES // 65_536 + 2)
        raise UpstreamTimeoutError("late", reason="upstream_timeout")


@pytest.fixture
def ready(world: World) -> World:
    """A world with one active store."""
    return world.active()


def _forward(world: World) -> Answer:
    minted = world.minter.mint(call(MINTER), STORE, MintAsk(audience=WORKER))
    request = Incoming("GET", "/v1/proxy/api/v3/io/companies", (), None, None)
    return world.proxy.forward(call(WORKER), minted.reference, request)


def test_a_proxied_request_that_gets_no_answer_is_recorded_as_failed(ready: World) -> None:
    """After the entry that allowed it, with store and reference."""
    ready.upstream.failure = UpstreamTimeoutError("late", reason="upstream_timeout")

    with pytest.raises(UpstreamTimeoutError):
        _forward(ready)

    assert ready.audit.told()[-2:] == [(USE, "allowed", ""), (USE, "failed", "upstream_timeout")]
    allowed, failed = ready.audit.entries[-2:]
    assert (failed.store_hash, failed.accessor) == (STORE, allowed.accessor)


def test_an_answer_that_breaks_off_later_is_recorded_as_failed(ready: World) -> None:
    """When its status has been released already."""
    ready.upstream.response = BreaksOff()
    answer = _forward(ready)

    with pytest.raises(UpstreamTimeoutError):
        list(answer.body)

    assert ready.audit.told()[-2:] == [
        (USE, "completed", "upstream_200"),
        (USE, "failed", "upstream_timeout"),
    ]


@pytest.mark.parametrize("size", [1, WITHHOLDING_BYTES + 1])
def test_an_answer_that_cannot_be_recorded_is_not_released(ready: World, size: int) -> None:
    """The request has gone upstream, with an entry of its own; its answer stays here, and is closed."""
    ready.upstream.response = CannedResponse(content=[b"x" * size, b"y"])
    ready.audit.refused_outcome = "completed"

    with pytest.raises(AuditError):
        _forward(ready)

    assert ready.upstream.response.closed
    assert ready.audit.told()[-1] == (USE, "allowed", "")


def test_a_token_is_retired_only_with_an_entry(ready: World) -> None:
    """What maintenance does is recorded before it is done."""
    ready.stores.rotate(call(OPERATOR), STORE, CREDENTIAL)
    ready.audit.refused_outcome = "started"
    maintain_after(ready, PREVIOUS + SECOND)
    kept = len(ready.upstream.live(STORE))
    ready.audit.refused_outcome = ""
    maintain_after(ready, PREVIOUS)

    told = [reason for _, _, reason in ready.audit.told()]
    assert kept == 2
    assert len(ready.upstream.live(STORE)) == 1
    assert told[-3:] == ["retire", "clean", "clean"]


def test_the_beginning_of_a_pause_is_recorded_once(world: World) -> None:
    """It is the broker's own decision about all stores."""
    for number in range(MOST_STORES + 3):
        with pytest.raises((CredentialRefusedError, IssuingPausedError)):
            world.stores.put(call(OPERATOR), f"wrong{number}", WRONG, retain=False)

    begun = [told for told in world.audit.told() if told[0] == "issuing.pause"]
    assert begun == [("issuing.pause", "started", "many_credentials_refused")]


def test_a_failure_is_recorded_once_for_each_request(ready: World) -> None:
    """Whoever is nearest to it records it; those around it do not repeat it."""
    asked, about = call(OPERATOR), About("store.read")

    ready.gate.record_failure(asked, about, "first")
    ready.gate.record_failure(asked, about, "second")
    ready.gate.record(asked, about, "started", "issue")
    ready.gate.record_failure(asked, about, "third")

    assert [reason for _, _, reason in ready.audit.told()[-3:]] == ["first", "issue", "third"]
