"""Take the network and the words of Magika out of its wheel.

Magika (Apache-2.0) tells the type of a file from its bytes; its wheel holds the network as ONNX.
Our own code reads the file's bytes for it (`filetype.py`). Run by `examples/prepare.py`.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from packages import download, publish, read_wheel

REQUIREMENT = "magika==1.0.3"
MODEL = "magika/models/standard_v3_3/model.onnx"
MODEL_SHA256 = "fe2d2eb49c5f88a9e0a6c048e15d6ffdf86235519c2afc535044de433169ec8c"
CONFIG = "magika/models/standard_v3_3/config.min.json"
CONFIG_SHA256 = "ae24c742205358f6ff6dfd5facb6743fb69743dbba8373e73da58ff0cbd695db"
TYPES = "magika/config/content_types_kb.min.json"
TYPES_SHA256 = "75208adba69bc0556403b62b32ef3ccf8b5ce494411780845852e52e6583a10d"


def make(folder: Path, scratch: Path, say: Callable[[str], None]) -> None:
    """Write `filetype.onnx` and `labels.json`.

    Raises:
        PrepareError: the wheel could not be had, or does not hold what was expected.
    """
    say(f"downloading {REQUIREMENT}")
    wheel = download(REQUIREMENT, scratch)
    config = json.loads(read_wheel(wheel, CONFIG, CONFIG_SHA256))
    types = json.loads(read_wheel(wheel, TYPES, TYPES_SHA256))
    words = labels(config, types)
    say(f"the network knows {len(words['outputs'])} types")
    publish(folder / "labels.json", json.dumps(words, indent=1).encode())
    publish(folder / "filetype.onnx", read_wheel(wheel, MODEL, MODEL_SHA256))


def labels(config: dict[str, Any], types: dict[str, Any]) -> dict[str, Any]:
    """Say what each output is called, from which score on, and what to say below it."""
    outputs = []
    for name in config["target_labels_space"]:
        shown = config["overwrite_map"].get(name, name)
        least_score = config["thresholds"].get(name, config["medium_confidence_threshold"])
        outputs.append((shown, least_score, "txt" if types[shown]["is_text"] else "unknown"))
    named = {name for name, _, _ in outputs} | {"empty", "txt", "unknown"}
    return {"outputs": outputs, "types": {name: words(name, types[name]) for name in sorted(named)}}


def words(name: str, facts: dict[str, Any]) -> dict[str, str]:
    """Give the words for one type; some have none of their own."""
    plain = "text/plain" if facts["is_text"] else "application/octet-stream"
    return {
        "group": facts["group"] or "unknown",
        "mime": facts["mime_type"] or plain,
        "description": facts["description"] or name,
    }
