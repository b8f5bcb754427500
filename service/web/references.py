"""The operations on references."""

from datetime import timedelta
from typing import Any

from service.core.errors import ReferenceInvalidError
from service.core.grant import Grant
from service.core.policy import MintAsk
from service.core.reference import Accessor, accessor_of, parse_accessor
from service.core.references import KnownReference
from service.core.secret import Secret
from service.web.body import read_body, read_query
from service.web.operations import Answered, Asked, Operation
from service.web.reference_models import (
    ActiveDocument,
    InactiveDocument,
    MintedReferenceDocument,
    MintReference,
    RedeemedDocument,
    ReferenceDocument,
    ReferenceOnly,
    ReferencesPage,
    ReferencesQuery,
    Revoke,
    RevokedDocument,
)


def _mint(asked: Asked) -> Answered:
    body = read_body(asked.request, MintReference)
    ask = MintAsk(
        access=body.access,
        audience=body.audience,
        ttl=None if body.ttl_seconds is None else timedelta(seconds=body.ttl_seconds),
        max_uses=body.max_uses,
        requests=None if body.requests is None else tuple(body.requests),
    )
    minted = asked.edge.minter.mint(asked.call, body.store_hash, ask)
    fields = _grant_fields(minted.accessor, minted.grant)
    return Answered(201, MintedReferenceDocument(reference=minted.reference.reveal(), **fields))


def _redeem(asked: Asked) -> Answered:
    reference = _reference(read_body(asked.request, ReferenceOnly))
    use = asked.edge.uses.take(asked.call, reference, "redeem", lambda _grant: True)
    document = RedeemedDocument(
        headers={name: secret.reveal() for name, secret in use.headers.items()},
        base_url=asked.edge.base_url,
        store_hash=use.grant.store_hash,
        expires_at=use.grant.expires_at,
    )
    return Answered(200, document)


def _introspect(asked: Asked) -> Answered:
    reference = _reference(read_body(asked.request, ReferenceOnly))
    known = asked.edge.references.introspect(asked.call, reference)
    if known is None:
        return Answered(200, InactiveDocument(active=False))
    return Answered(200, ActiveDocument(active=True, **_known_fields(known)))


def _list(asked: Asked) -> Answered:
    query = read_query(asked.request, ReferencesQuery)
    known, following = asked.edge.references.page(
        asked.call, query.store_hash, query.cursor or "", query.limit
    )
    shown = [ReferenceDocument(**_known_fields(one)) for one in known]
    return Answered(200, ReferencesPage(references=shown, next_cursor=following))


def _get(asked: Asked) -> Answered:
    known = asked.edge.references.get(asked.call, asked.path["accessor"])
    return Answered(200, ReferenceDocument(**_known_fields(known)))


def _delete(asked: Asked) -> Answered:
    return _revoked_one(asked, parse_accessor(asked.path["accessor"]))


def _revoke(asked: Asked) -> Answered:
    body = read_body(asked.request, Revoke)
    if body.reference is not None:
        return _revoked_one(asked, _accessor(Secret(body.reference.get_secret_value())))
    if body.store_hash is not None:
        asked.edge.references.revoke_store(asked.call, body.store_hash)
        document = RevokedDocument(scope="store", revoked=True, store_hash=body.store_hash)
    elif body.caller is not None:
        asked.edge.references.revoke_caller(asked.call, body.caller)
        document = RevokedDocument(scope="caller", revoked=True, caller=body.caller)
    elif body.all:
        asked.edge.references.revoke_all(asked.call)
        document = RevokedDocument(scope="all", revoked=True)
    else:
        raise AssertionError("the model lets nothing else through")
    return Answered(200, document)


def _revoked_one(asked: Asked, accessor: Accessor | None) -> Answered:
    revoked = asked.edge.references.revoke(asked.call, accessor)
    shown = accessor.text if accessor and revoked else None
    return Answered(200, RevokedDocument(scope="reference", revoked=revoked, accessor=shown))


def _accessor(reference: Secret) -> Accessor | None:
    try:
        return accessor_of(reference)
    except ReferenceInvalidError:
        # RFC 7009 §2.2: revoking what is no token is no error, for it is not valid afterwards.
        return None


def _reference(body: ReferenceOnly) -> Secret:
    return Secret(body.reference.get_secret_value())


def _grant_fields(accessor: Accessor, grant: Grant) -> dict[str, Any]:
    return {
        "accessor": accessor.text,
        "store_hash": grant.store_hash,
        "audience": grant.audience,
        "access": grant.access,
        "requests": list(grant.requests),
        "max_uses": grant.max_uses,
        "max_rate": None if grant.max_rate is None else grant.max_rate.per_minute,
        "expires_at": grant.expires_at,
    }


def _known_fields(known: KnownReference) -> dict[str, Any]:
    return {
        **_grant_fields(known.accessor, known.grant),
        "uses_left": known.uses_left,
        "minted_by": known.grant.minted_by,
        "minted_at": known.grant.minted_at,
    }


OPERATIONS = (
    Operation(
        method="POST",
        path="/v1/references",
        name="mintReference",
        action="reference.mint",
        summary="Mint a short-lived reference to a store's token.",
        run=_mint,
        body=MintReference,
        answers={201: MintedReferenceDocument},
        problems=(404, 409, 423),
    ),
    Operation(
        method="POST",
        path="/v1/references/redeem",
        name="redeemReference",
        action="reference.redeem",
        summary="Exchange a reference for the headers that carry the token.",
        run=_redeem,
        body=ReferenceOnly,
        answers={200: RedeemedDocument},
        problems=(409, 410, 423),
    ),
    Operation(
        method="POST",
        path="/v1/references/introspect",
        name="introspectReference",
        action="reference.read",
        summary="Tell what a reference stands for, without using it (RFC 7662).",
        run=_introspect,
        body=ReferenceOnly,
        answers={200: ActiveDocument | InactiveDocument},
    ),
    Operation(
        method="POST",
        path="/v1/references/revoke",
        name="revokeReferences",
        action="reference.revoke",
        summary="Revoke one reference, or all of a store, of a caller, or all there are (RFC 7009).",
        run=_revoke,
        body=Revoke,
        answers={200: RevokedDocument},
    ),
    Operation(
        method="GET",
        path="/v1/references",
        name="listReferences",
        action="reference.read",
        summary="List the live references of a store.",
        run=_list,
        query=ReferencesQuery,
        answers={200: ReferencesPage},
    ),
    Operation(
        method="GET",
        path="/v1/references/{accessor}",
        name="getReference",
        action="reference.read",
        summary="Show a live reference by its accessor.",
        run=_get,
        answers={200: ReferenceDocument},
        problems=(404, 409),
    ),
    Operation(
        method="DELETE",
        path="/v1/references/{accessor}",
        name="revokeReference",
        action="reference.revoke",
        summary="Revoke a reference by its accessor.",
        run=_delete,
        answers={200: RevokedDocument},
    ),
)
