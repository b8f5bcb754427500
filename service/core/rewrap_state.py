"""What is noted about rewrapping, so that every replica, and whoever comes after a crash, knows what was asked for and how far it is."""

import json
from dataclasses import asdict, dataclass, fields
from typing import Literal, get_args

State = Literal["none", "wanted", "running", "done"]


@dataclass(frozen=True, slots=True)
class RewrapState:
    """How far rewrapping is.

    Attributes:
        state: ``wanted`` until the first look, then ``running``, until a whole pass found nothing more to do.
        to: The key that everything is to need in the end.
        request_id: Of the request that asked for it.
        caller: Who asked.
        rewrapped: How many values were sealed again since then.
        left: How many the pass before could not: a store that somebody was issuing for, a value that was altered. They are tried again.
        altered: How many of these never can, because they were altered or need a key that is gone.
        passes: How often everything was looked at.
    """

    state: State = "none"
    to: str = ""
    request_id: str = ""
    caller: str = ""
    rewrapped: int = 0
    left: int = 0
    altered: int = 0
    passes: int = 0

    @property
    def asked_for(self) -> bool:
        """Whether there is something to do."""
        return self.state in ("wanted", "running")

    def encode(self) -> bytes:
        """Return the note."""
        return json.dumps(asdict(self), separators=(",", ":")).encode("ascii")


def decode_state(note: bytes) -> RewrapState:
    """Return what a note says. It is Redis's word: one that is not readable says nothing."""
    try:
        state = RewrapState(**json.loads(note)) if note else RewrapState()
    except (TypeError, ValueError, RecursionError):
        return RewrapState()
    typed = all(type(getattr(state, each.name)) is type(each.default) for each in fields(state))
    return state if typed and state.state in get_args(State) else RewrapState()
