"""grpcio's own echo: it answers every method with the bytes of its request. `grpc_echo.py aio|threads PORT`."""

import sys
from collections.abc import Callable
from concurrent import futures
from typing import Any

import grpc
import uvloop


class Echo(grpc.GenericRpcHandler):
    """Any method, raw bytes both ways."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._method = grpc.unary_unary_rpc_method_handler(function)

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """The same method, whatever its name."""
        return self._method


def threads(port: int) -> None:
    """On a pool of threads."""
    server = grpc.server(futures.ThreadPoolExecutor(8))
    server.add_generic_rpc_handlers((Echo(lambda body, context: body),))
    server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    server.wait_for_termination()


async def aio(port: int) -> None:
    """On uvloop."""

    async def echo(body: bytes, context: Any) -> bytes:
        return body

    server = grpc.aio.server()
    server.add_generic_rpc_handlers((Echo(echo),))
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await server.wait_for_termination()


def ask(port: int) -> None:
    """Ask ModelInfer with the bytes of standard input, and write those of the answer."""
    channel = grpc.insecure_channel(f"127.0.0.1:{port}")
    call = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
    body = sys.stdin.buffer.read()
    sys.stdout.buffer.write(call(body, wait_for_ready=True, timeout=30))


if __name__ == "__main__":
    kind, number = sys.argv[1], int(sys.argv[2])
    if kind == "aio":
        uvloop.run(aio(number))
    else:
        {"threads": threads, "ask": ask}[kind](number)
