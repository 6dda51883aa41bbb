"""gRPC with its own Python client: V2, health, reflection, deadlines, compression, keys, TLS, drain."""

import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import grpc_client
import pytest
import trustme
from grpc_client import Client, connected, numbers_of, status, texts_of
from grpc_health.v1 import health_pb2, health_pb2_grpc
from serving import SUBJECTS, Server, serving, wait_until

pytestmark = pytest.mark.timeout(120)

MODELS = """
models:
  gate: {predictor: "subjects.py:Gate", workers: 1, max_queue: 64}
  double: {predictor: "subjects.py:Double", workers: 1}
  count: {predictor: "subjects.py:Count", workers: 1}
"""
TEXT = "text"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("grpc")
    shutil.copy(SUBJECTS, folder / "subjects.py")
    folder.joinpath("headway.yaml").write_text(MODELS)
    with serving(folder) as server:
        yield server


@pytest.fixture(scope="module")
def client(server: Server) -> Client:
    return connected(server.info["grpc"])


def refusal(act: Callable[[], Any]) -> tuple[str, str]:
    with pytest.raises(grpc.RpcError) as raised:
        act()
    return status(raised.value)


def test_the_ready_line_has_the_address_which_is_that_of_http(server: Server) -> None:
    assert server.info["grpc"] == f"127.0.0.1:{server.port}"


def test_a_raw_question_has_a_raw_answer(client: Client) -> None:
    question = client.question("double", "seven", numbers=[[1.0, 2.0, 3.0, 4.0], [5.0] * 4])
    answer = client.method("ModelInfer")(question)
    assert (answer.model_name, answer.id, list(answer.outputs[0].shape)) == (
        "double",
        "seven",
        [2, 4],
    )
    assert numbers_of(answer, "f") == (2.0, 4.0, 6.0, 8.0, 10.0, 10.0, 10.0, 10.0)


def test_a_typed_question_has_a_typed_answer(client: Client) -> None:
    question = client.message("inference.ModelInferRequest")(model_name="double")
    tensor = question.inputs.add(name="numbers", datatype="FP32", shape=[1, 4])
    tensor.contents.fp32_contents.extend([1, 2, 3, 4])
    answer = client.method("ModelInfer")(question)
    assert list(answer.outputs[0].contents.fp32_contents) == [2, 4, 6, 8]
    assert not answer.raw_output_contents


def test_text_goes_and_comes(client: Client) -> None:
    answer = client.method("ModelInfer")(
        client.question("gate", text=["joy", "grüße"], until=["", ""])
    )
    assert texts_of(answer) == ["JOY", "GRÜSSE"]


def test_a_large_message_goes_and_comes(client: Client) -> None:
    rows = [[float(n), 0.0, 0.0, 0.0] for n in range(65536)]
    question = client.question("double", numbers=rows)
    while question.ByteSize() <= 4 * 2**20:  # gRPC's own default limit
        question.parameters[f"padding-{len(question.parameters)}"].string_param = "x" * 2**20
    answer = client.method("ModelInfer")(question)
    assert numbers_of(answer, "f")[4 * 65535] == 2 * 65535


def test_many_calls_of_one_channel_each_get_their_own(client: Client) -> None:
    ask = client.channel.unary_unary(f"/{grpc_client.SERVICE}/ModelInfer")
    response = client.message("inference.ModelInferResponse")
    asked = {
        number: ask.future(
            client.question("double", numbers=[[float(number)] * 4]).SerializeToString(), timeout=30
        )
        for number in range(500)
    }
    for number, future in asked.items():
        answer = response.FromString(future.result())
        assert numbers_of(answer, "f") == (2.0 * number,) * 4


@pytest.mark.parametrize(
    ("change", "code", "text"),
    [
        ({"model_name": "nobody"}, "NOT_FOUND", "no model named 'nobody'"),
        ({"model_version": "9"}, "NOT_FOUND", "no version '9'"),
        ({"model_name": ""}, "INVALID_ARGUMENT", "the name of a model"),
        ({"model_name": "count"}, "INVALID_ARGUMENT", "ModelStreamInfer"),
    ],
)
def test_what_can_not_be_asked_is_told(
    client: Client, change: dict[str, str], code: str, text: str
) -> None:
    question = client.question("double", numbers=[[1.0] * 4])
    for name, value in change.items():
        setattr(question, name, value)
    found = refusal(lambda: client.method("ModelInfer")(question))
    assert found[0] == code
    assert text in found[1]


