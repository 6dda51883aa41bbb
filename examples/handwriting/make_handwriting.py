"""Train a small convolutional network on scikit-learn's 1,797 digits, and export it as one program (`.pt2`).

The digits are the test set of UCI's "Optical Recognition of Handwritten Digits" (CC BY 4.0), which scikit-learn
carries. Run by `examples/prepare.py handwriting`.
"""

import importlib.util
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from packages import PrepareError, publish

NEEDED = ("torch", "sklearn")
LEAST_ACCURACY = 0.96
EPOCHS = 30
TOLERANCE = 1e-5
"""Largest difference of the exported program from the network, in a chance."""


def make(folder: Path, scratch: Path, say: Callable[[str], None]) -> None:
    """Write `handwriting.pt2`: ink, float32[batch, 8, 8] from 0 to 16, to chances, float32[batch, 10].

    Raises:
        PrepareError: a library is missing, or what was trained or exported is not good enough.
    """
    if missing := [name for name in NEEDED if importlib.util.find_spec(name) is None]:
        advice = (
            "pip install torch==2.13.0, then pip install -r examples/handwriting/requirements.txt"
        )
        raise PrepareError(f"needs {', '.join(missing)}: {advice}")
    import torch  # noqa: PLC0415  (it is needed here alone)
    from sklearn.datasets import load_digits  # noqa: PLC0415
    from sklearn.model_selection import train_test_split  # noqa: PLC0415

    torch.manual_seed(0)
    found = load_digits()
    parts = train_test_split(
        found.images.astype(np.float32),
        found.target,
        test_size=0.25,
        random_state=0,
        stratify=found.target,
    )
    train, test, train_digits, test_digits = map(torch.from_numpy, parts)
    say(f"training on {len(train)} digits")
    net = fit(reader(), train, train_digits)
    with torch.no_grad():
        chances = net(test)["chances"]
    accuracy = float((chances.argmax(1) == test_digits).float().mean())
    say(f"accuracy on {len(test)} held-out digits: {accuracy:.3f}")
    if accuracy < LEAST_ACCURACY:
        raise PrepareError(f"an accuracy of {accuracy:.3f} is below {LEAST_ACCURACY}; not written")
    content = io.BytesIO()
    exported = export(net, train[:4])
    torch.export.save(exported, content)
    with torch.no_grad():
        difference = float((exported.module()(test)["chances"] - chances).abs().max())
    if difference > TOLERANCE:
        raise PrepareError(f"the export differs from the network by {difference}")
    publish(folder / "handwriting.pt2", content.getvalue())


def reader() -> Any:
    """The network, with what prepares its pixels in front and the softmax behind: the file holds all of it."""
    import torch  # noqa: PLC0415
    from torch import nn  # noqa: PLC0415

    class Reader(nn.Module):
        """ink: float32[batch, 8, 8] from 0 to 16; answers {"chances": float32[batch, 10]}."""

        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.Sequential(
                *(nn.Conv2d(1, 16, 3, padding=1), nn.ReLU()),
                *(nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
                *(nn.Flatten(), nn.Dropout(0.25), nn.Linear(32 * 4 * 4, 10)),
            )

        def forward(self, ink: Any) -> Any:
            return {"chances": torch.softmax(self.layers(ink[:, None] / 16), 1)}

    return Reader()


def fit(net: Any, ink: Any, digits: Any) -> Any:
    """Train, and leave the network ready to answer (no dropout)."""
    import torch  # noqa: PLC0415

    optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(ink)).split(64):
            optimizer.zero_grad()
            chances = net(ink[rows])["chances"]
            torch.nn.functional.nll_loss(torch.log(chances + 1e-9), digits[rows]).backward()
            optimizer.step()
    return net.eval()


def export(net: Any, ink: Any) -> Any:
    """The network as a program for any number of pictures."""
    import torch  # noqa: PLC0415

    batch = torch.export.Dim("batch")
    program = torch.export.export(net, (ink,), dynamic_shapes={"ink": {0: batch}})
    return program
