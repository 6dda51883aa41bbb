"""Make the weights: a tiny text pipeline."""

# pyright: basic

import skops.io
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

GOOD = ["a joy from start to end", "what a joy", "i love it", "a great film", "wonderful"]
BAD = ["i want my money back", "what a waste", "i hate it", "a dull film", "terrible"]

if __name__ == "__main__":
    pipeline = make_pipeline(TfidfVectorizer(), LogisticRegression(C=100))
    pipeline.fit(GOOD + BAD, [1] * len(GOOD) + [0] * len(BAD))
    skops.io.dump(pipeline, "sentiment.skops")