@pytest.mark.parametrize("body", [b"\xff" * 9, b"\x0a\x05dou", b"\x0a\x06double\x2a\x02\x0a\x05"])
def test_what_is_no_message_is_an_invalid_argument(client: Client, body: bytes) -> None:
    ask = client.channel.unary_unary(f"/{grpc_client.SERVICE}/ModelInfer")
    assert refusal(lambda: ask(body, timeout=20))[0] == "INVALID_ARGUMENT"


@pytest.mark.parametrize(
    "path", ["/inference.GRPCInferenceService/RepositoryModelLoad", "/no.Such/Thing", "/x"]
)
def test_a_method_that_is_not_served_is_unimplemented(client: Client, path: str) -> None:
    assert refusal(lambda: client.channel.unary_unary(path)(b"", timeout=20))[0] == "UNIMPLEMENTED"


def test_a_message_above_the_limit_is_refused_by_its_length(tmp_path: Path) -> None:
    shutil.copy(SUBJECTS, tmp_path / "subjects.py")
    with serving(tmp_path, "subjects.py:Double", "--max-body-bytes", "100000") as server:
        client = connected(server.info["grpc"])
        large = client.question("subjects", numbers=[[1.0] * 4] * 10_000)
        code, text = refusal(lambda: client.method("ModelInfer")(large))
        assert code == "RESOURCE_EXHAUSTED"
        assert "100000 bytes" in text
        zeros = client.question("subjects", numbers=[[0.0] * 4] * 10_000)
        zipped = refusal(
            lambda: client.method("ModelInfer")(zeros, compression=grpc.Compression.Gzip)
        )
        assert zipped[0] == "RESOURCE_EXHAUSTED"
        assert client.method("ModelInfer")(client.question("subjects", numbers=[[1.0] * 4]))


@pytest.mark.parametrize("compression", [grpc.Compression.Gzip, grpc.Compression.Deflate])
def test_compressed_messages_are_read(client: Client, compression: Any) -> None:
    question = client.question("double", numbers=[[1.0] * 4] * 100)
    answer = client.method("ModelInfer")(question, compression=compression)
    assert numbers_of(answer, "f") == (2.0,) * 400
    name = {"name": "double", "version": ""}
    assert client.method("ModelReady")(name, compression=compression).ready


def test_what_the_server_knows_is_told(client: Client) -> None:
    assert client.method("ServerLive")().live
    assert client.method("ServerReady")().ready
    assert client.method("ModelReady")({"name": "double"}).ready
    assert refusal(lambda: client.method("ModelReady")({"name": "nobody"}))[0] == "NOT_FOUND"
    assert client.method("ServerMetadata")().name == "headway"
    told = client.method("ModelMetadata")({"name": "double"})
    assert [(t.name, t.datatype, list(t.shape)) for t in told.inputs] == [
        ("numbers", "FP32", [-1, 4])
    ]
    config = client.method("ModelConfig")({"name": "count"}).config
    assert config.model_transaction_policy.decoupled
    index = client.method("RepositoryIndex")({"ready": True})
    assert {(m.name, m.state) for m in index.models} == {
        (n, "READY") for n in ("gate", "double", "count")
    }
    before = client.method("ModelStatistics")({"name": "double"}).model_stats[0].inference_count
    client.method("ModelInfer")(client.question("double", numbers=[[1.0] * 4] * 3))
    wait_until(
        lambda: (
            client.method("ModelStatistics")({"name": "double"}).model_stats[0].inference_count
            == before + 3
        ),
        "the rows are counted",
    )


def test_a_stream_answers_question_by_question_and_goes_on_after_an_error(client: Client) -> None:
    questions = [
        client.question("double", "a", numbers=[[1.0] * 4]),
        client.question("nobody", "b", numbers=[[1.0] * 4]),
        client.question("double", "c", numbers=[[1.0] * 3]),
        client.question("count", "d", upto=[3], name=["grpc"], until=[""]),
        client.question("gate", "e", text=["joy"], until=[""]),
    ]
    answers = list(client.method("ModelStreamInfer")(iter(questions)))
    assert [a.infer_response.id for a in answers] == ["a", "", "", "d", "d", "d", "e"]
    assert ["nobody" in answers[1].error_message, "shape" in answers[2].error_message] == [
        True,
        True,
    ]
    assert [numbers_of(a.infer_response, "q") for a in answers[3:6]] == [(0,), (1,), (2,)]


def test_a_stream_marks_its_end_for_who_asks(client: Client) -> None:
    question = client.question("count", "d", upto=[2], name=["marked"], until=[""])
    question.parameters["triton_enable_empty_final_response"].bool_param = True
    answers = [a.infer_response for a in client.method("ModelStreamInfer")(iter([question]))]
    finals = [a.parameters["triton_final_response"].bool_param for a in answers]
    assert (finals, len(answers[-1].outputs)) == ([False, False, True], 0)


