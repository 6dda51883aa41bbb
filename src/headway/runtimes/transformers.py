"""Run Hugging Face model folders (config.json, safetensors, a tokenizer): texts to scores, or to vectors.

A classifier answers `labels` and `scores`, best first; an encoder answers `vector`, pooled as
sentence-transformers' files say, else the mean over its tokens. Other tasks are for a predictor. Nothing is
fetched, and code that lies in a folder never runs, trusted or not.
"""

import json
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from headway.errors import BundleError
from headway.model.call import TensorSpec
from headway.runtimes import TRUST, Options, device_for, library
from headway.runtimes._arrays import arrange, row_by_row

SUFFIXES: Sequence[str] = ()
FOLDERS: Sequence[str] = ("config.json",)
MARKS: Mapping[str, bytes] = {"config.json": b'"architectures"'}
REQUIRES: Sequence[str] = ("torch>=2.8", "transformers>=4.57", "safetensors>=0.5")

_DAMAGE = (
    OSError,
    EOFError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ImportError,
    RuntimeError,
    pickle.UnpicklingError,
)
"""What transformers raises on a folder that is damaged, or whose parts do not fit each other."""
_LOCAL = {"local_files_only": True, "trust_remote_code": False}
_LONGEST = 100_000
"""A tokenizer that says more tokens than these knows no limit."""
_POOLINGS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_lasttoken": "lasttoken",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
}


class _Head(Protocol):
    """What makes answers of a network's output; the mask tells tokens from padding."""

    def __call__(self, found: Any, mask: Any) -> dict[str, Any]: ...


class _NotServed(Exception):
    """The folder can be opened, and its task not be served without code; the message says why."""


