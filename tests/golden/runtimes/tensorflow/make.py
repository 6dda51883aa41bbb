"""Write the golden models anew: `python tests/golden/runtimes/tensorflow/make.py`; the answers stay.

LiteRT's is made of the same program.
"""

from importlib import import_module
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent

if __name__ == "__main__":
    tf = import_module("tensorflow")
    module = tf.Module()
    module.weights = tf.Variable([[2.0, 0.0], [-1.0, 0.5]])
    module.bias = tf.Variable([1.0, 0.0])

    def score(x: Any) -> dict[str, Any]:
        """A line."""
        return {"scores": x @ module.weights + module.bias}

    module.score = tf.function(score, input_signature=[tf.TensorSpec([None, 2], tf.float32, "x")])
    tf.saved_model.save(module, str(HERE / "model"), signatures=module.score)
    converter = tf.lite.TFLiteConverter.from_saved_model(str(HERE / "model"))
    HERE.with_name("litert").joinpath("model.tflite").write_bytes(converter.convert())
