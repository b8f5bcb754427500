"""An upstream that rejects requests with a token that it does not know, in the words that a test chooses."""

from service.core.upstream_ports import ProxyRequest
from tests.support.upstream import CannedResponse, FakeUpstream
from tests.support.world import STORE

REJECTED = b'{"code":403,"message":"Invalid access token"}'


class RejectingUpstream(FakeUpstream):
    """Answers ``response`` to tokens that live, and ``rejection`` to all others."""

    def __init__(self) -> None:
        super().__init__()
        self.rejection = CannedResponse(status=403, content=[REJECTED])

    def exchange(self, request: ProxyRequest) -> CannedResponse:
        """See ``Upstream.exchange``."""
        answered = super().exchange(request)
        headers = dict(request.headers)
        living = {made.value for made in self.live(STORE)}
        if headers.get("authToken") in living:
            return answered
        if headers.get("X-Auth-Token") == self.access_tokens.get(STORE, ""):
            return answered
        return self.rejection

    def dies(self) -> None:
        """Have every token of the store die."""
        for made in self.live(STORE):
            made.deleted = True
        self.access_tokens.clear()
