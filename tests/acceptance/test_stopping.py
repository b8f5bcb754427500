"""Processes that end, asked or not: what is under way, what is counted, and what is left behind (security.md §3.3, F72 to F75)."""

import os
import signal
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from urllib3.exceptions import HTTPError

from sandbox.demo.processes import accepts, answers, wait_until
from service.adapters.counting_folder import PREFIX
from tests.support.own_broker import OwnBroker, own_broker
from tests.support.service import Service

REDEEMED = 'b2b_broker_references_total{operation="redeem",outcome="ok"}'
WHOAMI = 'b2b_broker_http_requests_total{method="GET",route="whoami",status="200"}'
COMPANIES = "/v1/proxy/api/v3/io/companies"
IN_FLIGHT = 10
LOST = 0


def _alive(pid: int) -> bool:
    """Tell whether a process runs; one that has ended and that nobody has asked about yet does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def _asked(service: Service, store_hash: str) -> int:
    seen = service.upstream("GET", f"/_sandbox/requests?store_hash={store_hash}")["requests"]
    return len(seen)


def _counting_folders(pid: int) -> set[Path]:
    links = {link.readlink() for link in Path(f"/proc/{pid}/fd").iterdir()}
    return {path for path in links if path.name.startswith(PREFIX)}


def test_counts_are_sums_of_all_workers_and_outlive_them(service: Service, tmp_path: Path) -> None:
    """Whichever worker is asked, and also when one was killed that had counted."""
    with own_broker(service.stack, tmp_path) as broker:
        first, second = broker.program.children()
        for _ in range(40):
            ask_on_a_new_connection(broker, service)
        before = [broker.count(WHOAMI) for _ in range(10)]
        began = broker.count("b2b_broker_worker_start_time_seconds")
        os.kill(first, signal.SIGKILL)
        wait_until("it is replaced", lambda: {first, second} < {first, *broker.program.children()})
        wait_until("there are two", lambda: broker.count("b2b_broker_workers") == 2)
        after = [broker.count(WHOAMI) for _ in range(10)]

        assert before == after == [40] * 10
        assert broker.count("b2b_broker_worker_start_time_seconds") > began


def ask_on_a_new_connection(broker: OwnBroker, service: Service) -> None:
    """Make one request on a connection of its own, so that either worker may get it."""
    reply = broker.client.ask(service.operator, "GET", "/v1/whoami", Connection="close")
    assert reply.status == 200


def test_a_worker_killed_under_load_costs_only_what_it_was_answering(
    service: Service, tmp_path: Path
) -> None:
    """Nothing is redeemed twice, the other worker goes on, and it is soon replaced."""
    store_hash = service.active_store()
    with own_broker(service.stack, tmp_path) as broker, ThreadPoolExecutor(IN_FLIGHT) as threads:
        held = list(threads.map(lambda _: service.mint(store_hash, access="redeem"), range(600)))
        victim = broker.program.children()[0]

        def redeem(number: int) -> int:
            if number == 200:
                os.kill(victim, signal.SIGKILL)
            body = {"reference": held[number % len(held)]}
            try:
                path = "/v1/references/redeem"
                return broker.client.ask(service.worker, "POST", path, body).status
            except HTTPError:
                return LOST

        first = list(threads.map(redeem, range(600)))
        again = Counter(threads.map(redeem, range(600, 1200)))
        wait_until("there are two", lambda: broker.count("b2b_broker_workers") == 2)
        redeemed = broker.count(REDEEMED)

    statuses = Counter(first)
    assert set(statuses) <= {200, LOST}
    assert statuses[LOST] <= 2 * IN_FLIGHT
    assert first[-50:] == [200] * 50
    # What was lost was redeemed or not; never twice.
    assert again[200] <= statuses[LOST]
    assert again[200] + again[410] == 600
    assert redeemed >= statuses[200] + again[200]


def test_workers_end_with_their_parent_and_what_it_left_is_removed_by_the_next(
    service: Service, tmp_path: Path
) -> None:
    """A killed parent cannot clean up; its workers must not go on without it, holding the port."""
    with own_broker(service.stack, tmp_path) as broker:
        workers = broker.program.children()
        (left,) = _counting_folders(broker.program.pid)
        broker.program.kill()
        # They look once a second.
        wait_until("the workers end", lambda: not any(_alive(pid) for pid in workers), 10)
        free = not accepts(broker.port)
        was_left = left.exists()
    with own_broker(service.stack, tmp_path) as another:
        found = another.client.ask(service.operator, "GET", "/v1/whoami").status

    assert (free, was_left, found, left.exists()) == (True, True, 200, False)


def test_a_broker_that_is_asked_to_stop_answers_what_is_under_way(
    service: Service, tmp_path: Path
) -> None:
    """It is not ready at once, lives on, answers all ten, and ends with 0; nothing of it is left."""
    store_hash = service.active_store()
    slow = {"store_hash": store_hash, "latency_seconds": 1}
    with own_broker(service.stack, tmp_path) as broker, ThreadPoolExecutor(IN_FLIGHT) as threads:
        held = service.mint(store_hash)
        (folder,) = _counting_folders(broker.program.pid)
        service.upstream("PATCH", "/_sandbox/behaviours", slow)
        before = _asked(service, store_hash)
        waiting = [
            threads.submit(
                broker.client.ask, service.worker, "GET", COMPANIES, Broker_Reference=held
            )
            for _ in range(IN_FLIGHT)
        ]
        wait_until("they are upstream", lambda: _asked(service, store_hash) == before + IN_FLIGHT)

        broker.program.signal(signal.SIGTERM)

        wait_until("it is not ready", lambda: answers(broker.ops_port, "/readyz", 503), 1)
        told, alive = broker.checks()["stopping"], answers(broker.ops_port, "/livez")
        done = [future.done() for future in waiting]
        statuses = {future.result().status for future in waiting}
        code = broker.program.exit_code()

    assert (told, alive, any(done)) == ("stopping", True, False)
    assert (statuses, code, folder.exists()) == ({200}, 0, False)


def test_a_broker_that_is_asked_to_stop_finishes_an_issue(service: Service, tmp_path: Path) -> None:
    """The token that the upstream is making has an owner: the store is active, and there is one."""
    store_hash = service.new_store()
    slow = {"store_hash": store_hash, "create_delay_seconds": 1}
    service.upstream("PATCH", "/_sandbox/behaviours", slow)
    credential = {
        "kind": "b2b_password",
        "email": f"owner@{store_hash}.example",
        "password": "right password",
    }
    path = f"/v1/stores/{store_hash}"
    with own_broker(service.stack, tmp_path) as broker, ThreadPoolExecutor(1) as threads:
        put = threads.submit(
            broker.client.ask, service.operator, "PUT", path, {"credential": credential}
        )
        wait_until("it is upstream", lambda: _asked(service, store_hash) == 1)

        broker.program.signal(signal.SIGTERM)

        reply, code = put.result(), broker.program.exit_code()

    shown = service.client.ask(service.operator, "GET", path).json()
    assert (reply.status, code) == (201, 0)
    assert (shown["status"], len(service.live_tokens(store_hash))) == ("active", 1)
