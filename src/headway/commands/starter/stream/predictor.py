"""Go on with a story: each word is one that has followed the last in `story.txt`.

A generator streams: each word leaves when it is made. Replace the text by your own, or the class by
your model; what matters is `yield`.
"""

import random
from collections import defaultdict
from collections.abc import Iterator

import headway as hw


class Story(hw.Predictor):
    """Go on with a story, word by word."""

    examples = ({"prompt": "the old", "max_words": 5},)

    def load(self) -> None:
        """Note what follows each word."""
        words = self.path("story.txt").read_text(encoding="utf-8").split()
        self.followers: defaultdict[str, list[str]] = defaultdict(list)
        for word, follower in zip(words, words[1:] + words[:1], strict=True):
            self.followers[word].append(follower)

    def predict(
        self, prompt: str, context: hw.Context, max_words: int = 30, seed: int = 0
    ) -> Iterator[str]:
        """Answer one word after another; stop when nobody listens any more."""
        if not prompt.strip():
            raise hw.Reject("the prompt is empty")
        chance = random.Random(seed)  # noqa: S311  (a story, no secret)
        word = prompt.rsplit(maxsplit=1)[-1].lower()
        for _ in range(max_words):
            if context.cancelled:
                return
            word = chance.choice(self.followers.get(word) or sorted(self.followers))
            yield word
