"""Pictures, sounds and files over real HTTP: every way in gives the same answer."""

import base64
import io
import json
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import media_subjects
import numpy as np
import pytest
import soundfile
from PIL import Image
from serving import Answer, Server, serving

MODELS = ("Pictures", "Negative", "Sounds", "Quiet", "Files", "Albums", "Maybe")


class Red(BaseHTTPRequestHandler):
    """A place that has one picture."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(png())

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture(scope="module")
def web() -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Red)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, web: ThreadingHTTPServer) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("media")
    shutil.copy(media_subjects.__file__, folder / "subjects.py")
    lines = [f'  {n.lower()}: {{predictor: "subjects.py:{n}", workers: 1}}' for n in MODELS]
    lines += [
        '  fetching: {predictor: "subjects.py:Pictures", workers: 1, '
        f'fetch_urls: "http://127.0.0.1:{web.server_port}/pics/"}}'
    ]
    Path(folder / "headway.yaml").write_text("models:\n" + "\n".join(lines))
    with serving(folder) as server:
        yield server
        assert "Traceback" not in server.log


def png(size: tuple[int, int] = (3, 2)) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, "red").save(out, "PNG")
    return out.getvalue()


def wav(seconds: float = 0.1, rate: int = 8000) -> bytes:
    out = io.BytesIO()
    soundfile.write(out, np.full(int(rate * seconds), 0.5, np.float32), rate, format="WAV")
    return out.getvalue()


def text(content: bytes) -> str:
    return base64.b64encode(content).decode()


def post(server: Server, model: str, body: bytes, content_type: str) -> Answer:
    return server.call("POST", f"/models/{model}/predict", body, {"content-type": content_type})


def form(**parts: tuple[str, bytes] | str) -> tuple[bytes, str]:
    """A form as browsers write it."""
    pieces = []
    for name, value in parts.items():
        file, content = value if isinstance(value, tuple) else ("", value.encode())
        head = f'; filename="{file}"\r\nContent-Type: image/png' if file else ""
        pieces.append(
            f'--xyz\r\nContent-Disposition: form-data; name="{name}"{head}\r\n\r\n'.encode()
        )
        pieces += [content, b"\r\n"]
    return b"".join([*pieces, b"--xyz--\r\n"]), "multipart/form-data; boundary=xyz"


def infer(server: Server, model: str, name: str, content: bytes) -> Any:
    """Ask by V2, with binary data."""
    size = {"binary_data_size": len(content) + 4}
    tensor = {"name": name, "shape": [1], "datatype": "BYTES", "parameters": size}
    head = json.dumps({"inputs": [tensor]}).encode()
    body = head + len(content).to_bytes(4, "little") + content
    headers = {"inference-header-content-length": str(len(head))}
    answer = server.call("POST", f"/v2/models/{model}/infer", body, headers)
    assert answer.status == 200, answer
    return answer.json["outputs"][0]


@pytest.mark.parametrize(
    ("model", "content", "media", "answer"),
    [
        ("pictures", png(), "image/png", [2, 3, 3]),
        ("sounds", wav(), "audio/wav", 1600),
        ("maybe", png(), "image/png", "3x2"),
    ],
)
def test_every_way_in_gives_the_same_answer(
    server: Server, model: str, content: bytes, media: str, answer: Any
) -> None:
    name = "sound" if model == "sounds" else "photo"
    ways = [
        post(server, model, content, media),
        post(server, model, content, f"{media.partition('/')[0]}/x-other"),
        server.ask(model, {name: text(content)}),
        server.ask(model, {name: f"data:{media};base64,{text(content)}"}),
        post(server, model, *form(**{name: ("a.bin", content)})),
    ]
    assert [(w.status, w.json) for w in ways] == [(200, answer)] * len(ways)
    data = infer(server, model, name, content)["data"]
    assert data in ([answer], [json.dumps(answer)], [json.dumps(answer, separators=(",", ":"))])


def test_pictures_sounds_and_files_are_answered(server: Server) -> None:
    picture = base64.b64decode(post(server, "negative", png(), "image/png").json)
    assert Image.open(io.BytesIO(picture)).getpixel((0, 0)) == (0, 255, 255)
    samples, rate = soundfile.read(
        io.BytesIO(base64.b64decode(post(server, "quiet", wav(rate=16000), "audio/wav").json))
    )
    assert rate == 16000
    assert np.allclose(samples, 0.25, atol=1e-4)
    answer = post(server, "files", *form(file=("a b.txt", b"ab"), times="2"))
    assert answer.json == f"data:image/png;name=a%20b.txt;base64,{text(b'abab')}"
    assert (
        post(server, "files", b"ab", "application/zip").json == "data:application/zip;base64,YWI="
    )
    assert server.ask("maybe", {}).json == "none"


def test_a_struct_of_pictures_is_asked_and_answered(server: Server) -> None:
    photos = [text(png((3, 2))), text(png((5, 4)))]
    album = server.ask("albums", {"album": {"title": "t", "photos": photos}}).json
    sizes = [Image.open(io.BytesIO(base64.b64decode(p))).size for p in album["photos"]]
    assert (album["title"], sizes) == ("T", [(5, 4), (3, 2)])


def test_a_bad_row_fails_alone_with_its_place(server: Server) -> None:
    rows = [{"photo": text(png())}, {"photo": "Zm91cg=="}, {"photo": text(png((5, 4)))}]
    body = json.dumps(rows).encode()
    answers = server.call(
        "POST", "/models/pictures/predict?errors=item", body, {"content-type": "application/json"}
    ).json
    assert [a.get("output") for a in answers] == [[2, 3, 3], None, [4, 5, 3]]
    assert answers[1]["error"].startswith("input 'photo': picture: expected")
    refused = server.ask("pictures", rows)
    assert (refused.status, refused.code) == (400, "bad_input")
    assert "row 1" in refused.json["error"]


def test_a_url_is_got_only_where_the_configuration_allows_it(
    server: Server, web: ThreadingHTTPServer
) -> None:
    at = f"http://127.0.0.1:{web.server_port}"
    assert server.ask("fetching", {"photo": f"{at}/pics/red.png"}).json == [2, 3, 3]
    for model, url in (
        ("pictures", f"{at}/pics/red.png"),
        ("fetching", f"{at}/other/red.png"),
        ("fetching", "http://169.254.169.254/pics/"),
    ):
        answer = server.ask(model, {"photo": url})
        assert (answer.status, answer.code) == (400, "bad_input")


def test_the_page_and_openapi_know_the_new_kinds(server: Server) -> None:
    schema = server.call("GET", "/models/quiet").json["output_schema"]
    assert schema["contentMediaType"] == "audio/wav"
    paths = server.call("GET", "/openapi.json").json["paths"]
    content = paths["/models/pictures/predict"]["post"]["requestBody"]["content"]
    assert {"application/json", "multipart/form-data", "image/png", "image/jpeg"} <= set(content)
