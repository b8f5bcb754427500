"""The authorisation matrix: every operation, asked by every kind of identity, about every store and reference, held to an oracle."""

import contextlib
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from werkzeug.test import TestResponse

from service.core.caller import Caller
from service.core.credential import B2BPassword
from service.core.errors import CredentialRefusedError, UnauthenticatedError
from service.core.policy import AccessGrant, Limits, MintAsk, Policy
from service.core.reference import accessor_of, new_reference
from service.core.secret import Secret
from service.web.edge import OPERATIONS
from tests.support.access import FakeAccess, token_of
from tests.support.svids import make, root
from tests.support.tls import ALWAYS, Handshakes, workload
from tests.support.upstream import EMAIL, PASSWORD
from tests.support.world import World, call, keyring
from tests.web.calling import COMPANIES, CREDENTIAL, Api
from tests.web.oracle import IDENTITIES, RIGHTS, STORES, UNKNOWN, Cell, cells, expected

NAMES = {kind: f"test:{kind}" for kind in IDENTITIES}
OTHER_AUDIENCE, OTHER_MINTER = "test:other-audience", "test:other-minter"
LIMITS = Limits(access=("proxy", "redeem"), audiences=("test:*",))
EVERYTHING = Policy(
    (AccessGrant("setup", ("test:*",), ("*",), ("store.*", "reference.*"), LIMITS),)
)
"""For making what the cells ask about; never in force at the edge."""
OF_OPERATORS = (
    "store.write",
    "store.read",
    "store.lock",
    "reference.read",
    "reference.revoke",
    "policy.read",
)
OF_KIND = {
    "operator": (*OF_OPERATORS, "audit.read"),
    "store_operator": OF_OPERATORS,
    "reader": ("store.read", "reference.read"),
    "minter": ("reference.mint",),
    "worker": ("reference.redeem",),
}
# One grant for each right, so that each can be taken away by itself.
GRANTS = tuple(
    AccessGrant(
        f"{kind} {action}",
        (NAMES[kind],),
        ("*",) if kind == "operator" else ("abc*",),
        (action,),
        LIMITS,
    )
    for kind, actions in OF_KIND.items()
    for action in actions
)
SETUP_CREDENTIAL = B2BPassword(Secret(EMAIL), Secret(PASSWORD))
METHODS = {operation.name: (operation.method, operation.path) for operation in OPERATIONS}
TTL_SECONDS = 60
IDLE_KEY = "k0"
"""One that nothing needs, so that it can be let go of."""


class MatrixAccess(FakeAccess):
    """Knows one identity of each kind, by its workload token."""

    def by_token(self, token: Secret) -> Caller:
        """See ``Access.by_token``."""
        for identity in NAMES.values():
            if token.reveal() == token_of(identity):
                return Caller(identity, "test", "workload_token")
        raise UnauthenticatedError("The proof of identity does not hold.", reason="token_unknown")


@pytest.fixture(scope="module")
def api() -> Api:
    """One API for all of the matrix: making one costs more than asking a cell, and each cell makes what it asks about."""
    world = World()
    world.ring = keyring("k1", IDLE_KEY)
    return Api(world)


