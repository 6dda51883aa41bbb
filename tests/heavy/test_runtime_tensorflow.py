"""TensorFlow: the golden SavedModel against TensorFlow itself, trust, and a missing signature."""

from pathlib import Path

import numpy as np
import pytest
from needed import need

from headway.errors import BundleError
from headway.runtimes import Options
from headway.runtimes.tensorflow import open_model

tf = need("tensorflow")
FOLDER = Path(__file__).parents[1] / "golden" / "runtimes" / "tensorflow" / "model"


def test_it_answers_as_its_signature() -> None:
    x = np.random.default_rng(3).standard_normal((9, 2)).astype(np.float32)
    native = tf.saved_model.load(str(FOLDER)).signatures["serving_default"]

    found = open_model(FOLDER, Options(is_trusted=True))(x=x)["scores"]

    assert float(np.abs(found - native(x=tf.constant(x))["scores"].numpy()).max()) < 1e-6


def test_it_needs_trust_and_a_signature(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="trusted: true"):
        open_model(FOLDER, Options())
    tf.saved_model.save(tf.Module(), str(tmp_path / "bare"))
    with pytest.raises(BundleError, match="it has no signature 'serving_default'"):
        open_model(tmp_path / "bare", Options(is_trusted=True))
