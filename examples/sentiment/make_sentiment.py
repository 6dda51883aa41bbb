"""Train the sentiment pipeline on sentences that people have rated, and test it on unseen ones.

The sentences come from the source archive of vaderSentiment (MIT): film and product reviews, tweets
and editorials, each with the mean of twenty or more ratings from -4 to 4. Run by
`examples/prepare.py`.
"""

import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import skops.io
from packages import PrepareError, download, publish, read_tar
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline, make_pipeline, make_union

REQUIREMENT = "vaderSentiment==3.3.2"
SDIST_SHA256 = "5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9"
ARCHIVE = "hutto_ICWSM_2014.tar.gz"
ARCHIVE_SHA256 = "d5bb07d87474b3eb8d30b4deccbc23f19d742a6c5718fbacc65485b70b95c5fa"
FILES = {
    "movieReviewSnippets_GroundTruth.txt": (
        "c8293b0d942e90e223ea2c0955d969040d1a1be514a978b9af0698940bd13350"
    ),
    "amazonReviewSnippets_GroundTruth.txt": (
        "11a9807a0974a2506a2d3b4851eaf69b3d6d20688ce4923adda2312a4f6dd6c2"
    ),
    "tweets_GroundTruth.txt": "dfbe7102e2f92579ed8b19df9a3822491880697c67adf712fb66e520cc05102f",
    "nytEditorialSnippets_GroundTruth.txt": (
        "7d8fbcce7dde5d716da53e78f4ef4be6b706e9ef1e1d51887e6d0ad4b69cc27e"
    ),
}
UNDECIDED = 0.5
"""Sentences whose mean rating is nearer to zero than this are left out, of the test as well."""
LEAST_ACCURACY = 0.78


@dataclass(frozen=True)
class Rated:
    """One sentence, where it is from and what its readers said."""

    source: str
    text: str
    is_positive: bool


def make(folder: Path, scratch: Path, say: Callable[[str], None]) -> None:
    """Write `sentiment.skops`.

    Raises:
        PrepareError: the data could not be had, or the trained pipeline is not good enough.
    """
    say(f"downloading {REQUIREMENT}")
    rated = read_rated(download(REQUIREMENT, scratch, sdist_sha256=SDIST_SHA256))
    train, test = train_test_split(
        rated, test_size=0.2, random_state=0, stratify=[(r.source, r.is_positive) for r in rated]
    )
    say(f"training on {len(train)} sentences")
    pipeline = fit(train)
    accuracy = accuracy_of(pipeline, test)
    say(f"accuracy on {len(test)} held-out sentences: {accuracy:.3f} ({by_source(pipeline, test)})")
    if accuracy < LEAST_ACCURACY:
        raise PrepareError(f"an accuracy of {accuracy:.3f} is below {LEAST_ACCURACY}; not written")
    content = skops.io.dumps(pipeline, compression=zipfile.ZIP_DEFLATED)
    publish(folder / "sentiment.skops", content)


def read_rated(sdist: Path) -> list[Rated]:
    """Read the decided sentences, each text once: an equal one in train and test would flatter."""
    ((_, archive),) = read_tar(sdist, {ARCHIVE: ARCHIVE_SHA256})
    rated: dict[str, Rated] = {}
    for name, content in read_tar(archive, FILES):
        for line in content.decode().split("\r\n"):
            _, rating, text = line.split("\t", 2) if line else ("", "0", "")
            if abs(float(rating)) >= UNDECIDED:
                source = name.partition("_")[0]
                rated.setdefault(text.strip().lower(), Rated(source, text, float(rating) > 0))
    return list(rated.values())


def fit(rated: Sequence[Rated]) -> Pipeline:
    """Train on words and pairs of words, beside pieces of words for what is misspelt or new."""
    words = TfidfVectorizer(ngram_range=(1, 2), max_features=20_000, sublinear_tf=True)
    pieces = TfidfVectorizer(
        analyzer="char_wb", ngram_range=(2, 5), max_features=20_000, sublinear_tf=True
    )
    pipeline = make_pipeline(make_union(words, pieces), LogisticRegression(C=4, max_iter=1000))
    pipeline.fit([r.text for r in rated], [r.is_positive for r in rated])
    for vectorizer in (words, pieces):
        # numpy's integers would be stored as a file each: ten times the size and the time to open
        vectorizer.vocabulary_ = {term: int(i) for term, i in vectorizer.vocabulary_.items()}
    return pipeline


def accuracy_of(pipeline: Pipeline, rated: Sequence[Rated]) -> float:
    """Tell the share of sentences that are told rightly."""
    found = pipeline.predict([r.text for r in rated])
    return float((found == [r.is_positive for r in rated]).mean())


def by_source(pipeline: Pipeline, rated: Sequence[Rated]) -> str:
    """Say the accuracy on the sentences of each source."""
    sources = {r.source: [s for s in rated if s.source == r.source] for r in rated}
    return ", ".join(f"{s} {accuracy_of(pipeline, some):.3f}" for s, some in sources.items())
