"""Embeddings as OpenAI's own client asks for them, from a real server."""

from collections.abc import Iterator

import numpy as np
import openai
import pytest
from serving import Server, serving

pytestmark = pytest.mark.timeout(120)

PREDICTORS = '''
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

import headway as hw

Vectors = Annotated[NDArray[np.float32], hw.Tensor("float32", "batch", 3)]


def lengths(text: hw.Batch[str]) -> Vectors:
    """Letters, words, and what is not finite where there are none."""
    rows = [[len(t), len(t.split()), 0.1 if t else np.nan] for t in text]
    return np.asarray(rows, np.float32)


def listed(text: str) -> list[float]:
    return [float(len(text)), 0.1]


def shout(text: str) -> str:
    return text.upper()
'''
MODELS = ("lengths", "listed", "shout")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("openai")
    folder.joinpath("vectors.py").write_text(PREDICTORS)
    lines = [f'  {name}: {{predictor: "vectors.py:{name}", workers: 1}}' for name in MODELS]
    folder.joinpath("headway.yaml").write_text("models:\n" + "\n".join(lines))
    with serving(folder) as server:
        yield server
        assert "Traceback" not in server.log, server.log


@pytest.fixture
def client(server: Server) -> Iterator[openai.OpenAI]:
    address = f"http://127.0.0.1:{server.port}/v1"
    with openai.OpenAI(base_url=address, api_key="unused", max_retries=0) as client:
        yield client


def test_a_text_becomes_a_vector(client: openai.OpenAI) -> None:
    answer = client.embeddings.create(model="lengths", input="A joy, start to end.")
    (found,) = answer.data
    assert found.index == 0
    assert found.embedding == pytest.approx([20, 5, 0.1])
    assert (answer.model, answer.object) == ("lengths", "list")
    assert answer.usage.prompt_tokens == answer.usage.total_tokens == 5


@pytest.mark.parametrize("model", ["lengths", "listed"])
def test_both_encodings_hold_the_same_vectors_in_the_order_of_the_texts(
    client: openai.OpenAI, model: str
) -> None:
    texts = [f"text {'x' * n}" for n in range(9)]
    as_bytes = client.embeddings.create(model=model, input=texts)
    as_json = client.embeddings.create(model=model, input=texts, encoding_format="float")
    for i, (one, other) in enumerate(zip(as_bytes.data, as_json.data, strict=True)):
        assert one.index == other.index == i
        assert one.embedding == pytest.approx(other.embedding, rel=1e-7)
        assert one.embedding[0] == len(texts[i])


def test_what_is_not_finite_comes_in_base64_and_is_an_error_in_json(client: openai.OpenAI) -> None:
    (found,) = client.embeddings.create(model="lengths", input="").data
    assert np.isnan(found.embedding[2])
    with pytest.raises(openai.InternalServerError) as raised:
        client.embeddings.create(model="lengths", input="", encoding_format="float")
    assert raised.value.code == "bad_output"


def test_a_model_that_is_not_there_is_not_found(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as raised:
        client.embeddings.create(model="text-embedding-3-small", input="a")
    error = raised.value
    assert (error.code, error.type, error.param) == (
        "model_not_found",
        "invalid_request_error",
        "model",
    )
    assert error.request_id


def test_what_the_model_does_not_take_is_a_bad_request(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="turns a text into a list") as raised:
        client.embeddings.create(model="shout", input="a")
    assert raised.value.param == "model"
    with pytest.raises(openai.BadRequestError, match="tokens are each model's own") as raised:
        client.embeddings.create(model="lengths", input=[1, 2, 3])
    assert raised.value.param == "input"
    for model in ("lengths", "listed"):
        with pytest.raises(openai.BadRequestError, match="which the model has") as raised:
            client.embeddings.create(
                model=model, input="a", dimensions=2 if model == "lengths" else 3
            )
        assert raised.value.param == "dimensions"


def test_texts_of_one_request_share_a_batch(server: Server, client: openai.OpenAI) -> None:
    before = server.metric("executions_total", model="lengths")
    client.embeddings.create(model="lengths", input=["a", "b", "c", "d"])
    assert server.metric("executions_total", model="lengths") == before + 1
