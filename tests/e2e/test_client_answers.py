"""`headway.Client` and `AsyncClient` ask a real server: values, refusals, files, arrays, streams."""

import asyncio
import io
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trustme
from asked import asked, write_project
from PIL import Image
from serving import Server, serving, wait_until

import headway as hw
from headway import AsyncClient, Client, errors

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, str]]:
    with asked(tmp_path_factory.mktemp("served")) as found:
        yield found


@pytest.fixture
def client(served: tuple[Server, str]) -> Iterator[Client]:
    with Client(served[1]) as client:
        yield client


def test_the_line_of_the_readme_works(served: tuple[Server, str]) -> None:
    code = f"from headway import Client; print(Client({served[1]!r}).echo(text='fine'))"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stdout, done.stderr, done.returncode) == ("fine\n", "", 0)


def test_a_model_is_asked_by_attribute_by_name_and_by_a_call(client: Client) -> None:
    assert client.echo(text="a", times=2) == "aa"
    assert client("echo", text="a", tone="high") == "A"
    assert client.model("echo", version="1")(text="b") == "b"


def test_a_dash_in_a_name_is_an_underscore_in_python(client: Client) -> None:
    assert client.add_up(pixels=[[1, 2, 3, 4]]) == [1, 2, 3, 4]
    with pytest.raises(errors.UnknownModel, match="add_upp"):
        client.add_upp(pixels=[])


def test_what_the_server_tells_of_itself(client: Client) -> None:
    assert {m["name"] for m in client.models()} >= {"echo", "add-up"}
    assert client.ready()
    assert client.echo.ready()
    assert client.schema("echo")["examples"] == [{"text": "hello"}]
    with Client("http://127.0.0.1:9", retries=0) as nobody:
        assert not nobody.ready()


@pytest.mark.parametrize(
    ("model", "inputs", "words"),
    [
        ("echo", {"txt": "a"}, "echo takes no `txt`; did you mean `text`?"),
        ("echo", {"self": "a"}, "echo takes no `self`"),
        ("echo", {}, "echo needs `text`; it takes `text`, `times`, `tone`"),
        ("echo", {"text": 5}, "`text`: expected text, found int"),
        ("echo", {"text": b"a"}, "`text`: expected text, found bytes"),
        ("echo", {"text": "a", "tone": "hihg"}, "did you mean 'high'?"),
        ("echo", {"text": "a", "times": None}, "`times`: expected a integer, found None"),
        ("size", {"picture": 5}, "`picture`: expected a file"),
        ("size", {"picture": Path("not-there.png")}, "not-there.png"),
    ],
)
def test_a_wrong_argument_is_told_before_it_is_sent(
    served: tuple[Server, str], client: Client, model: str, inputs: dict[str, Any], words: str
) -> None:
    client.schema(model)
    before = served[0].metric("requests_total", model=model)
    with pytest.raises(errors.BadInput) as told:
        client(model, **inputs)
    assert words in told.value.message
    assert served[0].metric("requests_total", model=model) == before


def test_an_error_is_the_one_that_the_server_raised(client: Client) -> None:
    with pytest.raises(errors.Rejected, match="not said here") as told:
        client.model("echo", headers={"x-request-id": "mine"})(text="no")
    assert (told.value.fields["status"], told.value.fields["request_id"]) == (400, "mine")
    assert told.value.code == "rejected"
    with pytest.raises(errors.UnknownVersion):
        client.model("echo", version="9")(text="a")
    with pytest.raises(errors.BadInput):
        client.locate(place={"x": "far"})


def test_rows_are_answered_in_order_and_a_bad_one_may_stand_for_itself(client: Client) -> None:
    rows = [{"text": "a"}, {"text": "no"}, {"text": "c"}]
    with pytest.raises(errors.Rejected, match="row 1"):
        client.echo.batch(rows)
    first, second, third = client.echo.batch(rows, errors="item")
    assert (first, third) == ("a", "c")
    assert isinstance(second, errors.Rejected)
    assert client.echo.batch([]) == []
    with pytest.raises(errors.BadInput, match="row 1: echo takes no `tex`"):
        client.echo.batch([{"text": "a"}, {"tex": "b"}])


@dataclass
class Place:
    x: float
    y: float


def test_dataclasses_and_numbers_of_numpy_are_values(client: Client) -> None:
    wanted = {"kind": "near", "place": {"x": 0.25, "y": 0.5}, "tags": ["a"]}
    assert client.locate(place=Place(0.25, 0.5), tags=("a",)) == wanted
    assert client.locate(place={"x": np.float64(0.25), "y": 0.5}, note="a") == wanted
    assert client.echo(text="a", times=np.int64(2)) == "aa"


def test_files_are_bytes_paths_pictures_or_base64(client: Client, tmp_path: Path) -> None:
    picture = Image.new("RGB", (3, 2))
    out = io.BytesIO()
    picture.save(out, "PNG")
    (tmp_path / "a.png").write_bytes(out.getvalue())
    for form in (picture, out.getvalue(), tmp_path / "a.png"):
        assert client.size(picture=form) == [3, 2]
    assert client.count(data=b"\0\xff1") == 3
    assert client.count(data="AP8x") == 3


