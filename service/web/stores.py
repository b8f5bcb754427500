"""The operations on stores."""

import re
from dataclasses import asdict

from service.core import store_document as core
from service.core.credential import AccessToken, B2BPassword, Credential
from service.core.secret import Secret
from service.web.body import read_body, read_optional_body, read_query
from service.web.models import STORE_HASH
from service.web.operations import Answered, Asked, Operation
from service.web.problems import WrongFieldsError
from service.web.store_models import (
    AccessTokenCredential,
    B2BPasswordCredential,
    OrphansDocument,
    OrphansQuery,
    PutStore,
    RotateStore,
    StoreDocument,
    StoresPage,
    StoresQuery,
)

_STORE_HASH = re.compile(STORE_HASH, re.ASCII)


def _put(asked: Asked) -> Answered:
    store_hash = store_hash_of(asked)
    body = read_body(asked.request, PutStore)
    with asked.edge.crowd.place(store_hash):
        document, created = asked.edge.stores.put(
            asked.call, store_hash, _credential(body.credential), retain=body.retain
        )
    return Answered(201 if created else 200, _shown(document))


def _get(asked: Asked) -> Answered:
    return Answered(200, _shown(asked.edge.stores.get(asked.call, store_hash_of(asked))))


def _list(asked: Asked) -> Answered:
    query = read_query(asked.request, StoresQuery)
    documents, following = asked.edge.stores.page(
        asked.call, query.cursor or "", query.limit, deprecated=query.deprecated
    )
    return Answered(200, StoresPage(stores=[_shown(d) for d in documents], next_cursor=following))


def _rotate(asked: Asked) -> Answered:
    store_hash = store_hash_of(asked)
    body = read_optional_body(asked.request, RotateStore)
    given = None if body.credential is None else _credential(body.credential)
    with asked.edge.crowd.place(store_hash):
        return Answered(200, _shown(asked.edge.stores.rotate(asked.call, store_hash, given)))


def _roll_back(asked: Asked) -> Answered:
    return Answered(200, _shown(asked.edge.stores.roll_back(asked.call, store_hash_of(asked))))


def _orphans(asked: Asked) -> Answered:
    store_hash = store_hash_of(asked)
    with asked.edge.crowd.place(store_hash):
        found = asked.edge.stores.orphans(asked.call, store_hash)
    return Answered(200, OrphansDocument.model_validate(asdict(found)))


def _delete_orphans(asked: Asked) -> Answered:
    store_hash = store_hash_of(asked)
    query = read_query(asked.request, OrphansQuery)
    with asked.edge.crowd.place(store_hash):
        found = asked.edge.stores.delete_orphans(asked.call, store_hash, forget=query.forget)
    return Answered(200, OrphansDocument.model_validate(asdict(found)))


def _delete(asked: Asked) -> Answered:
    asked.edge.stores.remove(asked.call, store_hash_of(asked))
    return Answered(204)


def store_hash_of(asked: Asked) -> str:
    """Return the store that the path names.

    Raises:
        WrongFieldsError: It names none.
    """
    store_hash = asked.path["store_hash"]
    if not _STORE_HASH.fullmatch(store_hash):
        rule = "4 to 20 lower-case letters and digits"
        raise WrongFieldsError([{"where": "store_hash", "rule": rule}])
    return store_hash


def _credential(given: B2BPasswordCredential | AccessTokenCredential) -> Credential:
    if isinstance(given, B2BPasswordCredential):
        return B2BPassword(
            Secret(given.email.get_secret_value()), Secret(given.password.get_secret_value())
        )
    return AccessToken(Secret(given.access_token.get_secret_value()))


def _shown(document: core.StoreDocument) -> StoreDocument:
    return StoreDocument.model_validate(asdict(document))


OPERATIONS = (
    Operation(
        method="PUT",
        path="/v1/stores/{store_hash}",
        name="putStore",
        action="store.write",
        summary="Register a store, or give it another credential. A store that is active keeps its token.",
        run=_put,
        body=PutStore,
        answers={201: StoreDocument, 200: StoreDocument},
        problems=(409, 423, 429, 502, 504),
    ),
    Operation(
        method="GET",
        path="/v1/stores",
        name="listStores",
        action="store.read",
        summary="List the stores that the caller may see.",
        run=_list,
        query=StoresQuery,
        answers={200: StoresPage},
    ),
    Operation(
        method="GET",
        path="/v1/stores/{store_hash}",
        name="getStore",
        action="store.read",
        summary="Show a store.",
        run=_get,
        answers={200: StoreDocument},
        problems=(404,),
    ),
    Operation(
        method="POST",
        path="/v1/stores/{store_hash}/rotate",
        name="rotateStore",
        action="store.write",
        summary="Give a store a new token; the old one is deleted upstream after a while.",
        run=_rotate,
        body=RotateStore,
        answers={200: StoreDocument},
        problems=(404, 409, 423, 502, 504),
        body_required=False,
    ),
    Operation(
        method="POST",
        path="/v1/stores/{store_hash}/rollback",
        name="rollBackStore",
        action="store.write",
        summary="Make a store's previous token the active one again.",
        run=_roll_back,
        answers={200: StoreDocument},
        problems=(404, 409, 423, 502, 504),
    ),
    Operation(
        method="GET",
        path="/v1/stores/{store_hash}/orphans",
        name="listOrphans",
        action="store.read",
        summary="Look for tokens upstream that abandoned attempts have left.",
        run=_orphans,
        answers={200: OrphansDocument},
        problems=(404, 409, 502, 504),
    ),
    Operation(
        method="DELETE",
        path="/v1/stores/{store_hash}/orphans",
        name="deleteOrphans",
        action="store.write",
        summary="Delete the tokens upstream that abandoned attempts have left, and show what there was.",
        run=_delete_orphans,
        query=OrphansQuery,
        answers={200: OrphansDocument},
        problems=(404, 409, 502, 504),
    ),
    Operation(
        method="DELETE",
        path="/v1/stores/{store_hash}",
        name="removeStore",
        action="store.write",
        summary="Revoke a store's references, delete its token upstream, and forget it.",
        run=_delete,
        answers={204: None},
        problems=(404, 409, 429, 502, 504),
    ),
)
