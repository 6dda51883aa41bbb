"""V2 over gRPC with other clients than Python's: Triton's own, Node's, h2load.

Triton's client pins protobuf where other libraries of the tests can't follow, so it has an environment of its own,
made on first use in build/clients and kept there; so has Node's.
"""

import os
import shutil
import subprocess
import sys
import textwrap
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest
from serving import SUBJECTS, Server, serving

pytestmark = pytest.mark.timeout(400)

CLIENTS = Path(__file__).parents[2] / "build" / "clients"
TRITON, NODE = "tritonclient[grpc]==2.73.0", "@grpc/grpc-js@1.14.0"
MODELS = """
models:
  double: {predictor: "subjects.py:Double", workers: 1}
  count: {predictor: "subjects.py:Count", workers: 1}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("clients")
    shutil.copy(SUBJECTS, folder / "subjects.py")
    folder.joinpath("headway.yaml").write_text(MODELS)
    with serving(folder) as server:
        yield server


def made(name: str, wanted: str, *command: str) -> Path:
    """A client's folder, made by a command unless it is there."""
    folder = CLIENTS / name
    stamp = folder / "wanted"
    if not stamp.exists() or stamp.read_text() != wanted:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        if name == "triton":
            venv.create(folder, with_pip=True)
        subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=300)
        stamp.write_text(wanted)
    return folder


def needs(program: str) -> None:
    """Skip where a program is not installed; in CI that is a mistake."""
    if not shutil.which(program):
        assert not os.environ.get("CI"), f"{program} is missing"
        pytest.skip(f"{program} is not installed")


def told(*command: str | Path) -> list[str]:
    done = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


def by_triton(server: Server, script: str) -> list[str]:
    pip = [str(CLIENTS / "triton" / "bin" / "python"), "-m", "pip", "install", "-q", TRITON]
    folder = made("triton", f"{TRITON} {sys.version}", *pip)
    start = f"import numpy as np, tritonclient.grpc as g\naddress = {server.info['grpc']!r}\n"
    return told(folder / "bin" / "python", "-c", start + textwrap.dedent(script))


def test_tritons_client_asks_and_is_told(server: Server) -> None:
    assert by_triton(
        server,
        """
        c = g.InferenceServerClient(address)
        print(c.is_server_live(), c.is_server_ready(), c.is_model_ready("double"))
        print(c.get_server_metadata().name, c.get_model_metadata("double").inputs[0].datatype)
        print(c.get_model_config("double").config.input[0].data_type)
        x = g.InferInput("numbers", [2, 4], "FP32")
        x.set_data_from_numpy(np.arange(8, dtype=np.float32).reshape(2, 4))
        r = c.infer("double", [x], request_id="7", compression_algorithm="gzip")
        print(r.as_numpy("output").ravel().tolist(), r.get_response().id)
        for act in (lambda: c.infer("nobody", [x]), lambda: c.load_model("double")):
            try:
                act()
            except g.InferenceServerException as e:
                print(e.status())
        print(len(c.get_inference_statistics("double").model_stats))
        """,
    ) == [
        "True True True",
        "headway FP32",
        "11",
        "[0.0, 2.0, 4.0, 6.0, 8.0, 10.0, 12.0, 14.0] 7",
        "StatusCode.NOT_FOUND",
        "StatusCode.UNIMPLEMENTED",
        "1",
    ]


def test_tritons_client_streams(server: Server) -> None:
    assert by_triton(
        server,
        """
        import queue
        c, q = g.InferenceServerClient(address), queue.Queue()
        c.start_stream(callback=lambda result, error: q.put((result, error)))
        def texts(name, values, datatype):
            t = g.InferInput(name, [len(values)], datatype)
            t.set_data_from_numpy(np.array(values, dtype=object if datatype == "BYTES" else np.int64))
            return t
        inputs = [texts("upto", [3], "INT64"), texts("name", ["triton"], "BYTES"), texts("until", [""], "BYTES")]
        c.async_stream_infer("count", inputs, request_id="a", enable_empty_final_response=True)
        c.async_stream_infer("nobody", inputs)
        for _ in range(5):
            result, error = q.get(timeout=20)
            response = result.get_response() if result else None
            is_final = response and response.parameters["triton_final_response"].bool_param
            empty = response and not response.outputs
            print(error is not None, is_final, empty or result and int(result.as_numpy("output")[0]))
        c.stop_stream()
        """,
    ) == [
        "False False 0",
        "False False 1",
        "False False 2",
        "False True True",
        "True None None",
    ]


def test_tritons_asynchronous_client_asks_many_at_a_time(server: Server) -> None:
    assert by_triton(
        server,
        """
        import asyncio, tritonclient.grpc.aio as a
        async def main():
            c = a.InferenceServerClient(address)
            def ask(n):
                x = g.InferInput("numbers", [1, 4], "FP32")
                x.set_data_from_numpy(np.full((1, 4), n, np.float32))
                return c.infer("double", [x])
            answers = await asyncio.gather(*map(ask, range(200)))
            print([r.as_numpy("output")[0, 0] for r in answers] == [2.0 * n for n in range(200)])
            await c.close()
        asyncio.run(main())
        """,
    ) == ["True"]


def test_nodes_client_asks(server: Server) -> None:
    needs("npm")
    folder = made("node", NODE, "npm", "install", "--silent", "--no-audit", "--no-fund", NODE)
    script = folder / "ask.js"
    script.write_text(
        f"""
        const grpc = require("@grpc/grpc-js");
        const client = new grpc.Client("{server.info["grpc"]}", grpc.credentials.createInsecure());
        const same = (bytes) => bytes;
        const ask = (path, body) => new Promise((resolve) => client.makeUnaryRequest(
          path, same, same, Buffer.from(body, "latin1"), new grpc.Metadata(), {{deadline: Date.now() + 20000}},
          (error, answer) => resolve(error ? error.code : answer.toString("hex"))));
        (async () => {{
          const service = "/inference.GRPCInferenceService/";
          console.log(await ask(service + "ServerReady", ""));
          console.log(await ask(service + "ModelReady", "\\n\\x06nobody"));
          console.log(await ask(service + "Nothing", ""));
          const live = await Promise.all(Array.from({{length: 300}}, () => ask(service + "ServerLive", "")));
          console.log(new Set(live).size);
          client.close();
        }})();
        """
    )
    assert told("node", script) == ["0801", "5", "12", "1"]


def test_h2load_is_answered_every_time(server: Server, tmp_path: Path) -> None:
    needs("h2load")
    body = tmp_path / "body"
    body.write_bytes(b"\0\0\0\0\0")
    headers = ["-H", "content-type: application/grpc", "-H", "te: trailers", "-d", str(body)]
    url = f"http://{server.info['grpc']}/inference.GRPCInferenceService/ServerLive"
    lines = told("h2load", "-n", "5000", "-c", "8", "-m", "50", *headers, url)
    assert any("5000 succeeded, 0 failed, 0 errored" in line for line in lines), lines
    assert any("status codes: 5000 2xx" in line for line in lines), lines
