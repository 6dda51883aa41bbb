"""Spans reach a collector over OTLP; one that is gone, or hangs, costs a request nothing."""

import http.server
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from needed import need
from serving import JSON, Server, serving, starting, wait_until

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PREDICTORS = """
import headway as hw


def told(text: str, context: hw.Context) -> str:
    return context.traceparent


def batch(text: hw.Batch[str]) -> hw.Batch[str]:
    if "no" in text:
        raise RuntimeError("no")
    return text
"""


class Collector:
    """An OTLP receiver of its own: HTTP, protobuf."""

    def __init__(self) -> None:
        self.spans: list[Any] = []
        self.resources: list[Any] = []
        message = need("opentelemetry.proto.collector.trace.v1.trace_service_pb2")
        taken = self

        class Post(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                request = message.ExportTraceServiceRequest.FromString(body)
                for group in request.resource_spans:
                    taken.resources.append(group.resource)
                    for scope in group.scope_spans:
                        taken.spans += scope.spans
                self.send_response(200)
                self.send_header("content-type", "application/x-protobuf")
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *args: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Post)
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1/traces"

    def of(self, trace_id: str) -> dict[str, Any]:
        """Spans of a trace, by name."""
        return {s.name: s for s in self.spans if s.trace_id.hex() == trace_id}

    def named(self, name: str) -> list[Any]:
        return [s for s in self.spans if s.name == name]

    def request(self, request_id: str) -> Any:
        """The server's span of a request, once it is there."""

        def found() -> list[Any]:
            return [s for s in self.spans if facts(s).get("headway.request_id") == request_id]

        wait_until(found, f"the span of {request_id} has come")
        return found()[0]


def facts(span: Any) -> dict[str, Any]:
    return {a.key: getattr(a.value, a.value.WhichOneof("value")) for a in span.attributes}


@contextmanager
def collecting() -> Iterator[Collector]:
    collector = Collector()
    thread = threading.Thread(target=collector.server.serve_forever, daemon=True)
    thread.start()
    try:
        yield collector
    finally:
        collector.server.shutdown()
        collector.server.server_close()
        thread.join()


def write(folder: Path) -> None:
    folder.joinpath("predictors.py").write_text(PREDICTORS)
    folder.joinpath("headway.yaml").write_text(
        "models:\n"
        "  told: {predictor: 'predictors.py:told', workers: 1, slots: 1}\n"
        "  batch: {predictor: 'predictors.py:batch', workers: 1, slots: 1}\n"
    )


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with collecting() as collector:
        yield collector


