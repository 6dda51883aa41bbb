"""Every example: its weights can be made, its author's tests pass, and it answers when served.

Real processes only. The weights are made once, by `examples/prepare.py`, where they are missing.
"""

import base64
import json
import math
import select
import signal
import struct
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
import wave
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from example_runs import EXAMPLES, author_tests, check, prepare
from websockets.sync.client import connect

NAMES = ("sentiment", "digits", "filetype", "diabetes", "heart", "ocr", "voice")
START_TIMEOUT_S = 120
STOP_TIMEOUT_S = 40
ANSWER_TIMEOUT_S = 30

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="session", autouse=True)
def prepared() -> None:
    """What the examples' folders need besides what is committed."""
    done = prepare()
    assert done.returncode == 0, done.stderr


class Service:
    """A running `headway serve`."""

    def __init__(self, process: "subprocess.Popen[str]", url: str) -> None:
        self.process = process
        self.url = url

    def post(
        self, path: str, body: bytes, headers: Mapping[str, str] | None = None
    ) -> tuple[int, Any]:
        """Ask; gives the status and the JSON of the answer."""
        request = urllib.request.Request(
            self.url + path, body, {"content-type": "application/json", **(headers or {})}
        )
        try:
            with urllib.request.urlopen(request, timeout=ANSWER_TIMEOUT_S) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)

    def ask(self, path: str, question: Any) -> Any:
        """Ask in JSON; the answer must be 200."""
        status, answer = self.post(path, json.dumps(question).encode())
        assert status == 200, answer
        return answer

    def stop(self) -> int:
        """Send SIGTERM and wait; gives the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_TIMEOUT_S)


@contextmanager
def serving(target: Path) -> Iterator[Service]:
    """Serve a target on a free port until the block ends."""
    command = [sys.executable, "-m", "headway", "serve", str(target), "--port", "0"]
    with (
        tempfile.TemporaryFile("w+") as log,
        subprocess.Popen(
            [*command, "--drain-delay-s", "0"], stdout=subprocess.PIPE, stderr=log, text=True
        ) as process,
    ):
        try:
            yield Service(process, read_address(process))
        except BaseException:
            log.seek(0)
            sys.stderr.write(log.read())
            raise
        finally:
            if process.poll() is None:
                process.kill()


def read_address(process: "subprocess.Popen[str]") -> str:
    """The HTTP address in the ready line, the first one on standard output."""
    assert process.stdout is not None
    is_readable, _, _ = select.select([process.stdout], [], [], START_TIMEOUT_S)
    assert is_readable, f"not ready within {START_TIMEOUT_S} s"
    line = process.stdout.readline()
    assert line, f"ended before it was ready: {process.wait(STOP_TIMEOUT_S)}"
    address = json.loads(line)["http"]
    assert isinstance(address, str)
    return address


def question_of(name: str) -> Any:
    """The real input that lies beside each example."""
    return json.loads((EXAMPLES / name / "question.json").read_bytes())


def ask_sentiment(service: Service) -> None:
    assert service.ask("/models/sentiment/predict", question_of("sentiment"))["positive"] > 0.7

    answers = service.ask(
        "/models/sentiment/predict",
        [{"text": "I want my money back."}, {"text": "What a wonderful film!"}],
    )
    assert [max(answer, key=answer.get) for answer in answers] == ["negative", "positive"]

    status, error = service.post("/models/sentiment/predict", b'{"text": "  "}')
    assert status == 400
    assert "text is empty" in json.dumps(error)

    data = ["Dull and far too long.", "I love it, it is great."]
    tensor = {"name": "text", "datatype": "BYTES", "shape": [2], "data": data}
    (output,) = service.ask("/v2/models/sentiment/infer", {"inputs": [tensor]})["outputs"]
    assert (output["datatype"], output["shape"]) == ("BYTES", [2])
    rows = [json.loads(row) for row in output["data"]]
    assert [max(row, key=row.get) for row in rows] == ["negative", "positive"]


def ask_digits(service: Service) -> None:
    pixels = question_of("digits")["pixels"]
    alone = service.ask("/models/digits/predict", {"pixels": pixels})
    assert alone.index(max(alone)) == 7
    assert math.isclose(sum(alone), 1, abs_tol=1e-4)

    flat = [float(value) for row in pixels[0] for value in row]
    tensor = {"name": "pixels", "datatype": "FP32", "shape": [2, 1, 28, 28], "data": flat * 2}
    (output,) = service.ask("/v2/models/digits/infer", {"inputs": [tensor]})["outputs"]
    assert (output["datatype"], output["shape"]) == ("FP32", [2, 10])
    assert output["data"] == pytest.approx(alone * 2, abs=1e-5)

    status, _ = service.post("/models/digits/predict", b'{"pixels": [[1, 2], [3, 4]]}')
    assert status == 400


def ask_filetype(service: Service) -> None:
    picture = base64.b64decode(question_of("filetype")["content"])
    alone = service.ask("/models/filetype/predict", question_of("filetype"))
    assert (alone["label"], alone["mime"]) == ("png", "image/png")

    status, answer = service.post(
        "/models/filetype/predict", picture, {"content-type": "application/octet-stream"}
    )
    assert (status, answer) == (200, alone)

    content = struct.pack("<I", len(picture)) + picture
    parameters = {"binary_data_size": len(content)}
    tensor = {"name": "content", "datatype": "BYTES", "shape": [1], "parameters": parameters}
    head = json.dumps({"inputs": [tensor]}).encode()
    status, answer = service.post(
        "/v2/models/filetype/infer",
        head + content,
        {
            "content-type": "application/octet-stream",
            "inference-header-content-length": str(len(head)),
        },
    )
    assert status == 200, answer
    found = {output["name"]: output["data"] for output in answer["outputs"]}
    assert found["label"] == ["png"]
    assert found["score"] == pytest.approx([alone["score"]])


def ask_diabetes(service: Service) -> None:
    question = question_of("diabetes")
    ill, well = service.ask("/models/diabetes/predict", question)
    assert ill > well

    flat = [number for row in question for number in row["features"]]
    tensor = {"name": "features", "datatype": "FP64", "shape": [2, 10], "data": flat}
    (output,) = service.ask("/v2/models/diabetes/infer", {"inputs": [tensor]})["outputs"]
    assert output["data"] == pytest.approx([ill, well])


def ask_heart(service: Service) -> None:
    question = question_of("heart")
    sick, well = service.ask("/models/heart/predict", question)
    assert sick["narrowed"] > 0.9
    assert well["narrowed"] < 0.1

    columns = {"age": "FP64", "sex": "BYTES", "chest_pain": "BYTES", "rest_blood_pressure": "FP64"}
    columns |= {"cholesterol": "FP64", "has_high_blood_sugar": "BOOL", "rest_ecg": "BYTES"}
    columns |= {"max_heart_rate": "FP64", "has_angina_by_exercise": "BOOL"}
    columns |= {"st_depression": "FP64", "st_slope": "BYTES"}
    inputs = [
        {"name": name, "datatype": kind, "shape": [2], "data": [row[name] for row in question]}
        for name, kind in columns.items()
    ]
    outputs = service.ask("/v2/models/heart/infer", {"inputs": inputs})["outputs"]
    found = {output["name"]: output["data"] for output in outputs}
    assert found["narrowed"][1] == pytest.approx(well["narrowed"])
    assert found["narrowed"][0] < sick["narrowed"], "without what was left out here"

    status, error = service.post(
        "/models/heart/predict", json.dumps([{**question[0], "age": 3}]).encode()
    )
    assert status == 400
    assert "age" in error["error"]


def ask_ocr(service: Service) -> None:
    picture = (EXAMPLES / "ocr" / "receipt.png").read_bytes()
    status, page = service.post("/models/ocr/predict", picture, {"content-type": "image/png"})
    assert status == 200, page
    first = page["lines"][0]
    assert first["text"] == "CORNER BAKERY"
    assert "Thank you, come again!" in [line["text"] for line in page["lines"]]

    text = base64.b64encode(picture).decode()
    sure = service.ask("/models/ocr/predict", {"picture": text, "min_score": 0.999})
    assert sure["lines"] == [line for line in page["lines"] if line["score"] >= 0.999]

    status, error = service.post(
        "/models/ocr/predict", picture[:500], {"content-type": "image/png"}
    )
    assert (status, error["code"]) == (400, "bad_input")


def ask_voice(service: Service) -> None:
    with wave.open(str(EXAMPLES / "voice" / "speech.wav")) as sound:
        rate, content = sound.getframerate(), sound.readframes(sound.getnframes())
    chunks = [content[at : at + 6400] for at in range(0, len(content), 6400)]
    chunk_s = 6400 / 2 / rate
    url = service.url.replace("http:", "ws:") + "/models/voice/stream"
    with connect(url + "?pause_s=0.2", compression=None) as client:
        turns, sent_s = [], []
        for i, chunk in enumerate(chunks):
            client.send(chunk)
            if i == 4:  # a second has been sent, and no more until the answer is here
                turns.append(json.loads(client.recv(timeout=ANSWER_TIMEOUT_S)))
                sent_s.append((i + 1) * chunk_s)
        client.send("")
        turns += [json.loads(told) for told in client]
    assert client.close_code == 1000
    assert turns[0]["at_s"] < sent_s[0], "told while the sound goes on"
    assert [turn["event"] for turn in turns] == ["begin", "end"] * (len(turns) // 2)
    assert len(turns) >= 6

    numbers = [list(struct.unpack(f"<{len(chunk) // 2}h", chunk)) for chunk in chunks]
    request = urllib.request.Request(
        service.url + "/models/voice/predict",
        json.dumps({"chunks": numbers, "pause_s": 0.2}).encode(),
        {"content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=ANSWER_TIMEOUT_S) as answer:
        assert [json.loads(line) for line in answer] == turns, "all at once is answered the same"

    status, error = service.post("/models/voice/predict", b'{"chunks": [[40000]]}')
    assert (status, error["code"]) == (400, "bad_input")


ASK: Mapping[str, Callable[[Service], None]] = {
    "sentiment": ask_sentiment,
    "digits": ask_digits,
    "filetype": ask_filetype,
    "diabetes": ask_diabetes,
    "heart": ask_heart,
    "ocr": ask_ocr,
    "voice": ask_voice,
}


@pytest.mark.parametrize("name", NAMES)
def test_the_tests_of_an_example_pass_as_its_author_runs_them(name: str) -> None:
    done = author_tests(name)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", NAMES)
def test_an_example_gives_its_accepted_answers_in_every_form(name: str) -> None:
    done = check(name)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "not accepted" not in done.stdout
    assert "nothing is accepted" not in done.stdout


@pytest.mark.parametrize("name", NAMES)
def test_an_example_served_alone_answers_and_ends_when_told_to(name: str) -> None:
    with serving(EXAMPLES / name) as service:
        ASK[name](service)
        assert service.stop() == 0


def test_all_examples_are_served_together_and_end_when_told_to() -> None:
    with serving(EXAMPLES) as service:
        for ask in ASK.values():
            ask(service)
        assert service.stop() == 0


def test_preparing_again_leaves_what_is_there_alone() -> None:
    made = [
        p
        for name in NAMES
        for p in EXAMPLES.glob(f"{name}/*")
        if p.suffix in (".skops", ".onnx", ".lgb")
    ]
    before = {path: path.stat().st_mtime_ns for path in made}
    assert {path.parent.name for path in made} == set(NAMES)
    done = prepare()
    assert done.returncode == 0
    assert done.stderr.splitlines() == [f"{name}: ready" for name in NAMES]
    assert {path: path.stat().st_mtime_ns for path in made} == before


def test_preparing_an_unknown_example_names_the_known_ones() -> None:
    done = prepare("sentimnet")
    assert done.returncode == 2
    assert "'sentimnet'" in done.stderr
    assert ", ".join(NAMES) in done.stderr
