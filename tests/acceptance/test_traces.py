"""Traces: spans of the real broker, as a collector decodes them; and nothing at all without the setting."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from sandbox.demo.processes import Program, free_port, stopping, wait_until
from sandbox.demo.stack import ROOT, running_stack
from tests.support.collector import Collector, running_collector
from tests.support.http import Client
from tests.support.own_broker import own_settings
from tests.support.service import Service

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT_ID = "00f067aa0ba902b7"
TRACE = f"00-{TRACE_ID}-{PARENT_ID}-01"
PATH = "/v1/proxy/api/v3/io/companies/canary-in-path?q=canary-in-query"


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    """A collector for the tests of this module."""
    with running_collector() as running:
        yield running


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory, collector: Collector) -> Iterator[Service]:
    """A broker that exports its spans at once."""
    settings = {
        "BROKER_TRACES": "true",
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_BSP_SCHEDULE_DELAY": "50",
        "WEB_CONCURRENCY": "1",
    }
    with running_stack(tmp_path_factory.mktemp("traced"), settings) as stack:
        client = Client(stack.port)
        service = Service(stack, client)
        service.reset_upstream()
        yield service
        client.close()


def _of(collector: Collector, trace_id: str) -> dict[str, Span]:
    return {s.name: s for s in collector.spans() if s.trace_id.hex() == trace_id}


def _attributes(span: Span) -> dict[str, str | int]:
    return {a.key: a.value.string_value or a.value.int_value for a in span.attributes}


def test_a_request_is_one_tree_in_its_callers_trace(traced: Service, collector: Collector) -> None:
    """Beneath the caller's span is the request, beneath that Redis and the upstream, which learns of it too."""
    reference = traced.mint(traced.active_store())
    traced.upstream("DELETE", "/_sandbox/requests")

    reply = traced.companies(reference, traceparent=TRACE, tracestate="vendor=1")
    wait_until("exported", lambda: "proxy" in _of(collector, TRACE_ID), 5)

    spans = _of(collector, TRACE_ID)
    request, upstream = spans["proxy"], spans["upstream proxy"]
    (sent,) = traced.upstream("GET", "/_sandbox/requests")["requests"]
    headers = {name.lower(): value for name, value in sent["headers"]}
    assert request.parent_span_id.hex() == PARENT_ID
    assert (request.kind, upstream.kind) == (Span.SPAN_KIND_SERVER, Span.SPAN_KIND_CLIENT)
    assert upstream.parent_span_id == spans["redis use"].parent_span_id == request.span_id
    assert headers["traceparent"] == f"00-{TRACE_ID}-{upstream.span_id.hex()}-01"
    assert headers["tracestate"] == "vendor=1"
    assert _attributes(request) == {
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "b2b_broker.request_id": reply.headers["X-Request-Id"],
    }
    assert collector.services() == {"b2b-credential-broker"}
    assert collector.paths == {"/v1/traces"}


def test_a_request_without_a_trace_begins_one_that_the_log_names(
    traced: Service, collector: Collector
) -> None:
    """So that a line leads to its spans."""
    reply = traced.client.ask(traced.operator, "GET", "/v1/whoami")

    def line() -> dict[str, str]:
        lines = traced.stack.broker.stderr.read_text("utf-8").splitlines()
        found = [line for line in lines if reply.headers["X-Request-Id"] in line]
        return json.loads(found[0]) if found else {}

    wait_until("it is logged", lambda: bool(line()), 5)
    trace_id = line()["trace_id"]
    wait_until("exported", lambda: "whoami" in _of(collector, trace_id), 5)
    assert _of(collector, trace_id)["whoami"].parent_span_id == b""


def test_a_failure_is_told_by_its_name_and_nothing_a_caller_sent_is_exported(
    traced: Service, collector: Collector
) -> None:
    """Neither path, query, header, password nor token; the store's password and token are looked for as well."""
    store_hash = traced.new_store("canary-password")
    traced.put_store(store_hash, "canary-password")
    reference = traced.mint(store_hash, access="redeem")
    token = traced.redeem(reference).json()["headers"]["authToken"]
    used = traced.redeem(reference)
    another = TRACE.replace(TRACE_ID, "a" * 32)  # TRACE_ID holds what its own test sends, no more
    traced.client.ask(
        traced.worker, "GET", PATH, Broker_Reference=traced.mint(store_hash), traceparent=another
    )
    asked = len(collector.bodies)
    wait_until("exported", lambda: len(collector.bodies) > asked, 5)

    exported = b"".join(collector.bodies)
    failed = [s for s in collector.spans() if s.name == "redeemReference"][-1]
    assert used.status == 410
    assert _attributes(failed)["error.type"] == "reference_invalid"
    for secret in ("canary", reference, token, store_hash, traced.worker):
        assert secret.encode() not in exported


def test_what_is_not_exported_yet_is_exported_when_the_broker_stops(
    tmp_path: Path, collector: Collector
) -> None:
    """The last spans of a worker are those that one looks for."""
    settings = {
        "BROKER_TRACES": "true",
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_BSP_SCHEDULE_DELAY": "600000",
        "WEB_CONCURRENCY": "1",
    }
    trace_id = "f" * 32
    with running_stack(tmp_path, settings) as stack:
        client = Client(stack.port)
        client.ask("nobody", "GET", "/v1/whoami", traceparent=f"00-{trace_id}-{PARENT_ID}-01")
        client.close()
        before = _of(collector, trace_id)
        stack.broker.signal(signal.SIGTERM)
        code = stack.broker.exit_code()

    assert (before, code) == ({}, 0)
    assert "whoami" in _of(collector, trace_id)


def test_the_setting_without_the_extra_refuses_the_start(traced: Service, tmp_path: Path) -> None:
    """Rather than to serve without the traces that were asked for."""
    code = "import sys; sys.modules['requests'] = None; from service.cli import main; main()"
    settings = own_settings(traced.stack, tmp_path) | {
        "BROKER_TRACES": "true",
        "PYTHONPATH": str(ROOT),
    }
    settings |= {name: f"127.0.0.1:{free_port()}" for name in ("BROKER_BIND", "BROKER_OPS_BIND")}
    program = Program("refused", [sys.executable, "-c", code, "serve"], tmp_path, settings)
    with stopping(program) as broker:
        assert broker.exit_code() == 1

    said = broker.stderr.read_text("utf-8")
    assert said == "Error: BROKER_TRACES: the extra 'otel' is not installed\n"


def test_without_the_setting_nothing_of_it_is_imported() -> None:
    """Importing takes time and memory. What redis-py imports of OpenTelemetry by itself, where it is installed, sends nothing."""
    code = (
        "import sys; import service.app, service.cli.serve, service.server, service.worker;"
        "print([name for name in sys.modules if name.startswith(('opentelemetry.exporter', 'requests', 'service.adapters.otel'))])"
    )
    done = subprocess.run(  # noqa: S603 — our own interpreter and code
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert done.stdout == "[]\n"
