"""W3C trace context is read by its rules: what is malformed is as if it were not there."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.model.marks import Context
from headway.observe.trace import is_state, read_parent, trace_headers, trace_id

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
GOOD = f"00-{TRACE}-{SPAN}-01"


def test_a_good_parent_is_read() -> None:
    parent = read_parent(GOOD)
    assert parent == (TRACE, SPAN, 1)
    assert parent.is_sampled
    assert str(parent) == GOOD


@pytest.mark.parametrize(
    "header",
    [
        "",
        GOOD.upper(),
        GOOD[:-1],
        f"{GOOD}0",
        f"{GOOD}-more",
        f" {GOOD}",
        f"{GOOD}, {GOOD}",
        f"ff-{TRACE}-{SPAN}-01",
        f"0-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE}-{SPAN}-0g",
        f"00_{TRACE}_{SPAN}_01",
        f"cc-{TRACE}-{SPAN}-01.what",
        f"00-{TRACE}-{SPAN}-01\n",
    ],
)
def test_a_malformed_parent_is_none(header: str) -> None:
    assert read_parent(header) is None
    assert trace_headers({"traceparent": header, "tracestate": "a=1"}) == {}


@pytest.mark.parametrize("header", [f"cc-{TRACE}-{SPAN}-01", f"cc-{TRACE}-{SPAN}-01-what"])
def test_of_a_later_version_what_is_known_is_passed_on_in_ours(header: str) -> None:
    assert trace_headers({"traceparent": header}) == {"traceparent": GOOD}


def test_flags_that_nobody_knows_are_not_passed_on() -> None:
    assert str(read_parent(f"00-{TRACE}-{SPAN}-fe")) == f"00-{TRACE}-{SPAN}-02"
    parent = read_parent(f"00-{TRACE}-{SPAN}-00")
    assert parent is not None
    assert not parent.is_sampled


@pytest.mark.parametrize(
    "header",
    [
        "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE",
        "tenant@system=a b",
        " a=1 ,\t, b=2,",
        f"a={'x' * 256}",
        ",".join(f"k{i}=v" for i in range(32)),
        "0a-_*/=v",
    ],
)
def test_a_good_state_is_passed_on_as_it_is(header: str) -> None:
    passed = trace_headers({"traceparent": GOOD, "tracestate": header})
    assert passed == {"traceparent": GOOD, "tracestate": header}


@pytest.mark.parametrize(
    "header",
    [
        "",
        ",",
        "a",
        "a=",
        "=1",
        "A=1",
        "a=1,a=2",
        "a=b=c",
        "a =1",
        f"{'a' * 257}=1",
        f"a={'x' * 257}",
        "a=\x7f",
        "a=ü",
        ",".join(f"k{i}=v" for i in range(33)),
    ],
)
def test_a_malformed_state_is_dropped_and_its_parent_kept(header: str) -> None:
    passed = trace_headers({"traceparent": GOOD, "tracestate": header})
    assert passed == {"traceparent": GOOD}


def test_a_state_without_a_parent_says_nothing() -> None:
    assert trace_headers({"tracestate": "a=1"}) == {}


@given(st.text(max_size=80))
def test_no_text_is_too_odd(text: str) -> None:
    read_parent(text)
    is_state(text)


@given(st.text(alphabet="0123456789abcdef-", min_size=50, max_size=60))
def test_what_is_read_is_written_so_that_it_is_read_again(text: str) -> None:
    parent = read_parent(text)
    assert parent is None or read_parent(str(parent)) == parent


def test_a_context_tells_what_to_pass_on() -> None:
    context = Context(headers={"traceparent": GOOD, "tracestate": "a=1"})
    assert (context.traceparent, context.tracestate, context.trace_id) == (GOOD, "a=1", TRACE)
    assert trace_id(context.headers) == TRACE
    nothing = Context()
    assert (nothing.traceparent, nothing.tracestate, nothing.trace_id) == ("", "", "")
