"""Calling the API as one of the identities that the access stand-in knows."""

from datetime import timedelta
from typing import Any

from werkzeug.test import TestResponse

from service.core.audit_keeping import HeadReader
from service.core.explaining import Explaining
from service.core.ports import Access
from service.web.bulkhead import Bulkhead
from service.web.callers import Callers
from service.web.crowd import Crowd
from service.web.edge import Edge, create_app
from service.web.failure_limit import FailureLimit
from tests.support.access import PROXY, FakeAccess, token_of
from tests.support.upstream import EMAIL, PASSWORD
from tests.support.world import MINTER, OPERATOR, STORE, WORKER, World
from tests.web.contract import CheckedClient

BASE_URL = "https://upstream.example"
CREDENTIAL = {"kind": "b2b_password", "email": EMAIL, "password": PASSWORD}
COMPANIES = "/v1/proxy/api/v3/io/companies"


class Api:
    """The HTTP edge on top of a world, with everything that it told the outside."""

    def __init__(self, world: World, failures_per_minute: int = 100_000) -> None:
        self.world = world
        self.seconds = 0.0
        self.snapshots = 0
        self.access = FakeAccess()
        self.crowd = Crowd(threads=16)
        self.bulkhead = Bulkhead(threads=16, wait=timedelta(0))
        self.observed: list[tuple[str, str, int]] = []
        self.app = create_app(
            Edge(
                access=self._snapshot,
                callers=Callers(
                    frozenset({PROXY}), FailureLimit(failures_per_minute, self.monotonic)
                ),
                keyring=world.keyring,
                gate=world.gate,
                stores=world.stores,
                locks=world.locks,
                minter=world.minter,
                uses=world.uses,
                references=world.references,
                keys=world.keys,
                proxy=world.proxy,
                explaining=Explaining(world.gate),
                heads=HeadReader(world.gate, world.heads_table),
                base_url=BASE_URL,
                crowd=self.crowd,
                bulkhead=self.bulkhead,
                observe=self._observe,
            )
        )
        self.app.test_client_class = CheckedClient
        self.client = self.app.test_client()
        self.failure: Exception | None = None

    def ask(
        self,
        method: str,
        path: str,
        identity: str | None = OPERATOR,
        headers: dict[str, str] | None = None,
        **options: Any,
    ) -> TestResponse:
        """Send a request; ``identity`` None sends no proof of one."""
        proof = {} if identity is None else {"Authorization": f"Bearer {token_of(identity)}"}
        return self.client.open(path, method=method, headers=proof | (headers or {}), **options)

    def put_store(self, store_hash: str = STORE, **members: Any) -> TestResponse:
        """Register a store with the right password."""
        body = {"credential": CREDENTIAL, **members}
        return self.ask("PUT", f"/v1/stores/{store_hash}", json=body)

    def mint(self, **members: Any) -> Any:
        """Mint a reference to an active store and return the answer's body."""
        if not self.world.upstream.live(STORE):
            assert self.put_store().status_code == 201
        body = {"store_hash": STORE, "audience": WORKER, **members}
        answer = self.ask("POST", "/v1/references", MINTER, json=body)
        assert answer.status_code == 201, answer.text
        return answer.get_json()

    def proxy(
        self,
        method: str = "GET",
        path: str = COMPANIES,
        headers: dict[str, str] | None = None,
        **options: Any,
    ) -> TestResponse:
        """Send a request through the proxy with a fresh reference."""
        reference = {"Broker-Reference": self.mint()["reference"]}
        return self.ask(method, path, WORKER, reference | (headers or {}), **options)

    def monotonic(self) -> float:
        """Return the seconds on the clock of the limit on failures; the test moves it."""
        return self.seconds

    def _snapshot(self) -> Access:
        if self.failure is not None:
            raise self.failure
        self.snapshots += 1
        return self.access

    def _observe(self, route: str, method: str, status: int, seconds: float) -> None:
        assert seconds >= 0
        self.observed.append((route, method, status))
