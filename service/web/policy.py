"""The operation on policy: what would it say?"""

from datetime import timedelta

from service.core.policy import MintAsk, MintTerms
from service.web.body import read_body
from service.web.models import ExplainPolicy, ExplanationDocument, TermsDocument
from service.web.operations import Answered, Asked, Operation


def _explain(asked: Asked) -> Answered:
    body = read_body(asked.request, ExplainPolicy)
    decision = asked.edge.explaining.explain(
        asked.call, body.caller, body.action, body.store_hash, _ask(body)
    )
    document = ExplanationDocument(
        allowed=decision.allowed,
        grant=decision.grant or None,
        failed=decision.failed or None,
        terms=_shown(decision.terms),
        policy=asked.call.policy.digest,
    )
    return Answered(200, document)


def _ask(body: ExplainPolicy) -> MintAsk | None:
    if body.action != "reference.mint":
        return None
    return MintAsk(
        access=body.access or "proxy",
        audience=body.audience,
        ttl=None if body.ttl_seconds is None else timedelta(seconds=body.ttl_seconds),
        max_uses=body.max_uses,
        requests=None if body.requests is None else tuple(body.requests),
    )


def _shown(terms: MintTerms | None) -> TermsDocument | None:
    if terms is None:
        return None
    return TermsDocument(
        access=terms.access,
        audience=terms.audience,
        ttl_seconds=int(terms.ttl.total_seconds()),
        max_uses=terms.max_uses,
        max_rate=terms.max_rate,
        requests=list(terms.requests),
    )


OPERATIONS = (
    Operation(
        method="POST",
        path="/v1/policy/explain",
        name="explainPolicy",
        action="policy.read",
        summary="Show what policy would decide, with the grant that allows it, or the nearest one and what fails.",
        run=_explain,
        body=ExplainPolicy,
        answers={200: ExplanationDocument},
    ),
)
