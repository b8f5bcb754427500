"""Callers of a mesh: real certificates on real TLS connections, and the access file that knows their trust domains."""

import ssl
from collections.abc import Sequence

from werkzeug.test import TestResponse

from service.adapters.spiffe import Svids, TrustDomain, parse_bundle
from service.core.caller import Caller
from tests.support.access import FakeAccess
from tests.support.clock import ManualClock
from tests.support.svids import make, root
from tests.support.tls import ALWAYS
from tests.web.answers import assert_problem
from tests.web.calling import Api

ROOT, OTHER = (
    make(root(life=ALWAYS, begins=-ALWAYS)),
    make(root("other", life=ALWAYS, begins=-ALWAYS)),
)
FORWARDED = "X-Forwarded-Client-Cert"
EVIL = "spiffe://prod.example/ns/a/sa/evil"


class Meshed(FakeAccess):
    """An access file with two real trust domains."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__()
        self._svids = Svids(
            {
                "prod.example": TrustDomain("mesh", parse_bundle(ROOT.pem)),
                "other.example": TrustDomain("other", parse_bundle(OTHER.pem)),
            },
            clock,
        )

    def by_certificate(self, chain: Sequence[bytes]) -> Caller:
        """See ``Access.by_certificate``."""
        return self._svids.verify(chain)

    def vouched(self, identity: str) -> Caller:
        """See ``Access.vouched``."""
        return self._svids.vouched(identity)


def whoami(api: Api, peer: ssl.SSLSocket, headers: dict[str, str] | None = None) -> TestResponse:
    """Return what the API answers somebody who asks who they are."""
    overrides = {"gunicorn.socket": peer}
    return api.ask("GET", "/v1/whoami", None, headers, environ_overrides=overrides)


def reason_of(api: Api, answer: TestResponse) -> str:
    """Return why nobody was proven, which only the audit trail knows."""
    assert_problem(answer, "unauthenticated")
    ((action, outcome, reason),) = api.world.audit.told()
    assert (action, outcome) == ("authenticate", "denied")
    assert reason not in answer.text
    return reason
