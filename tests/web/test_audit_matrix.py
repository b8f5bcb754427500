"""The audit trail over HTTP: every operation, asked by every kind of identity, when all is well, without Redis, and without a trail."""

from collections.abc import Sequence

import fakeredis
import pytest
from werkzeug.test import TestResponse

from service.core.audit import AuditEntry
from service.core.secret import Secret
from service.web.edge import OPERATIONS
from tests.support.world import World
from tests.web.answers import assert_problem
from tests.web.calling import Api
from tests.web.oracle import IDENTITIES, ON_ALL_STORES, ON_REFERENCES, RIGHTS, Cell, cells
from tests.web.test_authorisation_matrix import NAMES, Matrix

ACTIONS = {operation.name: operation.action for operation in OPERATIONS} | {
    "proxy": "reference.use"
}
WITHOUT_STORAGE = {"whoami", "explainPolicy"}


@pytest.fixture(scope="module")
def shared() -> Api:
    """One API for all cells: making one costs more than asking a cell."""
    return Api(World())


class Prepared:
    """A cell that can be asked: its store and reference are there."""

    def __init__(self, api: Api, cell: Cell) -> None:
        self._api = api
        self._cell = cell
        self._matrix = Matrix(api)
        self._matrix._prepare(cell.operation, cell.relation)
        self._reference = self._matrix._reference(cell) if cell.state else Secret("")

    def ask(self) -> tuple[TestResponse, list[AuditEntry]]:
        """Return the answer, and what the trail says of that request."""
        answer = self._matrix._ask(self._cell, self._reference)
        request_id = answer.headers["X-Request-Id"]
        return answer, [e for e in self._api.world.audit.entries if e.request_id == request_id]


def right(operation: str) -> Cell:
    """Return a cell that is allowed."""
    relation = "all" if operation in ON_ALL_STORES else "own"
    state = "live" if operation in ON_REFERENCES else ""
    identity = "worker" if operation == "proxy" else next(iter(RIGHTS[operation]))
    return Cell(operation, identity, relation, state)


def _outcomes(answer: TestResponse) -> Sequence[str]:
    """Return how the trail of a request may end, for what the caller was told."""
    if answer.status_code >= 400:
        return ("denied", "failed")
    hidden = answer.is_json and answer.get_json() == {"active": False}
    return ("denied",) if hidden else ("allowed", "completed")


@pytest.mark.parametrize("identity", IDENTITIES)
@pytest.mark.parametrize("operation", RIGHTS)
def test_every_request_has_an_entry_that_says_what_came_of_it(
    shared: Api, operation: str, identity: str
) -> None:
    """Allowed, denied and failed: who, which action, and the outcome that the caller was told."""
    name = operation.partition(" ")[0]
    nobody = identity == "nobody"

    for cell in cells(operation, identity):
        answer, entries = Prepared(shared, cell).ask()

        last = entries[-1]
        assert last.caller == ("" if nobody else NAMES[identity]), cell
        assert last.action == ("authenticate" if nobody else ACTIONS[name]), cell
        assert last.outcome in _outcomes(answer), cell


@pytest.mark.parametrize("operation", RIGHTS)
def test_what_fails_for_lack_of_redis_is_recorded(operation: str) -> None:
    """What the broker could not do is in the trail like what it would not do."""
    server = fakeredis.FakeServer()
    api = Api(World(fakeredis.FakeRedis(server=server)))
    cell = right(operation)
    prepared = Prepared(api, cell)
    server.connected = False

    answer, entries = prepared.ask()

    last = entries[-1]
    if operation in WITHOUT_STORAGE:
        assert (answer.status_code, last.outcome) == (200, "allowed")
    else:
        assert_problem(answer, "storage_unavailable")
        assert (last.outcome, last.reason) == ("failed", "redis_ConnectionError")
        assert (last.caller, last.action) == (
            NAMES[cell.identity],
            ACTIONS[operation.partition(" ")[0]],
        )


@pytest.mark.parametrize("operation", RIGHTS)
def test_without_a_trail_nothing_is_released_or_changed_upstream(operation: str) -> None:
    """P5: 503, with no reference, no token, no document, and the upstream was not asked for or sent anything."""
    api = Api(World())
    prepared = Prepared(api, right(operation))
    before = _touched(api)
    api.world.audit.broken = True

    answer, entries = prepared.ask()

    assert entries == []
    assert_problem(answer, "audit_unavailable")
    assert set(answer.get_json()) == {"type", "title", "status", "detail", "request_id"}
    assert _touched(api) == before


def _touched(api: Api) -> tuple[int, int, list[str]]:
    """Return all that the upstream was asked for."""
    upstream = api.world.upstream
    return upstream.logins, len(upstream.proxied), [made.name for made in upstream.live("abc123")]


def test_what_cannot_be_read_is_recorded_without_what_it_held(shared: Api) -> None:
    """A body with wrong fields and a name that is no store's: the caller's own text is not repeated."""
    Matrix(shared)
    answers = [
        shared.ask("POST", "/v1/references", NAMES["minter"], json={"canary7zq": 1}),
        shared.ask("GET", "/v1/stores/canary7zq-", NAMES["operator"]),
        shared.ask("POST", "/v1/references", NAMES["minter"], data="canary7zq"),
    ]

    entries = shared.world.audit.entries[-3:]
    assert [answer.status_code for answer in answers] == [422, 422, 415]
    assert [(e.action, e.outcome, e.reason) for e in entries] == [
        ("reference.mint", "failed", "wrong_fields"),
        ("store.read", "failed", "wrong_fields"),
        ("reference.mint", "failed", "wrong_media_type"),
    ]
    assert "canary7zq" not in repr(entries)
