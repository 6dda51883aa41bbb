"""What every protocol of the folder must do, whatever its dialect."""

import json
import subprocess
import sys
from types import ModuleType
from typing import Any

import msgspec
import pytest
from contract.facts import facts_of, route_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headway import errors, plugins
from headway.errors import CallerError, HeadwayError
from headway.model.call import Call, Result
from headway.protocols import JSON, Ask, Facts, Reply, Route, Stats, headers_of, status_of
from headway.protocols._protobuf import texts

SECRET = 'File "/srv/secret/model.py", line 7: KeyError: password'
CODEC_PARTS = ("decode", "encode", "chunk", "chunk_error", "stream_type", "answer", "render")


def every_error() -> list[type[HeadwayError]]:
    found = [HeadwayError]
    for kind in found:
        children = (k for k in kind.__subclasses__() if k.__module__ == HeadwayError.__module__)
        found.extend(k for k in children if k not in found)
    return found


def parsed(body: bytes) -> Any:
    """Strict JSON: the bare NaN of some libraries is none."""

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is not JSON")

    return json.loads(body, parse_constant=refuse)


def is_grpc(codec: ModuleType) -> bool:
    return all(route.method == "GRPC" for route in codec.ROUTES)


def is_asked(codec: ModuleType) -> bool:
    """Whether it asks workers, or the gateway alone."""
    return any(not route.is_local for route in codec.ROUTES)


def is_whole(codec: ModuleType, reply: Reply) -> bool:
    """Whether a reply's body is what its content type says: a message, or in JSON an object or a list."""
    if is_grpc(codec):
        return texts(reply.body) == []
    if reply.content_type != JSON:
        return bool(reply.body) == bool(reply.content_type)
    return isinstance(parsed(reply.body), dict | list)


def told(codec: ModuleType, reply: Reply) -> str:
    """The text of an error."""
    return dict(reply.headers)["grpc-message"] if is_grpc(codec) else reply.body.decode()


def test_every_protocol_has_golden_files(codec_name: str, request: pytest.FixtureRequest) -> None:
    home = request.path.parents[2] / "golden" / "protocols" / codec_name
    assert list(home.glob("*.json"))


def test_a_protocol_has_every_part_of_the_contract(codec: ModuleType) -> None:
    assert [part for part in CODEC_PARTS if not callable(getattr(codec, part, None))] == []
    assert all(name == name.lower() for name in codec.HEADERS)
    assert len({(r.method, r.path) for r in codec.ROUTES}) == len(codec.ROUTES)
    assert all(r.path.startswith("/") and (r.is_local or not r.needs_probe) for r in codec.ROUTES)


def test_what_can_be_chosen_is_a_literal(codec: ModuleType, codec_name: str) -> None:
    found = plugins.literal("protocols", codec_name, "CHOICES", {})
    assert found == getattr(codec, "CHOICES", {})


def test_importing_a_protocol_imports_neither_numpy_nor_protobuf(codec_name: str) -> None:
    code = (
        f"import sys, headway.protocols.{codec_name}\n"
        "print([m for m in ('numpy', 'simdjson', 'google.protobuf') if m in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_golden_request_gets_its_golden_answer(
    golden: Any, codec: ModuleType, perform: Any
) -> None:
    try:
        reply = perform(codec, golden.ask)
    except HeadwayError as e:
        reply = codec.render(golden.ask, e)
    assert (reply.status, reply.body) == (golden.reply.status, golden.reply.body)
    assert (reply.content_type, tuple(reply.headers)) == (
        golden.reply.content_type,
        tuple(golden.reply.headers),
    )


def test_a_body_may_be_a_view_into_a_larger_buffer(
    golden: Any, codec: ModuleType, perform: Any
) -> None:
    body = golden.ask.body
    around = memoryview(b"[[" + body + b"]]")[2 : 2 + len(body)]
    answers = []
    for each in (body, around):
        ask = with_body(golden.ask, each)
        try:
            answers.append(perform(codec, ask).body)
        except HeadwayError as e:
            answers.append(codec.render(ask, e).body)
    assert answers[0] == answers[1]