@pytest.fixture(scope="module")
def server(collector: Collector, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("spans")
    write(folder)
    with serving(folder, "--traces", "otel", "--traces-url", collector.url) as server:
        yield server


def test_a_request_is_a_span_of_its_callers_trace_with_its_queue_and_its_batch(
    server: Server, collector: Collector
) -> None:
    headers = {"traceparent": f"00-{TRACE}-{SPAN}-01", "x-request-id": "whole"}
    began = time.time_ns()
    assert server.ask("batch", [{"text": "a"}, {"text": "b"}], headers).status == 200
    span = collector.request("whole")
    wait_until(lambda: len(collector.of(TRACE)) == 3, "all spans have come")
    assert (span.name, span.trace_id.hex(), span.parent_span_id.hex()) == (
        "predict batch",
        TRACE,
        SPAN,
    )
    assert span.kind == span.SPAN_KIND_SERVER
    assert facts(span)["headway.outcome"] == "ok"
    spans = {s.name: s for s in collector.spans if s.parent_span_id == span.span_id}
    queue, worker = spans["queue"], spans["worker"]
    slack = 50_000_000  # clocks of two kinds
    assert began - slack < span.start_time_unix_nano == queue.start_time_unix_nano
    assert queue.end_time_unix_nano == worker.start_time_unix_nano
    assert worker.end_time_unix_nano == span.end_time_unix_nano < time.time_ns() + slack
    (link,) = worker.links
    wait_until(lambda: collector.of(link.trace_id.hex()), "the batch's span has come")
    batch = collector.of(link.trace_id.hex())["batch batch"]
    assert batch.span_id == link.span_id
    assert span.span_id in [back.span_id for back in batch.links]
    assert facts(batch)["headway.rows"] == 2
    assert facts(batch)["headway.calls"] == 1
    assert facts(batch)["headway.compute_s"] > 0


def test_each_load_is_a_span(server: Server, collector: Collector) -> None:
    wait_until(lambda: collector.named("load batch"), "the load's span has come")
    (load,) = collector.named("load batch")
    assert load.end_time_unix_nano > load.start_time_unix_nano
    (name,) = {
        a.value.string_value
        for resource in collector.resources
        for a in resource.attributes
        if a.key == "service.name"
    }
    assert name == "headway"


def test_what_a_predictor_passes_on_is_part_of_its_requests_span(
    server: Server, collector: Collector
) -> None:
    trace = "a" * 32  # its own, since another test counts the spans of TRACE
    headers = {"traceparent": f"00-{trace}-{SPAN}-01", "x-request-id": "passed"}
    passed = server.ask("told", {"text": "a"}, headers).json
    span = collector.request("passed")
    assert passed == f"00-{trace}-{span.span_id.hex()}-01"


def test_a_request_without_a_trace_gets_one_of_its_own(
    server: Server, collector: Collector
) -> None:
    passed = server.ask("told", {"text": "a"}, {"x-request-id": "lone"}).json
    span = collector.request("lone")
    assert passed == f"00-{span.trace_id.hex()}-{span.span_id.hex()}-01"
    assert not span.parent_span_id


def test_a_caller_that_does_not_sample_gets_no_spans_and_its_trace_goes_on(
    server: Server, collector: Collector
) -> None:
    quiet = f"00-{'ab' * 16}-{SPAN}-00"
    assert (
        server.ask("told", {"text": "a"}, {"traceparent": quiet, "x-request-id": "quiet"}).json
        == quiet
    )
    server.ask("told", {"text": "a"}, {"x-request-id": "after"})
    collector.request("after")  # what was asked before it has come before it
    assert not [s for s in collector.spans if facts(s).get("headway.request_id") == "quiet"]


def test_a_failure_is_an_error_and_a_mistake_of_the_caller_is_none(
    server: Server, collector: Collector
) -> None:
    assert server.ask("batch", {"text": "no"}, {"x-request-id": "broken"}).status == 500
    assert server.ask("batch", {"text": 1}, {"x-request-id": "mistaken"}).status == 400
    broken, mistaken = collector.request("broken"), collector.request("mistaken")
    assert (broken.status.code, facts(broken)["headway.outcome"]) == (2, "model")
    assert (mistaken.status.code, facts(mistaken)["headway.outcome"]) == (0, "caller")


def test_what_waits_is_sent_before_the_server_ends(tmp_path: Path) -> None:
    write(tmp_path)
    with collecting() as collector:
        flags = ("--traces", "otel", "--traces-url", collector.url)
        with serving(tmp_path, *flags) as server:
            server.ask("told", {"text": "a"}, {"x-request-id": "last"})
            server.stop()
            assert collector.request("last")


@pytest.mark.parametrize("is_silent", [False, True])
def test_a_collector_that_is_gone_or_hangs_costs_a_request_nothing(
    tmp_path: Path, *, is_silent: bool
) -> None:
    write(tmp_path)
    with socket.create_server(("127.0.0.1", 0), backlog=64) as deaf:
        port = deaf.getsockname()[1]
        if not is_silent:
            deaf.close()
        url = f"http://127.0.0.1:{port}/v1/traces"
        with serving(tmp_path, "--traces", "otel", "--traces-url", url) as server:
            connection = server.connect()
            body = json.dumps({"text": "a"}).encode()
            slowest_s = 0.0
            for _ in range(200):
                began = time.monotonic()
                connection.request("POST", "/models/batch/predict", body, JSON)
                assert connection.getresponse().read() == b'"a"'
                slowest_s = max(slowest_s, time.monotonic() - began)
            connection.close()
            assert slowest_s < 5
            began = time.monotonic()
            assert server.stop() == 0
            assert time.monotonic() - began < 20


def test_an_exporter_that_there_is_not_is_told_before_anything_starts(tmp_path: Path) -> None:
    write(tmp_path)
    with starting(tmp_path, "--port", "0", "--traces", "otle") as server:
        assert server.wait() == 2
    assert "did you mean 'otel'?" in server.log
    assert "`traces`" in server.log