@pytest.mark.parametrize("rows", [1, 500])
def test_arrays_small_and_large_have_the_same_answer(client: Client, rows: int) -> None:
    pixels = np.arange(rows * 4, dtype=np.float32).reshape(rows, 4) / 3
    as_json = client.add_up(pixels=pixels.tolist(), scale=0.5)
    assert client.add_up(pixels=pixels, scale=0.5) == as_json
    assert client.add_up(pixels=pixels.astype(np.float64), scale=0.5) == as_json
    assert isinstance(as_json[0], float)


@pytest.mark.parametrize("odd", [float("nan"), float("inf")])
def test_what_json_can_not_hold_is_sent_in_arrays_of_any_size(client: Client, odd: float) -> None:
    for rows in (1, 500):
        pixels = np.ones((rows, 4), np.float32)
        pixels[0, 1] = odd
        np.testing.assert_equal(client.add_up(pixels=pixels), [rows, odd, rows, rows])


def test_an_open_file_is_no_file_and_says_what_is(client: Client, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"a")
    told = "`data`: expected a file: its bytes, a Path, a picture or base64, found BufferedReader"
    with (tmp_path / "a").open("rb") as file, pytest.raises(errors.BadInput, match=told):
        client.count(data=file)


def test_whole_batches_travel_as_arrays_both_ways(client: Client) -> None:
    pixels = np.random.default_rng(1).random((64, 5, 4), np.float32)
    answer = client.add_up.arrays(pixels=pixels, scale=np.full(64, 2.0))
    assert list(answer) == ["output"]
    assert answer["output"].dtype == np.float32
    np.testing.assert_allclose(answer["output"], pixels.sum(axis=1) * 2, rtol=1e-5)
    with pytest.raises(errors.BadInput, match="lose"):
        client.add_up.arrays(pixels=pixels.astype(complex), scale=np.full(64, 2.0))
    with pytest.raises(errors.BadInput, match="no array"):
        client.echo.arrays(text=["a"])
    with pytest.raises(errors.CallerError):
        client.add_up.arrays(pixels=pixels[0, 0], scale=np.full(64, 2.0))


def test_a_stream_comes_piece_by_piece_and_as_a_list(client: Client) -> None:
    assert list(client.stream("story", prompt="a")) == ["a 0", "a 1", "a 2"]
    assert client.story(prompt="b", most=2) == ["b 0", "b 1"]
    with pytest.raises(errors.BadInput, match="does not stream"):
        client.stream("echo", text="a")
    with pytest.raises(errors.BadInput, match="did you mean `prompt`"):
        client.stream("story", promt="a")


def test_an_error_at_the_end_of_a_stream_is_raised_after_its_items(client: Client) -> None:
    stream = client.stream("story", prompt="break")
    seen = [next(stream), next(stream)]
    with pytest.raises(errors.ModelFailed) as told:
        next(stream)
    assert seen == ["break 0", "break 1"]
    assert "secret" not in str(told.value)
    assert client.echo(text="after") == "after"


def test_a_stream_that_is_closed_early_is_cancelled(
    served: tuple[Server, str], client: Client
) -> None:
    stream = client.stream("story", prompt="early", most=10_000, wait_s=0.01)
    assert next(stream) == "early 0"
    stream.close()
    served[0].wait_for_line("told.txt", "early")
    with client.story.stream(prompt="left", most=10_000, wait_s=0.01) as left:
        next(left)
    served[0].wait_for_line("told.txt", "left")


def test_a_deadline_is_held_by_the_client_too(client: Client) -> None:
    client.schema("slow")
    with pytest.raises(errors.DeadlineError):
        client.model("slow", timeout_s=0.2)(number=1, wait_s=2.0)
    assert client.echo(text="a") == "a"


async def ask_all(url: str) -> None:
    async with AsyncClient(url) as client:
        assert await client.echo(text="a") == "a"
        assert await client("echo", text="a") == "a"
        assert await client.ready()
        assert await client.echo.ready()
        assert {m["name"] for m in await client.models()} >= {"echo"}
        assert (await client.schema("echo"))["name"] == "echo"
        assert await client.echo.batch([{"text": "a"}, {"text": "b"}]) == ["a", "b"]
        assert [item async for item in client.stream("story", prompt="x")] == ["x 0", "x 1", "x 2"]
        assert await client.add_up(pixels=np.ones((400, 4), np.float32)) == [400.0] * 4
        answer = await client.add_up.arrays(pixels=np.ones((2, 3, 4), np.float32), scale=[1.0, 1.0])
        assert answer["output"].tolist() == [[3.0] * 4] * 2
        with pytest.raises(errors.Rejected):
            await client.echo(text="no")


def test_the_asynchronous_client_asks_the_same(served: tuple[Server, str]) -> None:
    asyncio.run(ask_all(served[1]))


