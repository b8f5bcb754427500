"""Clients of several replicas: each sends at its own pace, to one endpoint after the other, and nobody tries anything twice."""

import itertools
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPConnection, HTTPException
from typing import Any, Self

from sandbox.demo.processes import wait_until
from sandbox.demo.story import WORKER
from tests.acceptance.rollout.deployment import Endpoints
from tests.support.service import Service

CLIENTS = 12
_SLOW_CLIENTS = 2
_SECONDS = 20
_PROXIED = "/v1/proxy/api/v3/io/companies?limit=1"


class Caller:
    """One client, with one connection at a time.

    Args:
        turns: Whose turn it is among the endpoints.
        keeps: Whether the connection is kept until the broker ends it, also when its pod is no endpoint any more, as established
            connections are.
    """

    def __init__(self, endpoints: Endpoints, turns: Iterator[int], *, keeps: bool) -> None:
        self._endpoints = endpoints
        self._turns = turns
        self._keeps = keeps
        self._connection: HTTPConnection | None = None

    def ask(
        self, token: str, method: str, path: str, body: Any = None, **headers: str
    ) -> tuple[int, Any]:
        """Make a request, once.

        Returns:
            Status, and the answer's JSON.

        Raises:
            OSError: There was no answer.
            HTTPException: Nor was there one.
        """
        connection, self._connection = self._connection or self._connect(), None
        sent = {"Authorization": f"Bearer {token}", **headers}
        content = None
        if body is not None:
            sent["Content-Type"] = "application/json"
            content = json.dumps(body)
        try:
            connection.request(method, path, content, sent)
            response = connection.getresponse()
            answer = response.status, json.loads(response.read())
        except BaseException:
            connection.close()
            raise
        if self._keeps and not response.will_close:
            self._connection = connection
        else:
            connection.close()
        return answer

    def close(self) -> None:
        """Close the connection."""
        if self._connection:
            self._connection.close()

    def _connect(self) -> HTTPConnection:
        ports = self._endpoints.visible()
        return HTTPConnection("127.0.0.1", ports[next(self._turns) % len(ports)], timeout=_SECONDS)


class Load:
    """Twelve clients at work until told to stop; every other one keeps its connections.

    Each mints a reference, redeems it at whichever replica comes next, and makes a call through the proxy. The store of two of them is
    slow upstream, so that calls are under way whenever a pod stops.

    Attributes:
        answered: How many requests were, by what they were.
        lost: What happened instead.
    """

    def __init__(self, service: Service, endpoints: Endpoints, per_second: float) -> None:
        self._service = service
        self._endpoints = endpoints
        self._pause = 3 * CLIENTS / per_second  # a turn is three requests
        self._turns = itertools.count()
        self._stopping = threading.Event()
        self._stores = [service.active_store(), service.active_store()]
        service.upstream(
            "PATCH",
            "/_sandbox/behaviours",
            {"store_hash": self._stores[1], "latency_seconds": [0.3, 0.9]},
        )
        self._references = [service.mint(store, ttl_seconds=900) for store in self._stores]
        self.answered: Counter[str] = Counter()
        self.lost: list[str] = []

    def __enter__(self) -> Self:
        """Start, and wait for some answers."""
        self._threads = ThreadPoolExecutor(CLIENTS)
        self._work = [self._threads.submit(self._repeat, number) for number in range(CLIENTS)]
        self.wait_for_more()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self._stopping.set()
        self._threads.shutdown()
        for work in self._work:
            work.result()

    def wait_for_more(self) -> None:
        """Wait for some more answers."""
        wanted = self.answered.total() + 5 * CLIENTS
        wait_until("more answers", lambda: self.answered.total() + len(self.lost) >= wanted)

    def _repeat(self, number: int) -> None:
        turn = self._slow_turn if number < _SLOW_CLIENTS else self._turn
        due = time.monotonic() + self._pause * number / CLIENTS
        with closing(Caller(self._endpoints, self._turns, keeps=number % 2 == 0)) as caller:
            while not self._stopping.wait(max(due - time.monotonic(), 0)):
                due = max(due, time.monotonic()) + self._pause
                try:
                    turn(caller)
                except (OSError, HTTPException) as error:
                    self.lost.append(repr(error))

    def _turn(self, caller: Caller) -> None:
        body = {"store_hash": self._stores[0], "access": "redeem", "audience": WORKER}
        minted = caller.ask(self._service.minter, "POST", "/v1/references", body)
        if self._note("minted", minted, 201):
            body = {"reference": minted[1]["reference"]}
            redeemed = caller.ask(self._service.worker, "POST", "/v1/references/redeem", body)
            self._note("redeemed", redeemed)
        self._proxy(caller, self._references[0])

    def _slow_turn(self, caller: Caller) -> None:
        self._proxy(caller, self._references[1])

    def _proxy(self, caller: Caller, reference: str) -> None:
        headers = {"Broker-Reference": reference}
        self._note("proxied", caller.ask(self._service.worker, "GET", _PROXIED, **headers))

    def _note(self, what: str, answer: tuple[int, Any], wanted: int = 200) -> bool:
        is_good = answer[0] == wanted
        if is_good:
            self.answered[what] += 1
        else:
            self.lost.append(f"{what}: {answer}")
        return is_good