def is_survived(codec: ModuleType, ask: Ask, wire: Any) -> bool:
    """A damaged request is read, or it is the caller's error; nothing else may come out."""
    route = route_of(codec, ask)
    try:
        if route is not None and route.is_local:
            codec.answer(ask, facts_of(wire))
        elif route is not None and route.is_admin:
            codec.order(ask, facts_of(wire))
        else:
            codec.decode(ask, wire)
    except CallerError as e:
        reply = codec.render(ask, e)
        if isinstance(e, errors.Unsupported):
            return True
        if any(route.is_bidi and route.op == ask.op for route in codec.ROUTES) and is_asked(codec):
            assert reply.body  # its stream stays open
            return True
        assert 400 <= reply.status < 500
        assert is_whole(codec, reply)
        assert told(codec, reply) or not reply.content_type
    return True


def with_body(ask: Ask, body: bytes | memoryview) -> Ask:
    return msgspec.structs.replace(ask, body=body)


def test_every_cut_of_a_request_is_read_or_refused(
    golden: Any, codec: ModuleType, wires: Any
) -> None:
    wire = wires.get(golden.ask.model, wires["shout"])
    for end in range(len(golden.ask.body)):
        assert is_survived(codec, with_body(golden.ask, golden.ask.body[:end]), wire)


@pytest.mark.parametrize("tail", [b" ", b"\0", b"}", b"]", b"x", b"\xff", b"\r\n{}"])
def test_what_follows_a_request_is_read_or_refused(
    golden: Any, codec: ModuleType, wires: Any, tail: bytes
) -> None:
    wire = wires.get(golden.ask.model, wires["shout"])
    assert is_survived(codec, with_body(golden.ask, golden.ask.body + tail), wire)
    assert is_survived(codec, with_body(golden.ask, golden.ask.body * 2), wire)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors],
)
@given(data=st.data())
def test_mutated_bytes_are_read_or_refused(
    golden: Any, codec: ModuleType, wires: Any, data: st.DataObject
) -> None:
    body = bytearray(golden.ask.body)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(body)))
        stop = data.draw(st.integers(at, min(len(body), at + 3)))
        chosen = st.sampled_from(
            [b"[", b"]", b"{", b'"', b",", b"-", b"1e999", b"null", b"\\ud800"]
        )
        body[at:stop] = data.draw(st.one_of(st.binary(max_size=4), chosen))
    assert is_survived(
        codec, with_body(golden.ask, bytes(body)), wires.get(golden.ask.model, wires["shout"])
    )


@pytest.mark.parametrize("kind", every_error(), ids=lambda k: k.__name__)
def test_every_error_is_written_in_the_dialect(codec: ModuleType, kind: type[HeadwayError]) -> None:
    ask = Ask("infer", "shout", "", b"", {}, request_id="id-1")
    reply = codec.render(ask, kind())
    assert told(codec, reply) not in ("", "{}")
    assert is_whole(codec, reply)
    assert reply.status == status_of(kind(), getattr(codec, "STATUSES", {}))
    assert set(headers_of(kind())) <= set(reply.headers)
    if is_grpc(codec):
        assert 0 < int(dict(reply.headers)["grpc-status"]) <= 16


@pytest.mark.parametrize(
    "kind",
    [k for k in every_error() if not issubclass(k, CallerError | errors.BusyError)],
    ids=lambda k: k.__name__,
)
def test_an_error_that_is_not_the_callers_tells_no_path_and_no_trace(
    codec: ModuleType, kind: type[HeadwayError]
) -> None:
    ours = (
        errors.DeadlineError,
        errors.OutOfMemory,
        errors.BadOutput,
        errors.ModelCrashed,
        errors.GivenUp,
        errors.WorkerLost,
        errors.JobLost,
        errors.ServerStopped,
    )
    error: HeadwayError
    if issubclass(kind, ours):
        error = kind()
        error.__cause__ = RuntimeError(SECRET)
    else:
        error = kind(SECRET, path="/srv/secret", problem=SECRET)
    ask = Ask("infer", "shout", "", b"", {}, request_id="id-1")
    for written in (told(codec, codec.render(ask, error)), str(codec.chunk_error(ask, error))):
        assert "secret" not in written
        assert "password" not in written


