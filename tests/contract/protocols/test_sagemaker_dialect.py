"""What is SageMaker's runtime API alone: frames with their sums, errors in its words, targets, headers."""

from collections.abc import Iterator, Mapping

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway import errors
from headway.errors import BadOutput, HeadwayError, NotOffered, UnknownModel, UnknownVersion
from headway.model.call import Result
from headway.model.marks import Batch
from headway.model.signature import read_signature
from headway.model.wire import Wire
from headway.protocols import Ask, invocations, native, sagemaker, stream_headers
from headway.protocols.sagemaker import read_frames, write_frame

OWN = "x-amzn-sagemaker-"
TEXT = st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), max_size=20)


def echo(text: Batch[str]) -> Batch[str]:
    return text


def words(text: str) -> Iterator[str]:
    yield from text.split()


ECHO = Wire(read_signature(echo), name="it", version="3")
WORDS = Wire(read_signature(words), name="it")


@given(st.lists(st.tuples(st.dictionaries(TEXT.filter(bool), TEXT), st.binary(max_size=60))))
def test_frames_are_read_as_they_were_written(frames: list[tuple[dict[str, str], bytes]]) -> None:
    body = b"".join(write_frame(headers, payload) for headers, payload in frames)
    assert list(read_frames(body)) == frames


def test_a_frame_is_what_the_specification_says() -> None:
    """The layout by hand: big-endian sizes, a sum, a header of type 7, the payload, a sum over all."""
    frame = write_frame({"a": "b"}, b"xy")
    assert frame[:8].hex() == "0000001800000006"
    assert frame[12:18] == b"\x01a\x07\x00\x01b"
    assert frame[18:20] == b"xy"
    assert len(frame) == 0x18


def test_every_change_of_a_byte_is_seen() -> None:
    frame = write_frame({":event-type": "PayloadPart"}, b"abc")
    for i in range(len(frame)):
        for broken in (frame[:i], frame[:i] + bytes([frame[i] ^ 1]) + frame[i + 1 :]):
            if broken:
                with pytest.raises(BadOutput):
                    list(read_frames(broken))


def ask(
    op: str = "invoke", body: bytes = b'{"text":"a"}', headers: Mapping[str, str] | None = None
) -> Ask:
    told = {"content-type": "application/json", **(headers or {})}
    return Ask(op, "it", "", body, told, request_id="id-1")


@pytest.mark.parametrize(
    ("header", "right", "kind"),
    [
        (f"{OWN}target-model", "it", UnknownModel),
        (f"{OWN}inference-component", "it", UnknownModel),
        (f"{OWN}target-variant", "3", UnknownVersion),
    ],
)
def test_a_target_is_the_endpoints_own_or_refused(
    header: str, right: str, kind: type[HeadwayError]
) -> None:
    sagemaker.decode(ask(headers={header: right}), ECHO)
    with pytest.raises(kind) as raised:
        sagemaker.decode(ask(headers={header: "other"}), ECHO)
    reply = sagemaker.render(ask(), raised.value)
    assert (reply.status, dict(reply.headers)["x-amzn-errortype"]) == (400, "ValidationError")


def test_asynchronous_calls_are_refused_with_what_to_do_instead() -> None:
    async_ask = ask("invoke_async", b"")
    with pytest.raises(NotOffered) as raised:
        sagemaker.decode(async_ask, ECHO)
    reply = sagemaker.render(async_ask, raised.value)
    assert reply.status == 501
    assert b"InvokeEndpointAsync is not offered here" in reply.body


