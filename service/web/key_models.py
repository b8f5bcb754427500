"""The wire models of the operations on keys."""

from typing import Annotated

from pydantic import Field

from service.core.rewrap_state import State
from service.web.models import Document


class RecordsDocument(Document):
    """How many stored values need a key, by kind."""

    store: int
    reference: int
    intent: int


class KeyDocument(Document):
    """A key of the ring; never the key itself."""

    key_id: str
    primary: Annotated[bool, Field(description="Whether new values are sealed with it.")]
    checked: Annotated[
        bool, Field(description="Whether it is in use; not if it was retired, or is new.")
    ]
    records: RecordsDocument
    known_by: Annotated[list[str], Field(description="Live replicas that have it.")]
    missing_in: Annotated[list[str], Field(description="Live replicas that do not.")]


class KeysDocument(Document):
    """All keys, and who has them."""

    keys: list[KeyDocument]
    wanted: Annotated[
        str,
        Field(description="What the keyring names as primary; it seals once every replica has it."),
    ]
    replicas: list[str]
    malformed: Annotated[
        int, Field(description="Stored values that do not say which key they need: altered.")
    ]


class RewrapDocument(Document):
    """How far sealing everything again is."""

    state: State
    to: Annotated[str, Field(description="The key that everything is to need in the end.")]
    rewrapped: int
    left: Annotated[int, Field(description="What the pass before could not; tried again.")]
    altered: Annotated[int, Field(description="Of these, what never can: look at these stores.")]
    passes: int
