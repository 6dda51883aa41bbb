"""What a user of Azure ML's inference server writes: init and run, around a predictor that knows nothing of it."""

import sys
from pathlib import Path

from inference_schema.parameter_types.standard_py_parameter_type import StandardPythonParameterType
from inference_schema.schema_decorators import input_schema, output_schema

sys.path.insert(0, str(Path(__file__).parent))


def init():
    global mood  # noqa: PLW0603  (as the server wants it)
    from mood import mood


@input_schema("text", StandardPythonParameterType("a joy"))
@input_schema("scale", StandardPythonParameterType(1.5))
@output_schema(StandardPythonParameterType({"joy": 1.0}))
def run(text, scale=1.0):
    return mood(text, scale)