def test_one_asynchronous_client_lives_in_one_loop_after_another(
    served: tuple[Server, str],
) -> None:
    client = AsyncClient(served[1])

    async def once() -> Any:
        try:
            return await client.echo(text="a")
        finally:
            await client.close()

    assert [asyncio.run(once()) for _ in range(3)] == ["a"] * 3


def test_500_tasks_share_the_connections(served: tuple[Server, str]) -> None:
    async def ask() -> list[Any]:
        async with AsyncClient(served[1], max_connections=20) as client:
            asks = (client.echo(text=str(i)) for i in range(500))
            return await asyncio.gather(*asks)

    before = served[0].metric("connections_total")
    assert asyncio.run(ask()) == [str(i) for i in range(500)]
    assert served[0].metric("connections_total") - before <= 20 + 2


def test_a_task_that_is_cancelled_leaves_the_server(served: tuple[Server, str]) -> None:
    server, url = served

    async def ask() -> None:
        async with AsyncClient(url) as client:
            await client.schema("story")
            told = client.stream("story", prompt="cancelled", most=10_000, wait_s=0.01)
            assert await anext(told) == "cancelled 0"

            async def read_on() -> None:
                async for _ in told:
                    pass

            task = asyncio.create_task(read_on())
            await asyncio.sleep(0.05)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await client.echo(text="a") == "a"

    asyncio.run(ask())
    server.wait_for_line("told.txt", "cancelled")


def test_a_unix_socket_and_a_key(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "headway", "key"], capture_output=True, text=True, check=True
    )
    (tmp_path / "keys.txt").write_text(done.stdout)
    key = done.stderr.split()[-1]
    write_project(tmp_path, ["echo"])
    path = tmp_path / "h.sock"
    with serving(tmp_path, ".", "--unix", str(path), "--key-file", "keys.txt"):
        with Client(f"http+unix://{path}", key=key) as client:
            assert client.echo(text="a") == "a"
        with (
            Client(f"http+unix://{path}", key="wrong") as client,
            pytest.raises(errors.Unauthorized),
        ):
            client.echo(text="a")

        async def ask() -> Any:
            async with AsyncClient(f"http+unix://{path}", key=key) as client:
                return await client.echo(text="a")

        assert asyncio.run(ask()) == "a"


def test_the_key_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADWAY_KEY", "hw_of_the_environment")
    asker = Client("http://127.0.0.1:9")._caller.asker
    assert asker._key == (("authorization", "Bearer hw_of_the_environment"),)


def test_tls_is_checked(tmp_path: Path) -> None:
    authority, other = trustme.CA(), trustme.CA()
    issued = authority.issue_cert("127.0.0.1", "localhost")
    issued.cert_chain_pems[0].write_to_path(tmp_path / "chain.pem")
    issued.private_key_pem.write_to_path(tmp_path / "key.pem")
    for name, ca in (("ca", authority), ("other", other)):
        ca.cert_pem.write_to_path(tmp_path / f"{name}.pem")
    write_project(tmp_path, ["echo"])
    flags = ("--tls-certificate", "chain.pem", "--tls-key", "key.pem")
    with serving(tmp_path, ".", *flags) as server:
        url = f"https://127.0.0.1:{server.port}"
        with Client(url, verify=str(tmp_path / "ca.pem")) as client:
            assert [client.echo(text="a") for _ in range(3)] == ["a"] * 3
        with Client(url, verify=False) as client:
            assert client.echo(text="a") == "a"
        with (
            Client(url, verify=str(tmp_path / "other.pem"), retries=0) as client,
            pytest.raises(errors.Unreachable, match="certificate"),
        ):
            client.echo(text="a")

        async def ask() -> Any:
            async with AsyncClient(url, verify=str(tmp_path / "ca.pem")) as client:
                return await client.echo(text="a")

        assert asyncio.run(ask()) == "a"


def test_a_model_that_changes_is_looked_at_anew(tmp_path: Path) -> None:
    source = tmp_path / "shout.py"
    source.write_text("def shout(text: str) -> str:\n    return text\n")
    with serving(tmp_path, "shout.py") as server:
        client = Client(f"http://127.0.0.1:{server.port}")
        assert client.shout(text="a") == "a"
        source.write_text("def shout(text: str, times: int) -> str:\n    return text * times\n")
        old = server.workers("shout")
        assert server.admin("POST", "/reload").status == 202
        wait_until(lambda: "times" in server.call("GET", "/models/shout").body.decode(), "reloaded")
        wait_until(lambda: not {*old} & {*server.workers("shout")}, "the old workers have left")
        known = client._caller._known["shout", ""]
        wait_until(lambda: client._caller.asker.now() - known.known_at > 1.0, "a second has passed")
        assert client.shout(text="a", times=2) == "aa"
        client.close()


def test_the_public_names_are_there() -> None:
    assert hw.Client is Client
    assert hw.AsyncClient is AsyncClient