def test_a_hundred_thousand_tiny_messages_are_answered_and_memory_is_flat(
    client: Client, server: Server
) -> None:
    def rss() -> int:
        pages = Path(f"/proc/{server.gateways()[0]}/statm").read_text().split()[1]
        return int(pages) * 4096

    stream = client.channel.stream_stream(
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
    )
    assert sum(1 for _ in stream(iter([b"\x3a\x00"] * 1000), timeout=60)) == 1000
    before = rss()
    assert sum(1 for _ in stream(iter([b"\x3a\x00"] * 20_000), timeout=60)) == 20_000
    assert rss() - before < 32 * 2**20


def test_a_call_whose_caller_leaves_frees_its_place(client: Client, server: Server) -> None:
    infer = client.channel.unary_unary(f"/{grpc_client.SERVICE}/ModelInfer")
    question = client.question("gate", text=["cut"], until=["open"]).SerializeToString()
    cut = [infer.future(question, timeout=30)]
    server.wait_for_line("entered.txt", "cut")
    cut += [infer.future(question, timeout=30) for _ in range(4)]
    server.wait_for_queue("gate", 4)
    for call in cut:
        call.cancel()
    server.wait_for_queue("gate", 0)
    server.path("open").touch()
    assert texts_of(
        client.method("ModelInfer")(client.question("gate", text=["on"], until=[""]))
    ) == ["ON"]


def test_a_deadline_ends_a_call_that_waits(client: Client, server: Server) -> None:
    first = client.channel.unary_unary(f"/{grpc_client.SERVICE}/ModelInfer").future(
        client.question("gate", text=["slow"], until=["later"]).SerializeToString(), timeout=30
    )
    server.wait_for_line("entered.txt", "slow")
    late = client.question("gate", text=["late"], until=[""])
    assert refusal(lambda: client.method("ModelInfer")(late, timeout=0.2))[0] == "DEADLINE_EXCEEDED"
    wait_until(lambda: server.metric("queue_requests", model="gate") == 0, "it waits no more")
    server.path("later").touch()
    first.result()
    assert "late" not in server.lines("computed.txt")


def test_a_generator_is_closed_when_its_caller_leaves(client: Client, server: Server) -> None:
    call = client.method("ModelStreamInfer")(
        iter([client.question("count", upto=[9], name=["left"], until=["never"])])
    )
    assert numbers_of(next(call).infer_response, "q") == (0,)
    call.cancel()
    server.path("never").touch()
    server.wait_for_line("closed.txt", "left")


def test_health_is_that_of_the_server_and_of_each_model(server: Server) -> None:
    stub: Any = health_pb2_grpc.HealthStub(grpc.insecure_channel(server.info["grpc"]))
    ask = health_pb2.HealthCheckRequest
    serving_ = health_pb2.HealthCheckResponse.SERVING
    for service in ("", "gate", grpc_client.SERVICE):
        assert stub.Check(ask(service=service), timeout=20).status == serving_
    assert refusal(lambda: stub.Check(ask(service="nobody"), timeout=20))[0] == "NOT_FOUND"
    watch = stub.Watch(ask(service="nobody"), timeout=20)
    assert next(watch).status == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
    watch.cancel()


def test_reflection_lists_what_is_served(client: Client) -> None:
    assert set(client.database.get_services()) >= {
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        grpc_client.SERVICE,
        "tensorflow.serving.PredictionService",
    }
    assert client.message("inference.ModelInferRequest").DESCRIPTOR.file.package == "inference"


def test_a_key_is_asked_for_as_over_http_but_not_by_health(tmp_path: Path) -> None:
    from headway.server.keys import new_key

    key, line = new_key()
    tmp_path.joinpath("keys.txt").write_text(line)
    shutil.copy(SUBJECTS, tmp_path / "subjects.py")
    with serving(tmp_path, "subjects.py:Double", "--key-file", "keys.txt") as server:
        address = server.info["grpc"]
        channel = grpc.insecure_channel(address)
        live = channel.unary_unary(f"/{grpc_client.SERVICE}/ServerLive")
        assert refusal(lambda: live(b"", timeout=20))[0] == "UNAUTHENTICATED"
        wrong = (("authorization", "Bearer wrong"),)
        assert refusal(lambda: live(b"", timeout=20, metadata=wrong))[0] == "UNAUTHENTICATED"
        assert live(b"", timeout=20, metadata=(("x-api-key", key),)) == b"\x08\x01"
        check = channel.unary_unary("/grpc.health.v1.Health/Check")
        assert check(b"", timeout=20) == b"\x08\x01"
        client = connected(address, key=key)
        answer = client.method("ModelInfer")(client.question("subjects", numbers=[[1.0] * 4]))
        assert numbers_of(answer, "f") == (2.0,) * 4


