"""Tell what a message is about, by what `samples.tsv` teaches.

Naive Bayes on words: small, quick to learn, a fair baseline. Replace the samples by your own, or
the whole class by your model; `headway serve` needs only `predict`.
"""

import math
import re
from collections import Counter, defaultdict

import headway as hw


class Topic(hw.Predictor):
    """Tell what a customer's message is about."""

    examples = (
        {"text": "my card was charged twice"},
        {"text": "the app crashes when I open it"},
    )

    def load(self) -> None:
        """Learn from the samples: a label, a tab and a text on each line."""
        self.words: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self.samples: Counter[str] = Counter()
        for line in self.path("samples.tsv").read_text(encoding="utf-8").splitlines():
            label, text = line.split("\t")
            self.samples[label] += 1
            self.words[label].update(_words(text))
        self.known = {word for counts in self.words.values() for word in counts}

    def predict(self, text: hw.Batch[str]) -> hw.Batch[dict[str, float] | hw.Reject]:
        """Answer a whole batch: each label's probability for each text."""
        return [self.topics(one) if one.strip() else hw.Reject("the text is empty") for one in text]

    def topics(self, text: str) -> dict[str, float]:
        """Weigh the labels for one text."""
        words = [word for word in _words(text) if word in self.known]
        scores = {label: self.score(label, words) for label in self.samples}
        top = max(scores.values())
        weights = {label: math.exp(score - top) for label, score in scores.items()}
        total = sum(weights.values())
        return {label: round(weight / total, 4) for label, weight in weights.items()}

    def score(self, label: str, words: list[str]) -> float:
        """How likely these words are under a label, as a logarithm, with add-one smoothing."""
        counts = self.words[label]
        total = counts.total() + len(self.known)
        prior = math.log(self.samples[label] / self.samples.total())
        return prior + sum(math.log((counts[word] + 1) / total) for word in words)


def _words(text: str) -> list[str]:
    return re.findall(r"[\w']+", text.lower())
