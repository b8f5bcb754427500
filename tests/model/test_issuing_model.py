"""The protocol of issuing, explored exhaustively: right as it is, and wrong as soon as any one of its defences is gone."""

from dataclasses import fields, replace

import pytest

from tests.model.exploring import explore
from tests.model.states import Defences

LEAST_STATES = 10_000


def test_no_crash_expiry_loss_or_race_leads_to_a_lost_token() -> None:
    """In every state each token is known to somebody, the stored one is alive, and maintenance leaves only that one."""
    explored = explore(Defences())

    assert (explored.wrong, explored.trace) == ("", ())
    assert explored.states > LEAST_STATES


@pytest.mark.parametrize("defence", [field.name for field in fields(Defences)])
def test_each_defence_is_needed(defence: str) -> None:
    """Without it, the exploration finds a way to lose a token or to delete the wrong one."""
    explored = explore(replace(Defences(), **{defence: False}))

    assert explored.wrong
