"""Our reader and writer of protocol buffers beside the library: messages, descriptors, and anything else."""

import struct
from typing import Any

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory
from google.protobuf.message import DecodeError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headway.errors import BadInput
from headway.protocols import v2_grpc
from headway.protocols._protobuf import pack_varints, read, signed, texts, varints, write
from headway.protocols._schema import Schema

PROTO = {
    "test.proto": """
        package a.b;
        enum Kind { NONE = 0; SOME = 1; LESS = -1; }
        message Inner { string text = 1; repeated Inner more = 2; }
        message All {
          enum Own { ZERO = 0; ONE = 1; }
          bool flag = 1; int32 small = 2; int64 whole = 3; uint32 natural = 4; uint64 large = 5;
          float half = 6; double real = 7; string text = 8; bytes data = 9; Kind kind = 10; Own own = 11;
          fixed32 f32 = 12; fixed64 f64 = 13; sfixed32 s32 = 14; sfixed64 s64 = 15; Inner inner = 16;
          repeated int64 wholes = 17; repeated float halves = 18; repeated string texts = 19;
          repeated Inner inners = 20; map<string, int64> counts = 21; map<string, Inner> named = 22;
          oneof choice { bool is_it = 23; string word = 24; Inner deep = 25; }
        }
    """
}
SCHEMA = Schema(PROTO)
ALL = SCHEMA.message("a.b.All")


def library(schema: Schema, name: str) -> Any:
    """The library's own class, made of our descriptors."""
    pool = descriptor_pool.DescriptorPool()
    files = schema.descriptors()

    def add(file: str) -> None:
        described = descriptor_pb2.FileDescriptorProto.FromString(files[file])
        for other in described.dependency:
            add(other)
        pool.AddSerializedFile(files[file])

    for file in files:
        add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(name))


THEIRS = library(SCHEMA, "a.b.All")
TEXT = st.text(st.characters(codec="utf-8"), max_size=6)
INNER: Any = st.recursive(
    st.fixed_dictionaries({}, optional={"text": TEXT}),
    lambda inner: st.fixed_dictionaries(
        {"more": st.lists(inner, max_size=2)}, optional={"text": TEXT}
    ),
    max_leaves=3,
)
INT64 = st.integers(-(2**63), 2**63 - 1)
PLAIN = {
    "flag": st.booleans(),
    "small": st.integers(-(2**31), 2**31 - 1),
    "whole": INT64,
    "natural": st.integers(0, 2**32 - 1),
    "large": st.integers(0, 2**64 - 1),
    "half": st.floats(width=32, allow_nan=False),
    "real": st.floats(allow_nan=False),
    "text": TEXT,
    "data": st.binary(max_size=9),
    "kind": st.sampled_from([0, 1, -1]),
    "own": st.sampled_from([0, 1]),
    "f32": st.integers(0, 2**32 - 1),
    "f64": st.integers(0, 2**64 - 1),
    "s32": st.integers(-(2**31), 2**31 - 1),
    "s64": INT64,
    "inner": INNER,
    "wholes": st.lists(INT64, max_size=5),
    "halves": st.lists(st.floats(width=32, allow_nan=False), max_size=5),
    "texts": st.lists(TEXT, max_size=4),
    "inners": st.lists(INNER, max_size=3),
    "counts": st.dictionaries(TEXT, INT64, max_size=3),
    "named": st.dictionaries(TEXT, INNER, max_size=3),
}
CHOICE = st.one_of(
    st.fixed_dictionaries({"is_it": st.booleans()}),
    st.fixed_dictionaries({"word": TEXT}),
    st.fixed_dictionaries({"deep": INNER}),
    st.just({}),
)
VALUES = st.builds(lambda a, b: a | b, st.fixed_dictionaries({}, optional=PLAIN), CHOICE)


def plain(found: dict[str, Any]) -> dict[str, Any]:
    """What was read, with packed numbers unpacked and the names of oneofs left out."""
    found = {k: v for k, v in found.items() if k != "choice"}
    if "wholes" in found:
        found["wholes"] = [signed(n) for n in varints(found["wholes"])]
    if "halves" in found:
        data = bytes(found["halves"])
        found["halves"] = list(struct.unpack(f"<{len(data) // 4}f", data))
    return found


