"""Who am I to the broker?"""

from service.core.gate import About
from service.web.models import GrantSummary, WhoamiDocument
from service.web.operations import Answered, Asked, Operation


def _whoami(asked: Asked) -> Answered:
    caller = asked.call.caller
    asked.edge.gate.record(asked.call, About("whoami"), "allowed")
    grants = [
        GrantSummary(name=grant.name, stores=list(grant.stores), actions=list(grant.actions))
        for grant in asked.call.policy.grants_of(caller.identity)
    ]
    document = WhoamiDocument(
        identity=caller.identity,
        issuer=caller.issuer,
        proof=caller.proof,
        expires_at=caller.expires_at,
        grants=grants,
        policy=asked.call.policy.digest,
    )
    return Answered(200, document)


OPERATIONS = (
    Operation(
        method="GET",
        path="/v1/whoami",
        name="whoami",
        action="whoami",
        summary="Show who the caller is to the broker, how that was proven, and what policy lets it do.",
        run=_whoami,
        answers={200: WhoamiDocument},
    ),
)
