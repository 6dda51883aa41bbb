"""Tell whether an English sentence is positive."""

import headway as hw


class Sentiment(hw.Predictor):
    """Tell whether an English sentence is positive."""

    examples = ({"text": "A joy from start to end."}, {"text": "I want my money back."})

    def load(self) -> None:
        """Open the pipeline once in each worker."""
        self.pipeline = self.open_model("sentiment.skops").native

    def predict(self, text: hw.Batch[str]) -> hw.Batch[dict[str, float] | hw.Reject]:
        """Give the chance that each sentence is negative, and positive; an empty one is refused."""
        scores = self.pipeline.predict_proba(text)
        return [
            {"negative": no, "positive": yes} if sentence.strip() else hw.Reject("text is empty")
            for sentence, (no, yes) in zip(text, scores.tolist(), strict=True)
        ]