def without_defaults(values: dict[str, Any]) -> dict[str, Any]:
    kept = ("inner", "is_it", "word", "deep")
    return {k: v for k, v in values.items() if v or k in kept or str(v) == "-0.0"}


def their(values: dict[str, Any]) -> Any:
    message = THEIRS()
    for name, value in values.items():
        if name in ("named",):
            for key, entry in value.items():
                json_format.ParseDict(entry, message.named[key])
                message.named[key].SetInParent()
        elif name in ("inner", "deep"):
            json_format.ParseDict(value, getattr(message, name))
            getattr(message, name).SetInParent()
        elif name == "inners":
            for entry in value:
                json_format.ParseDict(entry, message.inners.add())
        elif isinstance(value, dict):
            getattr(message, name).update(value)
        elif isinstance(value, list):
            getattr(message, name).extend(value)
        else:
            setattr(message, name, value)
    return message


@settings(max_examples=150, suppress_health_check=list(HealthCheck))
@given(VALUES)
def test_what_we_write_is_what_the_library_reads(values: dict[str, Any]) -> None:
    assert THEIRS.FromString(write(ALL, values)) == their(values)


@settings(max_examples=150, suppress_health_check=list(HealthCheck))
@given(VALUES)
def test_what_the_library_writes_is_read(values: dict[str, Any]) -> None:
    body = their(values).SerializeToString()

    def inner(found: Any) -> Any:
        if isinstance(found, dict):
            kept = {k: inner(v) for k, v in found.items()}
            return {k: v for k, v in kept.items() if v not in ("", [])}
        return [inner(v) for v in found] if isinstance(found, list) else found

    found = plain(read(ALL, body))
    for name in ("inner", "deep", "inners", "named"):
        if name in found:
            found[name] = inner(found[name])
    expected = without_defaults(values)
    for name in ("inner", "deep", "inners", "named"):
        if name in expected:
            expected[name] = inner(expected[name])
    assert found == expected


@settings(max_examples=500, suppress_health_check=list(HealthCheck))
@given(VALUES, st.data())
def test_what_is_damaged_is_refused_or_read_as_the_library_does(
    values: dict[str, Any], data: st.DataObject
) -> None:
    body = bytearray(their(values).SerializeToString())
    at = data.draw(st.integers(0, len(body)))
    body[at : at + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=3))
    try:
        found = plain(read(ALL, bytes(body)))
    except BadInput:
        return  # groups, and fields of no use, are refused here that the library skips
    try:
        theirs = THEIRS.FromString(bytes(body))
    except DecodeError:
        # It looks into packed numbers and messages at once; what we leave for later is seen then.
        return
    for name in ("small", "whole", "natural", "large", "text", "data", "kind", "f32", "s64"):
        assert found.get(name, type(getattr(theirs, name))()) == getattr(theirs, name)


@given(st.lists(st.integers(-(2**63), 2**64 - 1)))
def test_packed_numbers_come_back(numbers: list[int]) -> None:
    assert varints(pack_varints(numbers)) == [n & (2**64 - 1) for n in numbers]


@given(st.binary(max_size=30))
def test_the_names_of_a_message_are_found_as_a_whole_reading_finds_them(body: bytes) -> None:
    request = library(v2_grpc.SCHEMA, "inference.ModelInferRequest")
    try:
        name, version = texts(body, 1, 2)
    except BadInput:
        return
    try:
        whole = request.FromString(body)
    except DecodeError:
        return
    assert (name, version) == (whole.model_name, whole.model_version)


@pytest.mark.parametrize(
    "body",
    [
        b"\x08" * 300_000,
        b"\x88\x01" + b"\x80" * 11,
        b"\x8a\x01\xff\xff\xff\xff\x0f",
        b"\x13\x14",
        b"\x00",
    ],
)
def test_what_is_no_message_is_refused_quickly(body: bytes) -> None:
    with pytest.raises(BadInput):
        read(ALL, body)


def test_more_fields_than_anybody_needs_are_refused() -> None:
    with pytest.raises(BadInput, match="more than"):
        read(ALL, b"\x9a\x01\x00" * 20_000)
    with pytest.raises(BadInput, match="more than"):
        texts(b"\x2a\x00" * 20_000, 1, 2)
