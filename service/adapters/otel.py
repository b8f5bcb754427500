"""Traces by OpenTelemetry, exported by OTLP over HTTP. Imported only where traces are switched on; needs the extra ``otel``.

Spans are made here and nowhere else: of a request (until its answer's headers), of each call to Redis and of each to the upstream. They are
named by the operation, and hold no path, no query, no header, no argument and no message of an error, which instrumentations for Flask
or urllib3 would put in (ecosystem.md §8). Where they go, and how many, is set by OpenTelemetry's own ``OTEL_`` variables.
"""

from contextvars import Token
from types import TracebackType
from typing import Self

import requests
from opentelemetry import context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from service import __version__
from service.adapters.calls import OK, Call, CallWatch, Headers
from service.core.trace_context import TraceContext

_NAME = "b2b-credential-broker"
_SERVER_ERRORS = 500
_PROPAGATOR = TraceContextTextMapPropagator()


class Traces:
    """Makes spans and exports them, from a thread of its own, in the process that made it."""

    def __init__(self) -> None:
        session = requests.Session()
        session.trust_env = False  # no proxy and no netrc of the environment
        named = Resource({SERVICE_NAME: _NAME, "service.version": __version__})
        provider = TracerProvider(resource=named.merge(OTELResourceDetector().detect()))
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(session=session)))
        self._tracer = provider.get_tracer(_NAME, __version__)

    def request(self, operation: str, method: str, trace: TraceContext) -> "RequestSpan":
        """Return the span of a request. Fulfils ``Trace`` of the edge."""
        return RequestSpan(self._tracer, operation, method, trace)

    def redis(self, watch: CallWatch) -> CallWatch:
        """Return what watches calls to Redis by spans too."""
        return lambda operation: SpannedCall(self._tracer, "redis", operation, watch(operation))

    def upstream(self, watch: CallWatch) -> CallWatch:
        """Return what watches calls to the upstream by spans too, and has them carry the trace on."""
        return lambda operation: SpannedCall(self._tracer, "upstream", operation, watch(operation))


class RequestSpan:
    """The span of a request. Fulfils the edge's ``RequestSpan``."""

    def __init__(self, tracer: Tracer, operation: str, method: str, trace: TraceContext) -> None:
        parent = _PROPAGATOR.extract(dict(trace.headers))
        self._span = tracer.start_span(
            operation, parent, SpanKind.SERVER, {"http.request.method": method}
        )
        self._token: Token[context.Context] | None = None

    @property
    def trace_id(self) -> str:
        """See ``RequestSpan.trace_id``."""
        return f"{self._span.get_span_context().trace_id:032x}"

    def answered(self, request_id: str, status: int, problem: str) -> None:
        """See ``RequestSpan.answered``."""
        self._span.set_attribute("b2b_broker.request_id", request_id)
        self._span.set_attribute("http.response.status_code", status)
        if problem:
            self._span.set_attribute("error.type", problem)
        if status >= _SERVER_ERRORS:
            self._span.set_status(StatusCode.ERROR)

    def __enter__(self) -> Self:
        self._token = _enter(self._span)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        _leave(self._span, self._token)


class SpannedCall:
    """A call to another system with a span around it. Fulfils ``Call``."""

    def __init__(self, tracer: Tracer, system: str, operation: str, inner: Call) -> None:
        self._inner = inner
        self._span = tracer.start_span(
            f"{system} {operation}",
            kind=SpanKind.CLIENT,
            attributes={"peer.service": system, "b2b_broker.operation": operation},
        )
        self._token: Token[context.Context] | None = None
        self.headers: Headers = ()
        if system == "upstream":
            carrier: dict[str, str] = {}
            _PROPAGATOR.inject(carrier, set_span_in_context(self._span))
            self.headers = tuple(carrier.items())

    @property
    def outcome(self) -> str:
        """See ``Call.outcome``."""
        return self._inner.outcome

    @outcome.setter
    def outcome(self, outcome: str) -> None:
        self._inner.outcome = outcome

    def __enter__(self) -> Self:
        self._token = _enter(self._span)
        self._inner.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._inner.__exit__(kind, error, trace)
        if self._inner.outcome != OK:
            self._span.set_attribute("error.type", self._inner.outcome)
            self._span.set_status(StatusCode.ERROR)
        _leave(self._span, self._token)


def _enter(span: Span) -> Token[context.Context]:
    return context.attach(set_span_in_context(span))


def _leave(span: Span, token: Token[context.Context] | None) -> None:
    if token is not None:
        context.detach(token)
    span.end()
