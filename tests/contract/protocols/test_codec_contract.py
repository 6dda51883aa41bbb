"""What every protocol of the folder must do, whatever its dialect."""

import json
import subprocess
import sys
from types import ModuleType
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headway import errors
from headway.errors import CallerError, HeadwayError
from headway.model.call import Call, Result
from headway.protocols import Ask, Facts, Stats, headers_of, status_of

SECRET = 'File "/srv/secret/model.py", line 7: KeyError: password'
CODEC_PARTS = ("decode", "encode", "chunk", "chunk_error", "stream_type", "answer", "render")


def every_error() -> list[type[HeadwayError]]:
    found = [HeadwayError]
    for kind in found:
        children = (k for k in kind.__subclasses__() if k.__module__ == HeadwayError.__module__)
        found.extend(k for k in children if k not in found)
    return found


def facts_of(wire: Any, *, is_ready: bool = True) -> Facts:
    return Facts({"shout": {"1": wire.description}}, {"shout": is_ready}, is_ready, {}, "0.1.0")


def parsed(body: bytes) -> Any:
    """Strict JSON: the bare NaN of some libraries is none."""

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is not JSON")

    return json.loads(body, parse_constant=refuse)


def test_every_protocol_has_golden_files(codec_name: str, request: pytest.FixtureRequest) -> None:
    home = request.path.parents[2] / "golden" / "protocols" / codec_name
    assert list(home.glob("*.json"))


def test_a_protocol_has_every_part_of_the_contract(codec: ModuleType) -> None:
    assert [part for part in CODEC_PARTS if not callable(getattr(codec, part, None))] == []
    assert all(name == name.lower() for name in codec.HEADERS)
    assert len({(r.method, r.path) for r in codec.ROUTES}) == len(codec.ROUTES)
    assert all(r.path.startswith("/") and (r.is_local or not r.needs_probe) for r in codec.ROUTES)


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
    try:
        codec.decode(ask, wire)
    except CallerError as e:
        reply = codec.render(ask, e)
        assert 400 <= reply.status < 500
        parsed(reply.body)
    return True


def with_body(ask: Ask, body: bytes | memoryview) -> Ask:
    return msgspec.structs.replace(ask, body=body)


def test_every_cut_of_a_request_is_read_or_refused(
    golden: Any, codec: ModuleType, wire: Any
) -> None:
    for end in range(len(golden.ask.body)):
        assert is_survived(codec, with_body(golden.ask, golden.ask.body[:end]), wire)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors],
)
@given(data=st.data())
def test_mutated_bytes_are_read_or_refused(
    golden: Any, codec: ModuleType, wire: Any, data: st.DataObject
) -> None:
    body = bytearray(golden.ask.body)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(body)))
        stop = data.draw(st.integers(at, min(len(body), at + 3)))
        chosen = st.sampled_from(
            [b"[", b"]", b"{", b'"', b",", b"-", b"1e999", b"null", b"\\ud800"]
        )
        body[at:stop] = data.draw(st.one_of(st.binary(max_size=4), chosen))
    assert is_survived(codec, with_body(golden.ask, bytes(body)), wire)


@pytest.mark.parametrize("kind", every_error(), ids=lambda k: k.__name__)
def test_every_error_is_written_in_the_dialect(codec: ModuleType, kind: type[HeadwayError]) -> None:
    ask = Ask("infer", "shout", "", b"", {}, request_id="id-1")
    reply = codec.render(ask, kind())
    body = parsed(reply.body)
    assert isinstance(body, dict)
    assert body
    assert reply.status == status_of(kind()) or kind is errors.QueueFull
    assert tuple(reply.headers) == headers_of(kind())


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
        errors.ServerStopped,
    )
    error: HeadwayError
    if issubclass(kind, ours):
        error = kind()
        error.__cause__ = RuntimeError(SECRET)
    else:
        error = kind(SECRET, path="/srv/secret", problem=SECRET)
    ask = Ask("infer", "shout", "", b"", {}, request_id="id-1")
    for written in (codec.render(ask, error).body, codec.chunk_error(ask, error)):
        assert b"secret" not in written
        assert b"password" not in written


def test_a_failed_row_fails_the_request_and_is_named(codec: ModuleType, wire: Any) -> None:
    ask = Ask("infer", "shout", "", b"", {})
    result = Result([None, None], {1: errors.Rejected("no text")})
    with pytest.raises(errors.Rejected) as raised:
        codec.encode(ask, Call(2, {}), result, wire)
    assert b"row 1: no text" in codec.render(ask, raised.value).body


def test_the_index_of_a_row_survives_when_its_message_may_not(codec: ModuleType, wire: Any) -> None:
    ask = Ask("infer", "shout", "", b"", {})
    result = Result([None] * 3, {2: errors.ModelFailed(SECRET)})
    with pytest.raises(errors.ModelFailed) as raised:
        codec.encode(ask, Call(3, {}), result, wire)
    body = codec.render(ask, raised.value).body
    assert b"row 2: " in body
    assert b"password" not in body


def local_asks(codec: ModuleType) -> list[Ask]:
    return [
        Ask(
            route.op,
            "shout" if "{model}" in route.path else "",
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
        assert isinstance(parsed(reply.body), dict)


def test_an_unknown_model_or_version_is_told_by_every_local_route_that_names_one(
    codec: ModuleType, wire: Any
) -> None:
    for ask in local_asks(codec):
        if not ask.model:
            continue
        with pytest.raises(errors.UnknownVersion):
            codec.answer(Ask(ask.op, "shout", "7", b"", {}), facts_of(wire))
        with pytest.raises(errors.UnknownModel):
            codec.answer(Ask(ask.op, "whisper", ask.version, b"", {}), facts_of(wire))


def test_readiness_follows_the_facts(codec: ModuleType, wire: Any) -> None:
    for route in codec.ROUTES:
        if not route.needs_probe:
            continue
        ask = Ask(route.op, "shout" if "{model}" in route.path else "", "", b"", {})
        assert codec.answer(ask, facts_of(wire)).status == 200
        with pytest.raises(errors.NotReady) as raised:
            codec.answer(ask, facts_of(wire, is_ready=False))
        assert codec.render(ask, raised.value).status == 503


def test_a_model_that_nobody_described_yet_is_not_ready(codec: ModuleType) -> None:
    facts = Facts({"shout": {}}, {}, False, {"shout": Stats()}, "0.1.0")
    for ask in local_asks(codec):
        if not ask.model:
            codec_answers_or_is_not_ready(codec, ask, facts)
            continue
        with pytest.raises((errors.NotReady, errors.UnknownVersion)):
            codec.answer(ask, facts)


def codec_answers_or_is_not_ready(codec: ModuleType, ask: Ask, facts: Facts) -> None:
    try:
        parsed(codec.answer(ask, facts).body)
    except errors.NotReady:
        return
