"""The description at /openapi.json against the server: every operation, good and bad requests of its schemas."""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import corpus_subjects
import pytest
from serving import serving

pytestmark = pytest.mark.timeout(300)

MODELS = {
    "number": "Number",
    "text": "Text",
    "several": "Several",
    "four": "Arrays",
    "file": "File",
    "anything": "Anything",
    "count": "Count",
    "parity": "Parity",
}
EXAMPLES = os.environ.get("OPENAPI_EXAMPLES", "8")
CONFIG = """
[checks]
# A deadline of the caller's own may be over at once; what a dialect names and is not offered here is 501.
not_a_server_error.expected-statuses = ["2xx", "3xx", "4xx", "501", "504"]
# What no schema can tell: 3.0 is no integer here, 1e39 no float32, and data is as long as its shape says.
positive_data_acceptance.enabled = false

[[operations]]
# With errors=item a row that is no item has an answer of its own, in a 200; what is no handshake is told so first.
include-path-regex = "^/models/[a-z]+/(predict|stream)$"
checks.negative_data_rejection.enabled = false
"""


@pytest.mark.skipif(
    importlib.util.find_spec("schemathesis") is None,
    reason="schemathesis is not installed (pip install schemathesis)",
)
def test_the_server_does_what_its_description_says(tmp_path: Path) -> None:
    shutil.copy(corpus_subjects.__file__, tmp_path / "subjects.py")
    lines = [
        f'  {name}: {{predictor: "subjects.py:{kind}", workers: 1}}'
        for name, kind in MODELS.items()
    ]
    tmp_path.joinpath("headway.yaml").write_text("models:\n" + "\n".join(lines))
    tmp_path.joinpath("schemathesis.toml").write_text(CONFIG)
    tool = Path(sys.executable).with_name("schemathesis")
    with serving(tmp_path) as server:
        address = f"http://127.0.0.1:{server.port}/openapi.json"
        flags = ("--phases", "examples,coverage,fuzzing", "--max-examples", EXAMPLES, "--seed", "1")
        done = subprocess.run(
            [tool, "run", address, *flags, "--no-color", "--continue-on-failure"],
            cwd=tmp_path,
            env={**os.environ, "COLUMNS": "120"},
            capture_output=True,
            text=True,
            check=False,
            timeout=240,
        )
    assert done.returncode == 0, done.stdout[-20_000:]
    assert "Traceback" not in server.log, server.log
