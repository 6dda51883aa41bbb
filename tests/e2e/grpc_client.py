"""A gRPC client that learns the messages from the server's own reflection, for tests. Not a test."""

import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import grpc
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

SERVICE = "inference.GRPCInferenceService"
OPTIONS = (("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1))
WAIT_S = 20.0


class Client:
    """One channel, and what its server serves."""

    def __init__(
        self, channel: grpc.Channel, metadata: Sequence[tuple[str, str]] = (), key: str = ""
    ) -> None:
        self.channel = channel
        self.metadata = (*metadata, *([("authorization", f"Bearer {key}")] if key else []))
        if self.metadata:
            channel = grpc.intercept_channel(channel, _Adding(self.metadata))
        self.database = ProtoReflectionDescriptorDatabase(channel)
        self.pool = DescriptorPool(self.database)

    def message(self, name: str) -> Any:
        return GetMessageClass(self.pool.FindMessageTypeByName(name))

    def method(self, name: str) -> Any:
        """A callable for a method of the inference service, or of another one by its whole name."""
        service, _, method = (name if "/" in name else f"{SERVICE}/{name}").partition("/")
        described = self.pool.FindServiceByName(service).FindMethodByName(method)
        takes, gives = (GetMessageClass(d) for d in (described.input_type, described.output_type))
        kinds = {
            (False, False): self.channel.unary_unary,
            (False, True): self.channel.unary_stream,
            (True, True): self.channel.stream_stream,
        }
        make = kinds[described.client_streaming, described.server_streaming]
        path = f"/{service}/{method}"
        call = make(
            path, request_serializer=takes.SerializeToString, response_deserializer=gives.FromString
        )

        def ask(question: Any = None, **options: Any) -> Any:
            given = options.pop("metadata", ())
            if question is None:
                question = takes()
            elif isinstance(question, Mapping):
                question = takes(**question)
            options.setdefault("timeout", WAIT_S)
            return call(question, metadata=(*self.metadata, *given), **options)

        return ask

    def question(self, model: str, id_: str = "", **inputs: Any) -> Any:
        """A raw question: texts, whole numbers or rows of FP32 by the name of each input."""
        request = self.message("inference.ModelInferRequest")(model_name=model, id=id_)
        for name, values in inputs.items():
            datatype, data = _packed(values)
            shape = [len(values), *([len(values[0])] if datatype == "FP32" else [])]
            request.inputs.add(name=name, datatype=datatype, shape=shape)
            request.raw_input_contents.append(data)
        return request


class _Adding(
    grpc.UnaryUnaryClientInterceptor,  # type: ignore[misc]
    grpc.StreamStreamClientInterceptor,  # type: ignore[misc]
):
    def __init__(self, metadata: Sequence[tuple[str, str]]) -> None:
        self._metadata = metadata

    def intercept_unary_unary(self, go_on: Any, details: Any, request: Any) -> Any:
        return go_on(details._replace(metadata=self._metadata), request)

    def intercept_stream_stream(self, go_on: Any, details: Any, requests: Any) -> Any:
        return go_on(details._replace(metadata=self._metadata), requests)


def _packed(values: Sequence[Any]) -> tuple[str, bytes]:
    if isinstance(values[0], str):
        texts = [value.encode() for value in values]
        return "BYTES", b"".join(struct.pack("<I", len(text)) + text for text in texts)
    if isinstance(values[0], int):
        return "INT64", struct.pack(f"<{len(values)}q", *values)
    flat = [number for row in values for number in row]
    return "FP32", struct.pack(f"<{len(flat)}f", *flat)


def texts_of(response: Any, output: int = 0) -> list[str]:
    """The texts of a raw BYTES output."""
    return list(_texts(response.raw_output_contents[output]))


def _texts(data: bytes) -> Iterator[str]:
    while data:
        end = 4 + int.from_bytes(data[:4], "little")
        yield data[4:end].decode()
        data = data[end:]


def numbers_of(response: Any, code: str) -> tuple[Any, ...]:
    """The numbers of the first raw output, as `struct` names their type."""
    data = response.raw_output_contents[0]
    return struct.unpack(f"<{len(data) // struct.calcsize(code)}{code}", data)


def connected(address: str, **options: Any) -> Client:
    """A client of a server without TLS."""
    return Client(grpc.insecure_channel(address, options=OPTIONS), **options)


def status(error: grpc.RpcError) -> tuple[str, str]:
    """Name and text of a call's status."""
    call: Any = error
    return call.code().name, call.details()


def drained(calls: Iterable[Any]) -> list[Any]:
    """All messages of a stream."""
    return list(calls)
