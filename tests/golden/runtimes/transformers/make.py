"""Write the golden folder anew, with the answers of the library's own pipeline.

`python tests/golden/runtimes/transformers/make.py`; a network with random weights, and a vocabulary of its own.
"""

import json
from importlib import import_module
from pathlib import Path

HERE = Path(__file__).parent
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = ["a", "bad", "book", "film", "good", "is", "not", "the", "this", "very", "##s", "!"]
LABELS = {0: "no", 1: "yes", 2: "perhaps"}
TEXTS = ["This is a very good film!", "not good", "the books"]


def write_tokenizer(folder: Path) -> None:
    """A WordPiece tokenizer as BERT has one."""
    tokenizers = import_module("tokenizers")
    vocabulary = {word: n for n, word in enumerate([*SPECIAL, *WORDS])}
    made = tokenizers.Tokenizer(tokenizers.models.WordPiece(vocabulary, unk_token="[UNK]"))
    made.normalizer = tokenizers.normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    made.post_processor = tokenizers.processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        special_tokens=[("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])],
    )
    tokens = {f"{word.strip('[]').lower()}_token": word for word in SPECIAL}
    import_module("transformers").PreTrainedTokenizerFast(
        tokenizer_object=made, model_max_length=16, **tokens
    ).save_pretrained(folder)


def write_network(folder: Path) -> None:
    """A BERT of one layer."""
    transformers = import_module("transformers")
    import_module("torch").manual_seed(14)
    config = transformers.BertConfig(
        vocab_size=len(SPECIAL) + len(WORDS),
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=16,
        initializer_range=1.0,
        id2label=LABELS,
    )
    transformers.BertForSequenceClassification(config).save_pretrained(folder)


def write_answers(folder: Path) -> None:
    """What the pipeline answers, best first."""
    ask = import_module("transformers").pipeline(
        "text-classification", model=str(folder), top_k=None
    )
    found = ask(TEXTS)
    labels = [[answer["label"] for answer in answers] for answers in found]
    scores = [[answer["score"] for answer in answers] for answers in found]
    case = {
        "inputs": {"text": {"dtype": "bytes", "data": TEXTS}},
        "outputs": {
            "labels": {"dtype": "bytes", "data": labels},
            "scores": {"dtype": "float32", "data": scores},
        },
    }
    folder.with_name("golden.json").write_text(json.dumps(case, indent=1) + "\n")


if __name__ == "__main__":
    write_tokenizer(HERE / "model")
    write_network(HERE / "model")
    write_answers(HERE / "model")
