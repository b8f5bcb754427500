"""The operations on keys."""

from dataclasses import asdict

from service.core import keys as core
from service.core.keyring import KEY_ID
from service.core.rewrap_state import RewrapState
from service.web.key_models import KeysDocument, RewrapDocument
from service.web.operations import Answered, Asked, Operation
from service.web.problems import WrongFieldsError


def _list(asked: Asked) -> Answered:
    return Answered(200, _shown(asked.edge.keys.list(asked.call)))


def _rewrap(asked: Asked) -> Answered:
    return Answered(202, _progress(asked.edge.keys.rewrap(asked.call)))


def _rewrapping(asked: Asked) -> Answered:
    return Answered(200, _progress(asked.edge.keys.rewrapping(asked.call)))


def _retire(asked: Asked) -> Answered:
    key_id = asked.path["key_id"]
    if not KEY_ID.fullmatch(key_id):
        raise WrongFieldsError([{"where": "key_id", "rule": "1 to 32 of a-z, 0-9, '-' and '_'"}])
    return Answered(200, _shown(asked.edge.keys.retire(asked.call, key_id)))


def _shown(known: core.KnownKeys) -> KeysDocument:
    return KeysDocument.model_validate(asdict(known))


def _progress(state: RewrapState) -> RewrapDocument:
    return RewrapDocument(
        state=state.state,
        to=state.to,
        rewrapped=state.rewrapped,
        left=state.left,
        altered=state.altered,
        passes=state.passes,
    )


OPERATIONS = (
    Operation(
        method="GET",
        path="/v1/keys",
        name="listKeys",
        action="store.read",
        summary="Show the keys of the ring: what needs them, and which replicas have them.",
        run=_list,
        answers={200: KeysDocument},
    ),
    Operation(
        method="POST",
        path="/v1/keys/rewrap",
        name="rewrapKeys",
        action="store.write",
        summary="Seal everything that is stored again under the primary key, in the background.",
        run=_rewrap,
        answers={202: RewrapDocument},
        problems=(409,),
    ),
    Operation(
        method="GET",
        path="/v1/keys/rewrap",
        name="showRewrap",
        action="store.read",
        summary="Show how far that is.",
        run=_rewrapping,
        answers={200: RewrapDocument},
    ),
    Operation(
        method="POST",
        path="/v1/keys/{key_id}/retire",
        name="retireKey",
        action="store.write",
        summary="Let go of a key that nothing needs any more, so that its file can be taken away.",
        run=_retire,
        answers={200: KeysDocument},
        problems=(404, 409),
    ),
)
