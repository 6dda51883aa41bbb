"""The words of annotations, and the context of a request."""

import subprocess
import sys
import threading
import time
from typing import Annotated, get_args, get_origin

import pytest

import headway as hw
from headway.model.marks import BATCH


def test_a_batch_is_a_marked_list_at_run_time() -> None:
    annotation = hw.Batch[str]
    assert get_origin(annotation) is Annotated
    assert get_args(annotation) == (list[str], BATCH)


def test_tensors_are_values() -> None:
    assert hw.Tensor("int64", "batch", 3) == hw.Tensor("int64", "batch", 3)
    assert hw.Tensor("int64", "batch", 3) != hw.Tensor("int64", "batch", 4)
    assert len({hw.Tensor("int64"), hw.Tensor("int64")}) == 1
    assert repr(hw.Tensor("int64", "batch", None)) == "Tensor('int64', 'batch', None)"


def test_a_context_without_a_deadline_has_all_the_time() -> None:
    context = hw.Context("id", {"x-user": "u"})
    assert (context.request_id, context.headers["x-user"]) == ("id", "u")
    assert context.remaining_s() is None
    assert not context.cancelled


def test_a_context_is_cancelled_from_another_thread() -> None:
    context = hw.Context()
    thread = threading.Thread(target=context.cancel)
    thread.start()
    thread.join()
    assert context.cancelled


def test_a_context_is_cancelled_when_its_time_is_over() -> None:
    now = time.monotonic()
    assert hw.Context(deadline=now - 1).cancelled
    assert hw.Context(deadline=now - 1).remaining_s() == 0.0
    later = hw.Context(deadline=now + 1000)
    left = later.remaining_s()
    assert left is not None
    assert 0 < left <= 1000
    assert not later.cancelled


def test_every_public_name_is_there() -> None:
    assert all(getattr(hw, name) is not None for name in hw.__all__)
    assert dir(hw) == sorted(hw.__all__)
    assert hw.errors.BadInput.code == "bad_input"
    with pytest.raises(AttributeError, match="nothing_such"):
        hw.nothing_such  # type: ignore[attr-defined]  # noqa: B018


@pytest.mark.parametrize(
    "code",
    [
        "import headway",
        "import headway; headway.Batch, headway.Predictor, headway.Context, headway.Meta",
        "import headway.model.signature, headway.model.wire, headway.model.opening",
    ],
)
def test_nothing_imports_numpy_before_a_signature_names_an_array(code: str) -> None:
    check = (
        f"{code}\nimport sys\n"
        "heavy = ('numpy', 'PIL', 'pandas', 'simdjson')\n"
        "found = [m for m in sys.modules if m.split('.')[0] in heavy"
        " or m.startswith(('headway.kinds.', 'headway.runtimes.'))]\n"
        "assert not found, found"
    )
    subprocess.run([sys.executable, "-c", check], check=True)