def test_a_port_of_its_own_speaks_tls_and_nothing_but_grpc(tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost", "127.0.0.1")
    certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
    for n, blob in enumerate(certificate.cert_chain_pems):
        blob.write_to_path(tmp_path / "cert.pem", append=n > 0)
    shutil.copy(SUBJECTS, tmp_path / "subjects.py")
    flags = ["--grpc-port", "0", "--tls-certificate", "cert.pem", "--tls-key", "key.pem"]
    with serving(tmp_path, "subjects.py:Double", *flags) as server:
        assert server.info["grpc"] != f"127.0.0.1:{server.port}"
        trust = grpc.ssl_channel_credentials(authority.cert_pem.bytes())
        client = Client(grpc.secure_channel(server.info["grpc"], trust))
        answer = client.method("ModelInfer")(client.question("subjects", numbers=[[1.0] * 4]))
        assert numbers_of(answer, "f") == (2.0,) * 4
        wrong = grpc.secure_channel(f"localhost:{server.port}", trust)
        live = wrong.unary_unary(f"/{grpc_client.SERVICE}/ServerLive")
        assert refusal(lambda: live(b"", timeout=20))[0] == "UNAVAILABLE"
        wrong.close()
        client.channel.close()


def test_a_unix_socket_speaks_it_too_and_it_can_be_turned_off(tmp_path: Path) -> None:
    shutil.copy(SUBJECTS, tmp_path / "subjects.py")
    place = tmp_path / "s.sock"
    with serving(tmp_path, "subjects.py:Double", "--unix", str(place)) as server:
        assert server.info["grpc"] == f"unix:{place}"
        live = grpc.insecure_channel(f"unix:{place}").unary_unary(
            f"/{grpc_client.SERVICE}/ServerLive"
        )
        assert live(b"", timeout=20) == b"\x08\x01"
    with serving(tmp_path, "subjects.py:Double", "--grpc-port", "-1") as server:
        assert "grpc" not in server.info
        channel = grpc.insecure_channel(f"127.0.0.1:{server.port}")
        live = channel.unary_unary(f"/{grpc_client.SERVICE}/ServerLive")
        assert refusal(lambda: live(b"", timeout=20))[0] == "UNAVAILABLE"
        channel.close()


@pytest.mark.parametrize("flags", [(), ("--grpc-port", "0"), ("--gateways", "2")])
def test_a_server_that_ends_answers_what_it_has_and_sends_clients_elsewhere(
    tmp_path: Path, flags: tuple[str, ...]
) -> None:
    shutil.copy(SUBJECTS, tmp_path / "subjects.py")
    with serving(tmp_path, "subjects.py:Gate", "--workers", "1", *flags) as server:
        client = connected(server.info["grpc"])
        ask = client.channel.unary_unary(f"/{grpc_client.SERVICE}/ModelInfer")
        question = client.question("subjects", text=["last"], until=["open"]).SerializeToString()
        under_way = [ask.future(question, timeout=60) for _ in range(3)]
        watch = client.channel.unary_stream("/grpc.health.v1.Health/Watch")(b"", timeout=60)
        assert next(watch) == b"\x08\x01"
        server.wait_for_line("entered.txt", "last")
        server.send_signal(signal.SIGTERM)
        with pytest.raises(grpc.RpcError):
            list(watch)  # not serving any more, and then gone
        server.path("open").touch()
        response = client.message("inference.ModelInferResponse")
        assert [texts_of(response.FromString(a.result())) for a in under_way] == [["LAST"]] * 3
        assert server.wait() == 0


def test_a_worker_that_dies_is_told_or_repaired(client: Client, server: Server) -> None:
    question = client.question("gate", text=["poison"], until=[""])
    code, _ = refusal(lambda: client.method("ModelInfer")(question))
    assert code == "INTERNAL"
    wait_until(lambda: client.method("ModelReady")({"name": "gate"}).ready, "it is repaired")


def test_questions_and_answers_of_many_threads_do_not_meet(server: Server) -> None:
    problems: list[Any] = []

    def work(first: int) -> None:
        client = connected(server.info["grpc"])
        ask = client.method("ModelInfer")
        for number in range(first, first + 50):
            answer = ask(client.question("double", str(number), numbers=[[float(number)] * 4]))
            if answer.id != str(number) or numbers_of(answer, "f") != (2.0 * number,) * 4:
                problems.append(answer)
        client.channel.close()

    threads = [threading.Thread(target=work, args=(n * 1000,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems
