"""Spans to OpenTelemetry: OTLP over HTTP with protobuf, the default of collectors (port 4318).

What the setting `traces_url` leaves open is read by the library from its own variables
(`OTEL_EXPORTER_OTLP_ENDPOINT`, `OTEL_EXPORTER_OTLP_HEADERS`, `OTEL_SERVICE_NAME`, ...).
"""

from collections.abc import Sequence

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from headway.exporters import Span

REQUIRES = ("opentelemetry-exporter-otlp-proto-http>=1.30", "opentelemetry-sdk>=1.30")

_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
_SCOPE = InstrumentationScope("headway")
_NAMELESS = "unknown_service"
"""What the library calls a service that `OTEL_SERVICE_NAME` gives no name."""


def open_sink(url: str) -> "Otlp":
    """Make ready to send to a collector; its whole URL, with /v1/traces."""
    return Otlp(url)


class Otlp:
    """Sends spans to a collector."""

    def __init__(self, url: str) -> None:
        self._exporter = OTLPSpanExporter(endpoint=url or None)
        resource = Resource.create()
        if str(resource.attributes[SERVICE_NAME]).startswith(_NAMELESS):
            resource = resource.merge(Resource({SERVICE_NAME: "headway"}))
        self._resource = resource

    def export(self, spans: Sequence[Span]) -> bool:
        """Send spans, again and again for a while where the collector does not answer."""
        made = [self._made(span) for span in spans]
        return self._exporter.export(made) is SpanExportResult.SUCCESS

    def close(self) -> None:
        """Hang up."""
        self._exporter.shutdown()  # type: ignore[no-untyped-call]

    def _made(self, span: Span) -> ReadableSpan:
        parent = None
        if span.parent_id:
            parent = _context(span.trace_id, span.parent_id, is_remote=span.is_parent_remote)
        return ReadableSpan(
            name=span.name,
            context=_context(span.trace_id, span.span_id),
            parent=parent,
            resource=self._resource,
            attributes=span.attributes,
            links=[Link(_context(trace_id, span_id)) for trace_id, span_id in span.links],
            kind=SpanKind.SERVER if span.is_server else SpanKind.INTERNAL,
            instrumentation_scope=_SCOPE,
            status=Status(StatusCode.ERROR, span.error) if span.error else Status(),
            start_time=int(span.start_s * 1e9),
            end_time=int(span.end_s * 1e9),
        )


def _context(trace_id: str, span_id: str, *, is_remote: bool = False) -> SpanContext:
    return SpanContext(int(trace_id, 16), int(span_id, 16), is_remote, _SAMPLED)