class Matrix:
    """Asks cells of one API."""

    def __init__(
        self,
        api: Api,
        grants: tuple[AccessGrant, ...] = GRANTS,
        peers: Mapping[str, ssl.SSLSocket] | None = None,
    ) -> None:
        """Take the connections of the identities that prove themselves by certificate, if they are to."""
        self._api = api
        self._peers = peers
        self._world: World = api.world
        api.access = MatrixAccess(Policy(grants))

    def differences(self, asked: list[Cell]) -> dict[Cell, tuple[str, str]]:
        """Return the cells that come out otherwise than expected: cell → observed, expected."""
        outcomes = {cell: (self.outcome(cell), expected(cell)) for cell in asked}
        return {cell: both for cell, both in outcomes.items() if both[0] != both[1]}

    def outcome(self, cell: Cell) -> str:
        """Return what comes of a cell."""
        self._prepare(cell.operation, cell.relation)
        reference = self._reference(cell) if cell.state else Secret("")
        answer = self._ask(cell, reference)
        if answer.status_code // 100 != 2:
            return str(answer.status_code)
        return _said(cell, answer)

    def _prepare(self, operation: str, relation: str) -> None:
        """Bring the store into the state that the cell asks about."""
        setup, store = call("test:setup", EVERYTHING), STORES[relation]
        self._world.locks.unlock_all(setup)
        if operation == "rewrapKeys":
            ring = self._world.keyring()
            self._world.agreement.admit(ring, ring)
        if relation != "all":
            self._world.locks.unlock(setup, store)
        if relation in ("own", "other"):
            self._world.active(store)
            if operation == "rollBackStore":
                self._world.stores.rotate(setup, store, SETUP_CREDENTIAL)
            if operation == "listLocks":
                self._world.locks.lock(setup, store, "INC-1")
            return
        known = self._world.stores_table.read([store], self._world.clock())[0].line is not None
        if known:
            self._world.stores.remove(setup, store)
        if relation == "own_rejected":
            wrong = B2BPassword(Secret(EMAIL), Secret("wrong"))
            with pytest.raises(CredentialRefusedError):
                self._world.stores.put(setup, store, wrong, retain=False)

    def _reference(self, cell: Cell) -> Secret:
        store = STORES[cell.relation]
        if cell.state == "garbage":
            return Secret("garbage")
        if cell.state == "never_minted":
            return new_reference(store)
        wanted = "redeem" if cell.operation == "redeemReference" else "proxy"
        other = "proxy" if wanted == "redeem" else "redeem"
        minter = OTHER_MINTER if cell.state == "other_minter" else NAMES["minter"]
        audience = OTHER_AUDIENCE if cell.state == "other_audience" else NAMES["worker"]
        access: Any = other if cell.state == "other_access" else wanted
        ask = MintAsk(access, audience, timedelta(seconds=TTL_SECONDS), max_uses=1)
        self._world.active(store)
        minted = self._world.minter.mint(call(minter, EVERYTHING), store, ask)
        worker = call(NAMES["worker"], EVERYTHING)
        if cell.state == "revoked":
            assert self._world.references.revoke(call(minter, EVERYTHING), minted.accessor)
        if cell.state == "expired":
            self._world.clock.move(timedelta(seconds=TTL_SECONDS))
        if cell.state == "used_up":
            self._world.uses.take(worker, minted.reference, access, lambda _grant: True)
        if cell.relation in UNKNOWN:
            self._world.stores.remove(call("test:setup", EVERYTHING), store)
        return minted.reference

    def _ask(self, cell: Cell, reference: Secret) -> TestResponse:
        identity = None if cell.identity == "nobody" else NAMES[cell.identity]
        options: dict[str, Any] = {}
        if self._peers is not None:
            options["environ_overrides"] = {"gunicorn.socket": self._peers[cell.identity]}
            identity = None
        if cell.operation == "proxy":
            headers = {"Broker-Reference": reference.reveal()}
            return self._api.ask("GET", COMPANIES, identity, headers, **options)
        name, _, _ = cell.operation.partition(" ")
        method, path = METHODS[name]
        store = STORES[cell.relation]
        if "{accessor}" in path:
            garbage = cell.state == "garbage"
            path = path.format(accessor="garbage" if garbage else accessor_of(reference).text)
        if name == "listReferences":
            path = f"{path}?store_hash={store}"
        bodies: dict[str, dict[str, object]] = {
            "putStore": {"credential": CREDENTIAL},
            "rotateStore": {"credential": CREDENTIAL},
            "lockStore": {"reason": "INC-1"},
            "lockAll": {"reason": "INC-1"},
            "mintReference": {"store_hash": store, "audience": NAMES["worker"]},
            "explainPolicy": {
                "caller": NAMES["worker"],
                "action": "reference.redeem",
                "store_hash": store,
            },
            "revokeReferences store": {"store_hash": store},
            "revokeReferences caller": {"caller": NAMES["worker"]},
            "revokeReferences all": {"all": True},
        }
        body = {"reference": reference.reveal()} if cell.state else bodies.get(cell.operation)
        if method in ("GET", "DELETE"):
            body = None
        path = path.replace("{store_hash}", store).replace("{key_id}", IDLE_KEY)
        return self._api.ask(method, path, identity, json=body, **options)