class TransformersModel:
    """A network and its tokenizer, called with `text`: str[rows]; without a head it is for a predictor."""

    platform = "transformers_safetensors"

    def __init__(self, native: Any, device: str, missing: str = "") -> None:
        self.native = native
        self.device = device
        self.missing = missing
        self.is_thread_safe = False
        self.tokenizer: Any = None
        self.words: Sequence[str] = ()
        """Texts that it tells apart; for the proof that rows are independent."""
        self.inputs: Sequence[TensorSpec] = ()
        self.outputs: Sequence[TensorSpec] = ()

    def __call__(self, *arrays: Any, **named: Any) -> dict[str, Any]:
        """Answer texts; what is longer than the model takes is cut off.

        Raises:
            TypeError: not exactly one input, it is no text, or the task needs a predictor.
        """
        if not self.inputs:
            raise TypeError(f"it takes no input without code: {self.missing}")
        placed = arrange(self.inputs, arrays, named)
        rows = len(placed["text"])
        if rows == 0:
            return {n: a[:0] for n, a in self._ask({"text": [""]}).items()}
        if self.tokenizer.pad_token is None and rows > 1:
            return row_by_row(self._ask, placed)
        return self._ask(placed)

    def tell(self, tokenizer: Any, head: _Head, cut: "Mapping[str, Any]") -> None:
        """Say how texts become tokens, and its output an answer; one call finds out what it answers."""
        self.tokenizer, self._head, self._cut = tokenizer, head, cut
        # A tokenizer in Rust is only changed by a call that asks for another length, and none does.
        self.is_thread_safe = bool(tokenizer.is_fast)
        known = sorted(w for w in tokenizer.get_vocab() if w.isalpha())
        self.words = known[:: max(1, len(known) // 64)]
        self.inputs = (TensorSpec("text", "bytes", ()),)
        self.outputs = [
            TensorSpec(n, "bytes" if a.dtype == object else str(a.dtype), a.shape[1:])
            for n, a in self._ask({"text": ["one"]}).items()
        ]

    def _ask(self, placed: "Mapping[str, Any]") -> dict[str, Any]:
        torch = library("transformers", "torch")
        texts = list(placed["text"])
        padded = self.tokenizer.pad_token is not None
        tokens = self.tokenizer(texts, return_tensors="pt", padding=padded, **self._cut)
        with torch.inference_mode():
            moved = tokens.to(self.device)
            return self._head(self.native(**moved), moved["attention_mask"])


class _Scores:
    """The chance of each label, best first, as the library's own pipeline makes it."""

    def __init__(self, config: Any) -> None:
        self._names = np.array(
            [str(config.id2label[n]) for n in range(config.num_labels)], dtype=object
        )
        kind = config.problem_type
        is_apart = kind == "multi_label_classification" or len(self._names) == 1
        self._scale = "" if kind == "regression" else "sigmoid" if is_apart else "softmax"

    def __call__(self, found: Any, mask: Any) -> dict[str, Any]:
        logits = found.logits.float()
        if self._scale == "softmax":
            logits = logits.softmax(-1)
        elif self._scale:
            logits = logits.sigmoid()
        scores = logits.cpu().numpy()
        order = np.argsort(-scores, axis=1, kind="stable")
        return {"labels": self._names[order], "scores": np.take_along_axis(scores, order, 1)}


class _Vectors:
    """One vector for a text, of those of its tokens."""

    def __init__(self, pooling: str, is_normal: bool) -> None:
        self._pooling = pooling
        self._is_normal = is_normal

    def __call__(self, found: Any, mask: Any) -> dict[str, Any]:
        vectors = self._pooled(found.last_hidden_state.float(), mask)
        if self._is_normal:
            vectors = vectors / vectors.norm(dim=1, keepdim=True).clamp(min=1e-12)
        return {"vector": vectors.cpu().numpy()}

    def _pooled(self, states: Any, mask: Any) -> Any:
        if self._pooling == "cls":
            return states[:, 0]
        if self._pooling == "lasttoken":
            rows = range(len(states))
            return states[rows, mask.cumsum(1).argmax(1)]
        weights = mask.unsqueeze(-1)
        if self._pooling == "max":
            return states.masked_fill(weights == 0, float("-inf")).max(1).values
        return (states * weights).sum(1) / weights.sum(1).clamp(min=1e-9)


def open_model(path: Path, options: Options) -> TransformersModel:
    """Open a folder that `save_pretrained` wrote, or sentence-transformers' `save`.

    Raises:
        BundleError: it is damaged, needs trust or code of its own, or its device is not here.
        PluginError: transformers or torch is not installed.
    """
    transformers, torch = library("transformers", "transformers"), library("transformers", "torch")
    if not (path / "config.json").is_file():
        raise BundleError(path=path, problem="there is no config.json in it")
    if not options.is_trusted and not any(path.glob("*.safetensors")):
        problem = (
            "there is no safetensors file in it, and opening others can run code; save it with "
        )
        raise BundleError(path=path, problem=f"{problem}save_pretrained, or {TRUST}")
    seen = torch.cuda.device_count() if options.device != "cpu" else 0
    device = device_for(options, path, seen, "torch")
    torch.set_num_threads(options.threads)
    transformers.utils.logging.disable_progress_bar()
    try:
        return _open(transformers, path, device, is_safe=not options.is_trusted)
    except _DAMAGE as e:
        problem = f"can't be opened: {type(e).__name__}: {str(e)[:500]}"
        raise BundleError(path=path, problem=problem) from e


def _open(transformers: Any, path: Path, device: str, *, is_safe: bool) -> TransformersModel:
    config = transformers.AutoConfig.from_pretrained(path, **_LOCAL)
    (name,) = config.architectures
    is_sentence = (path / "modules.json").is_file()
    kind = "AutoModel" if is_sentence else name
    weights = {"use_safetensors": True} if is_safe else {}
    native = getattr(transformers, kind).from_pretrained(path, **_LOCAL, **weights)
    native = native.to(device).eval()
    try:
        head = _head(path, name, config, native, is_sentence=is_sentence)
    except _NotServed as e:
        return TransformersModel(native, device, str(e))
    tokenizer = transformers.AutoTokenizer.from_pretrained(path, **_LOCAL)
    tokenizer.padding_side = "right"
    model = TransformersModel(native, device)
    model.tell(tokenizer, head, _cut(path, tokenizer, native))
    return model


def _head(path: Path, name: str, config: Any, native: Any, *, is_sentence: bool) -> _Head:
    if native.main_input_name != "input_ids":
        raise _NotServed(f"a {name} does not take text")
    if is_sentence:
        return _Vectors(*_pooling(path))
    if name.endswith("ForSequenceClassification"):
        return _Scores(config)
    if name.endswith("Model"):
        return _Vectors("mean", is_normal=False)
    raise _NotServed(f"a {name} answers neither the scores of labels nor a vector")


def _pooling(path: Path) -> tuple[str, bool]:
    """How the vectors of tokens become one, and whether its length is then one."""
    modules = _read(path / "modules.json")
    kinds = [str(m["type"]).rpartition(".")[2] for m in modules]
    if kinds not in (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"]):
        raise _NotServed(f"its modules {', '.join(kinds)} need sentence-transformers")
    folder = str(modules[1]["path"])
    if modules[0]["path"] or Path(folder).name != folder:
        raise _NotServed("its modules lie in folders that are not looked into")
    settings = _read(path / folder / "config.json")
    asked = settings.get("pooling_mode") or [v for k, v in _POOLINGS.items() if settings.get(k)]
    modes = [asked] if isinstance(asked, str) else list(asked)
    if len(modes) != 1 or modes[0] not in ("cls", "mean", "max", "lasttoken"):
        raise _NotServed(f"its pooling {' and '.join(map(str, modes))} needs sentence-transformers")
    prompts = path / "config_sentence_transformers.json"
    if prompts.is_file() and _read(prompts).get("default_prompt_name"):
        raise _NotServed("it wants a prompt before each text")
    return modes[0], "Normalize" in kinds


def _cut(path: Path, tokenizer: Any, native: Any) -> dict[str, Any]:
    """How long a text may be, in tokens: what training used, else what the network has positions for."""
    file = path / "sentence_bert_config.json"
    asked = _read(file).get("max_seq_length") if file.is_file() else None
    places = getattr(native.config, "max_position_embeddings", None)
    # RoBERTa and its like count positions from behind that of the padding.
    first = getattr(getattr(native.base_model, "embeddings", None), "padding_idx", None)
    if places and first is not None:
        places -= first + 1
    limits = [n for n in (asked, tokenizer.model_max_length, places) if n and n < _LONGEST]
    return {"truncation": True, "max_length": min(limits)} if limits else {}


def _read(file: Path) -> Any:
    return json.loads(file.read_text(encoding="utf-8"))