def test_a_failed_row_fails_the_request_and_is_named(codec: ModuleType, wire: Any) -> None:
    ask = Ask("infer", "shout", "", b"", {})
    result = Result([None, None], {1: errors.Rejected("no text")})
    with pytest.raises(errors.Rejected) as raised:
        codec.encode(ask, Call(2, {}), result, wire)
    assert "row 1: no text" in told(codec, codec.render(ask, raised.value))


def test_the_index_of_a_row_survives_when_its_message_may_not(codec: ModuleType, wire: Any) -> None:
    ask = Ask("infer", "shout", "", b"", {})
    result = Result([None] * 3, {2: errors.ModelFailed(SECRET)})
    with pytest.raises(errors.ModelFailed) as raised:
        codec.encode(ask, Call(3, {}), result, wire)
    text = told(codec, codec.render(ask, raised.value))
    assert "row 2: " in text
    assert "password" not in text


def names_model(route: Route) -> bool:
    return "{model}" in route.path or route.names_in_body


def local_asks(codec: ModuleType) -> list[Ask]:
    return [
        Ask(
            route.op,
            "shout" if names_model(route) else "",
            "1" if "{version}" in route.path else "",
            b"",
            {},
        )
        for route in codec.ROUTES
        if route.is_local
    ]


def test_every_local_route_answers_from_facts_alone(codec: ModuleType, wire: Any) -> None:
    for ask in local_asks(codec):
        reply = codec.answer(ask, facts_of(wire))
        assert reply.status == 200
        assert is_whole(codec, reply)


def test_an_unknown_model_or_version_is_told_by_every_local_route_that_names_one(
    codec: ModuleType, wire: Any
) -> None:
    for ask in local_asks(codec):
        if not ask.model or ask.op == "watch":  # which waits for it to come
            continue
        if is_asked(codec):  # or it knows no versions
            with pytest.raises(errors.UnknownVersion):
                codec.answer(Ask(ask.op, "shout", "7", b"", {}), facts_of(wire))
        with pytest.raises(errors.UnknownModel):
            codec.answer(Ask(ask.op, "whisper", ask.version, b"", {}), facts_of(wire))


def test_readiness_follows_the_facts(codec: ModuleType, wire: Any) -> None:
    for route in codec.ROUTES:
        if not route.needs_probe:
            continue
        ask = Ask(route.op, "shout" if names_model(route) else "", "", b"", {})
        ready = codec.answer(ask, facts_of(wire))
        assert ready.status == 200
        if is_grpc(codec):  # to be asked is no error there
            assert codec.answer(ask, facts_of(wire, is_ready=False)).body != ready.body
            continue
        with pytest.raises(errors.NotReady) as raised:
            codec.answer(ask, facts_of(wire, is_ready=False))
        assert codec.render(ask, raised.value).status == 503


def test_a_model_that_nobody_described_yet_is_not_ready(codec: ModuleType) -> None:
    facts = Facts({"shout": {}}, {}, False, {"shout": Stats()}, "0.1.0")
    for ask in local_asks(codec):
        if not ask.model or is_grpc(codec):
            codec_answers_or_is_not_ready(codec, ask, facts)
            continue
        with pytest.raises((errors.NotReady, errors.UnknownVersion)):
            codec.answer(ask, facts)


def codec_answers_or_is_not_ready(codec: ModuleType, ask: Ask, facts: Facts) -> None:
    try:
        assert is_whole(codec, codec.answer(ask, facts))
    except (errors.NotReady, errors.UnknownVersion):
        return