def _said(cell: Cell, answer: TestResponse) -> str:
    """Return what an answer that is no problem says."""
    if cell.operation == "introspectReference" and answer.get_json() == {"active": False}:
        return "inactive"
    if cell.operation.startswith("revokeReference") and not answer.get_json()["revoked"]:
        return "not_live"
    if cell.operation == "listLocks":
        locked = [store["store_hash"] for store in answer.get_json()["stores"]]
        return "allowed" if STORES[cell.relation] in locked else "hidden"
    if cell.operation == "listStores":
        shown = [store["store_hash"] for store in answer.get_json()["stores"]]
        return "allowed" if STORES[cell.relation] in shown else "hidden"
    return "allowed"


def test_every_operation_is_in_the_matrix() -> None:
    """Whoever adds an operation says here who may do it; the proxy is none of the list."""
    asked = {name.partition(" ")[0] for name in RIGHTS}

    assert asked == {operation.name for operation in OPERATIONS} | {"proxy"}


@pytest.mark.parametrize("identity", IDENTITIES)
@pytest.mark.parametrize("operation", RIGHTS)
def test_every_cell_comes_out_as_the_design_says(api: Api, operation: str, identity: str) -> None:
    """Nothing is let through that should not be, and nothing is refused in another way than promised."""
    asked = cells(operation, identity)

    assert asked
    assert Matrix(api).differences(asked) == {}


@pytest.fixture(scope="module")
def peers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, ssl.SSLSocket]]:
    """A connection of each kind of identity, with its certificate; nobody has none."""
    authority = make(root(life=ALWAYS, begins=-ALWAYS))
    handshakes = Handshakes(tmp_path_factory.mktemp("tls"), authority)
    with contextlib.ExitStack() as open_:
        yield {
            kind: open_.enter_context(
                handshakes.peer(*([] if kind == "nobody" else [workload(name, authority)]))
            )
            for kind, name in NAMES.items()
        }


@pytest.mark.parametrize("operation", RIGHTS)
def test_a_certificate_opens_no_more_and_no_less(
    api: Api, peers: Mapping[str, ssl.SSLSocket], operation: str
) -> None:
    """What an identity may do does not depend on how it was proven; live references and none are the sample."""
    asked = [
        cell
        for identity in IDENTITIES
        for cell in cells(operation, identity)
        if cell.state in ("", "live")
    ]

    assert asked
    assert Matrix(api, peers=peers).differences(asked) == {}


def _cells_of(grant: AccessGrant) -> list[Cell]:
    kind = grant.name.partition(" ")[0]
    return [
        cell
        for operation in RIGHTS
        for cell in cells(operation, kind)
        if cell.state in ("", "live")
    ]


@pytest.mark.parametrize("grant", GRANTS, ids=lambda grant: grant.name)
def test_a_grant_that_is_missing_shows(api: Api, grant: AccessGrant) -> None:
    """The matrix can fail: without any one grant, something that was allowed is refused."""
    matrix = Matrix(api, tuple(other for other in GRANTS if other != grant))

    differences = matrix.differences(_cells_of(grant))

    assert differences
    assert "allowed" not in {observed for observed, _ in differences.values()}


@pytest.mark.parametrize(
    "grant", [grant for grant in GRANTS if grant.stores != ("*",)], ids=lambda grant: grant.name
)
def test_a_grant_that_is_too_wide_shows(api: Api, grant: AccessGrant) -> None:
    """With one grant stretched to all stores, something that was refused is allowed."""
    wide = tuple(replace(o, stores=("*",)) if o == grant else o for o in GRANTS)

    differences = Matrix(api, wide).differences(_cells_of(grant))

    assert {cell.relation for cell in differences} <= {"other", "other_unknown", "all"}
    assert differences
