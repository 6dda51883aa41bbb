"""What the author tests."""

import numpy as np
import pytest
from embeddings import Embeddings

import headway as hw

TEXTS = [
    "The film was a delight.",
    "I enjoyed every minute of that movie.",
    "The invoice is due on Friday.",
    "",
    "word " * 400,
]


@pytest.fixture(scope="module")
def model() -> Embeddings:
    """A model that has loaded."""
    made = Embeddings()
    made.load()
    return made


def test_vectors_have_length_one(model: Embeddings) -> None:
    vectors = model.predict(TEXTS)
    assert vectors.shape == (len(TEXTS), 384)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)


def test_what_means_the_same_is_nearer_than_what_does_not(model: Embeddings) -> None:
    delight, enjoyed, invoice = model.predict(TEXTS[:3])
    assert delight @ enjoyed > 0.5
    assert delight @ invoice < 0.2


def test_a_vector_does_not_depend_on_the_texts_beside_it(model: Embeddings) -> None:
    together = model.predict(TEXTS * 5)
    alone = np.concatenate([model.predict([text]) for text in TEXTS])
    assert np.abs(together - np.tile(alone, (5, 1))).max() < 1e-5


def test_a_request_is_answered_as_a_call_is(model: Embeddings) -> None:
    with hw.load(Embeddings) as ask:
        assert ask(text=TEXTS[0]) == pytest.approx(model.predict(TEXTS[:1])[0].tolist(), abs=1e-6)
