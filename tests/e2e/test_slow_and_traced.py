"""Slow requests have a line in the log, within bounds; a trace goes from the caller to predictor and log."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from serving import Server, in_background, serving, wait_until

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PARENT = f"00-{TRACE}-{SPAN}-01"
PREDICTORS = """
import time

import headway as hw


def slow(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def told(context: hw.Context, fail: bool = False) -> list[str]:
    print("asked")
    if fail:
        raise RuntimeError("as told")
    return [context.traceparent, context.tracestate, context.trace_id]


def batch(text: hw.Batch[str]) -> hw.Batch[str]:
    print("saw", *text)
    if "no" in text:
        raise RuntimeError("no")
    return text
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder: Path = tmp_path_factory.mktemp("slow")
    folder.joinpath("predictors.py").write_text(PREDICTORS)
    folder.joinpath("headway.yaml").write_text(
        "models:\n"
        "  slow: {predictor: 'predictors.py:slow', workers: 1, slots: 1, max_batch: 1, slow_s: 0.05}\n"
        "  told: {predictor: 'predictors.py:told', workers: 1, slots: 1}\n"
        "  batch: {predictor: 'predictors.py:batch', workers: 1, slots: 1}\n"
    )
    with serving(folder) as server:
        yield server


def lines(server: Server, message: str, request_id: str) -> list[dict[str, Any]]:
    return [r for r in server.records(message) if r.get("request_id") == request_id]


def test_a_slow_request_is_one_line_that_tells_where_its_time_went(server: Server) -> None:
    assert server.ask("slow", {"seconds": 0.0}, {"x-request-id": "quick"}).status == 200
    headers = {"x-request-id": "slow-1", "traceparent": PARENT}
    assert server.ask("slow", {"seconds": 0.1}, headers).status == 200
    wait_until(lambda: lines(server, "slow_request", "slow-1"), "the line is there")
    (line,) = lines(server, "slow_request", "slow-1")
    assert not lines(server, "slow_request", "quick")
    assert (line["model"], line["outcome"], line["level"]) == ("slow", "ok", "warning")
    assert (line["rows"], line["trace_id"]) == (1, TRACE)
    # The worker counts until the grab is done, a moment after the answer has left.
    assert 0.1 <= line["compute_s"] <= line["seconds"] + 0.1
    assert 0 <= line["queue_s"] + line["decode_s"] + line["encode_s"] < line["seconds"]


def test_what_a_late_request_waited_is_told_although_it_was_never_computed(server: Server) -> None:
    first = server.ask_later("slow", {"seconds": 0.4}, {"x-request-id": "ahead"})
    wait_until(lambda: server.metric("in_flight", model="slow") == 1, "the first one is computed")
    late = {"x-request-id": "late", "headway-timeout": "0.1"}
    assert server.ask("slow", {"seconds": 0.0}, late).status == 504
    wait_until(lambda: lines(server, "slow_request", "late"), "the line is there")
    (line,) = lines(server, "slow_request", "late")
    assert line["outcome"] == "deadline"
    assert line["queue_s"] == line["seconds"] >= 0.1
    assert "compute_s" not in line
    first.result(10)


def test_of_many_slow_requests_ten_a_second_have_a_line_and_the_rest_is_counted(
    server: Server,
) -> None:
    before = len(server.records("slow_request"))
    first = server.ask_later("slow", {"seconds": 0.5})
    wait_until(lambda: server.metric("in_flight", model="slow") == 1, "the first one is computed")
    asked = [in_background(lambda: server.ask("slow", {"seconds": 0.0})) for _ in range(30)]
    assert {future.result(20).status for future in [first, *asked]} == {200}

    def told() -> tuple[int, int]:
        left_out = [r["requests"] for r in server.records("slow_requests_left_out")]
        return len(server.records("slow_request")) - before, sum(left_out)

    wait_until(lambda: sum(told()) == 31, "each has a line, or is counted")
    written, left_out = told()
    assert written <= 20
    assert left_out >= 11


def test_a_predictor_is_told_the_trace_and_what_it_prints_names_it(server: Server) -> None:
    headers = {"traceparent": PARENT, "tracestate": "a=1", "x-request-id": "told-1"}
    assert server.ask("told", {}, headers).json == [PARENT, "a=1", TRACE]
    wait_until(lambda: lines(server, "asked", "told-1"), "the line is there")
    (line,) = lines(server, "asked", "told-1")
    assert line["trace_id"] == TRACE
    assert server.ask("told", {}, {"x-request-id": "told-2"}).json == ["", "", ""]
    wait_until(lambda: lines(server, "asked", "told-2"), "the line is there")
    assert "trace_id" not in lines(server, "asked", "told-2")[0]


def test_a_malformed_parent_is_ignored(server: Server) -> None:
    headers = {"traceparent": PARENT.upper(), "tracestate": "a=1"}
    assert server.ask("told", {}, headers).json == ["", "", ""]


def test_the_line_of_a_failure_names_the_trace(server: Server) -> None:
    headers = {"traceparent": PARENT, "x-request-id": "fails"}
    assert server.ask("told", {"fail": True}, headers).status == 500

    def found() -> list[dict[str, Any]]:
        return [r for r in server.records("predict_failed") if r["request_ids"] == ["fails"]]

    wait_until(found, "the line is there")
    assert found()[0]["trace_id"] == TRACE


def test_a_batch_predictor_without_context_is_logged_with_its_trace_too(server: Server) -> None:
    headers = {"traceparent": PARENT, "x-request-id": "batched"}
    assert server.ask("batch", [{"text": "a"}, {"text": "b"}], headers).json == ["a", "b"]
    wait_until(lambda: lines(server, "saw a b", "batched"), "the line is there")
    assert lines(server, "saw a b", "batched")[0]["trace_id"] == TRACE
