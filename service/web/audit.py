"""The operation on the audit trail: the signed heads of all writers, for whoever verifies it."""

from service.web.body import read_query
from service.web.models import AuditHeadDocument, AuditHeadsPage, AuditHeadsQuery
from service.web.operations import Answered, Asked, Operation


def _heads(asked: Asked) -> Answered:
    query = read_query(asked.request, AuditHeadsQuery)
    found, following = asked.edge.heads.page(asked.call, query.cursor or "", query.limit)
    heads = [AuditHeadDocument(writer=writer, signed=signed) for writer, signed in found]
    return Answered(200, AuditHeadsPage(heads=heads, next_cursor=following))


OPERATIONS = (
    Operation(
        method="GET",
        path="/v1/audit/heads",
        name="listAuditHeads",
        action="audit.read",
        summary="List the signed heads of the audit trail's writers, for `broker audit verify`.",
        run=_heads,
        query=AuditHeadsQuery,
        answers={200: AuditHeadsPage},
    ),
)