@pytest.mark.parametrize(
    ("error", "status", "name", "original"),
    [
        (errors.BadInput("x"), 424, "ModelError", 400),
        (errors.UnsupportedMedia("x"), 424, "ModelError", 415),
        (errors.NotAcceptable("x"), 424, "ModelError", 406),
        (errors.ModelFailed(), 424, "ModelError", 500),
        (errors.DeadlineError(timeout_s=1.0), 424, "ModelError", 504),
        (errors.UnknownModel(), 400, "ValidationError", None),
        (errors.NotOffered(), 501, "UnknownOperationException", None),
        (errors.UnknownPath(), 404, "UnknownOperationException", None),
        (errors.QueueFull(), 429, "ThrottlingException", None),
        (errors.NotReady(), 429, "ModelNotReadyException", None),
        (errors.GivenUp(), 503, "ServiceUnavailable", None),
        (errors.WorkerLost(), 503, "ServiceUnavailable", None),
        (errors.Unauthorized(), 401, "AccessDeniedException", None),
        (errors.InternalError(), 500, "InternalFailure", None),
    ],
)
def test_errors_are_told_in_the_apis_words(
    error: HeadwayError, status: int, name: str, original: int | None
) -> None:
    reply = sagemaker.render(ask(), error)
    told = msgspec.json.decode(reply.body)
    headers = dict(reply.headers)
    assert (reply.status, headers["x-amzn-errortype"]) == (status, name)
    assert headers["x-amzn-requestid"] == "id-1"
    assert told.get("OriginalStatusCode") == original
    assert told["Message"]


def test_a_large_answer_comes_in_several_parts() -> None:
    text = "é" * 400_000
    stream = ask("stream", msgspec.json.encode({"text": text}))
    call = sagemaker.decode(stream, ECHO)
    reply = sagemaker.encode(stream, call, Result([text]), ECHO)
    assert reply.content_type == "application/vnd.amazon.eventstream"
    assert dict(reply.headers)[f"{OWN}content-type"] == "application/json"
    parts = [payload for _, payload in read_frames(reply.body)]
    assert len(parts) == 2
    assert msgspec.json.decode(b"".join(parts)) == text


def test_what_a_stream_shall_be_is_asked_in_a_header_of_its_own() -> None:
    stream = ask("stream", headers={"accept": "image/png", f"{OWN}accept": "application/json"})
    sagemaker.decode(stream, ECHO)
    with pytest.raises(errors.NotAcceptable):
        sagemaker.decode(ask("stream", headers={f"{OWN}accept": "image/png"}), ECHO)


@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [
        (errors.ModelFailed(), "ModelStreamError", "StreamBroken"),
        (errors.WorkerLost(), "ModelStreamError", "StreamBroken"),
        (errors.DeadlineError(timeout_s=1.0), "ModelStreamError", "ModelInvocationTimeExceeded"),
        (errors.InternalError(), "InternalStreamFailure", None),
    ],
)
def test_an_error_that_ends_a_stream_is_an_exception_of_it(
    error: HeadwayError, kind: str, code: str | None
) -> None:
    ((headers, payload),) = read_frames(sagemaker.chunk_error(ask("stream"), error))
    assert (headers[":message-type"], headers[":exception-type"]) == ("exception", kind)
    assert msgspec.json.decode(payload).get("ErrorCode") == code


def test_a_stream_that_is_asked_for_whole_is_lines() -> None:
    whole = ask(body=b'{"text":"a b"}')
    call = sagemaker.decode(whole, WORDS)
    assert sagemaker.stream_type(whole) == "application/jsonlines"
    assert sagemaker.chunk(whole, call, "a", WORDS) == b'"a"\n'
    assert sagemaker.chunk_error(whole, errors.ModelFailed()).startswith(b'{"Message":')


def test_a_stream_says_who_answers_and_what_its_parts_are() -> None:
    stream = ask("stream", headers={f"{OWN}custom-attributes": "c000b4f9"})
    assert dict(stream_headers(sagemaker, stream, WORDS)) == {
        "x-amzn-requestid": "id-1",
        "x-amzn-invoked-production-variant": "1",
        f"{OWN}custom-attributes": "c000b4f9",
        f"{OWN}content-type": "application/jsonlines",
    }
    assert f"{OWN}content-type" not in dict(stream_headers(sagemaker, ask(), WORDS))
    assert list(stream_headers(invocations, stream, WORDS)) == [
        (f"{OWN}custom-attributes", "c000b4f9")
    ]
    assert stream_headers(native, stream, WORDS) == ()
