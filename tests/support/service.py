"""The running broker as its callers see it: who may do what, and the requests that most tests make."""

import secrets
from typing import Any

import redis
import urllib3

from sandbox.demo.stack import Stack
from sandbox.demo.story import WORKER
from tests.support.http import Client, Reply


class Service:
    """A stack and a client to it."""

    def __init__(self, stack: Stack, client: Client) -> None:
        self.stack = stack
        self.client = client
        self.operator = stack.identities.person("ops-anna")
        self.minter = stack.identities.workload("commerce", "order-sync")
        self.worker = stack.identities.workload("commerce", "order-worker")

    def redis(self) -> "redis.Redis":
        """Return a client of the stack's Redis."""
        return redis.Redis(port=self.stack.redis_port)

    def reset_upstream(self) -> None:
        """Make the sandbox as it was at the start, with an upstream limit that no test reaches by accident."""
        self.upstream("POST", "/_sandbox/reset", {})
        self.upstream("PATCH", "/_sandbox/behaviours", {"rate_limit_per_minute": 0})

    def reset_switches(self, store_hash: str) -> None:
        """Set every switch of the sandbox towards one store to what it is towards all."""
        everything = self.upstream("GET", "/_sandbox/behaviours")
        switches = {name: everything[name] for name in everything if name != "stores"}
        own = {"store_hash": store_hash, **switches}
        self.upstream("PATCH", "/_sandbox/behaviours", own)

    def upstream(self, method: str, path: str, body: Any = None) -> Any:
        """Make a request to the sandbox's control endpoints."""
        response = urllib3.request(method, self.stack.upstream_url + path, json=body)
        assert response.status < 300, response.data
        return response.json() if response.data else None

    def new_store(self, password: str = "right password") -> str:
        """Make a store that the broker does not know, with an administrator, and return its hash."""
        store_hash = f"t{secrets.token_hex(6)}"
        administrator = {"email": f"owner@{store_hash}.example", "password": password}
        self.upstream("POST", "/_sandbox/stores", {"store_hash": store_hash, **administrator})
        return store_hash

    def put_store(self, store_hash: str, password: str = "right password") -> Reply:
        """Register a store with its administrator's password."""
        credential = {
            "kind": "b2b_password",
            "email": f"owner@{store_hash}.example",
            "password": password,
        }
        body = {"credential": credential}
        return self.client.ask(self.operator, "PUT", f"/v1/stores/{store_hash}", body)

    def active_store(self) -> str:
        """Register a new store and return its hash."""
        store_hash = self.new_store()
        assert self.put_store(store_hash).status == 201
        return store_hash

    def mint(self, store_hash: str, **wanted: Any) -> str:
        """Mint a reference for the worker and return it."""
        body = {"store_hash": store_hash, "audience": WORKER, **wanted}
        reply = self.client.ask(self.minter, "POST", "/v1/references", body)
        assert reply.status == 201, reply.content
        return str(reply.json()["reference"])

    def redeem(self, reference: str) -> Reply:
        """Redeem a reference as the worker."""
        body = {"reference": reference}
        return self.client.ask(self.worker, "POST", "/v1/references/redeem", body)

    def companies(self, reference: str, **headers: str) -> Reply:
        """List companies through the proxy as the worker."""
        path = "/v1/proxy/api/v3/io/companies?limit=1"
        return self.client.ask(
            self.worker, "GET", path, **{"Broker_Reference": reference, **headers}
        )

    def ledger(self, store_hash: str) -> Any:
        """Return the sandbox's ledger of a store."""
        return self.upstream("GET", f"/_sandbox/ledger?store_hash={store_hash}")

    def live_tokens(self, store_hash: str) -> list[Any]:
        """Return the tokens of a store that are alive upstream."""
        return [row for row in self.ledger(store_hash)["tokens"] if row["deleted_at"] is None]
