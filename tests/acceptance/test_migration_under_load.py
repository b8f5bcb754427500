"""Moving a store to another style of token, and rotating it, while references are used: nobody notices."""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from sandbox.demo.processes import wait_until
from tests.support.service import Service

THREADS = 6
BETWEEN = 60
ACCESS_TOKEN = "migratedxauthtoken0000000000000"


class Load:
    """References in use, by several threads, until told to stop."""

    def __init__(self, service: Service, store_hash: str) -> None:
        self._service = service
        self._references = [service.mint(store_hash) for _ in range(THREADS)]
        self._stopping = threading.Event()
        self.statuses: Counter[int] = Counter()

    def use(self, reference: str) -> None:
        """Use one reference again and again."""
        while not self._stopping.is_set():
            self.statuses[self._service.companies(reference).status] += 1

    def run(self, threads: ThreadPoolExecutor) -> None:
        """Start."""
        for reference in self._references:
            threads.submit(self.use, reference)

    def wait_for_more(self) -> None:
        """Wait until there were some more requests."""
        wanted = self.statuses.total() + BETWEEN
        wait_until("more requests", lambda: self.statuses.total() >= wanted)

    def stop(self) -> None:
        """Stop."""
        self._stopping.set()


def test_no_request_fails_while_a_store_is_rotated_and_moved(service: Service) -> None:
    """Six threads use references; every one of their requests is answered by the upstream, with whichever token is in force."""
    store_hash = service.active_store()
    path = f"/v1/stores/{store_hash}"
    service.upstream(
        "POST", "/_sandbox/stores", {"store_hash": store_hash, "access_token": ACCESS_TOKEN}
    )
    email = f"owner@{store_hash}.example"
    password = {"kind": "b2b_password", "email": email, "password": "right password"}
    access_token = {"kind": "access_token", "access_token": ACCESS_TOKEN}
    load = Load(service, store_hash)
    with ThreadPoolExecutor(THREADS) as threads:
        load.run(threads)
        try:
            load.wait_for_more()
            changes = [
                service.client.ask(
                    service.operator, "POST", f"{path}/rotate", {"credential": password}
                ),
                service.client.ask(service.operator, "PUT", path, {"credential": access_token}),
                service.client.ask(service.operator, "POST", f"{path}/rollback"),
                service.client.ask(service.operator, "PUT", path, {"credential": access_token}),
            ]
            load.wait_for_more()
        finally:
            load.stop()

    shown = service.client.ask(service.operator, "GET", path).json()
    styles = Counter(
        row["style"]
        for row in service.upstream("GET", f"/_sandbox/requests?store_hash={store_hash}")[
            "requests"
        ]
    )
    assert [reply.status for reply in changes] == [200, 200, 200, 200]
    assert set(load.statuses) == {200}
    assert (shown["token_style"], shown["deprecated"]) == ("x_auth_token", False)
    assert min(styles["auth_token"], styles["x_auth_token"]) > 0
