"""PyTorch: programs, TorchScript and weights against torch itself, and what is not opened without trust."""

import contextlib
import json
import re
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from needed import need

from headway.errors import BundleError
from headway.model.proof import prove_rows
from headway.runtimes import Options
from headway.runtimes.torch import TorchModel, TorchWeights, open_model

torch = need("torch")
safetensors = need("safetensors.torch")

TRUSTED = Options(is_trusted=True)
SIZE = rb'("expr_str": ?)"[^"]*"'
"""A symbolic size in a program's JSON."""

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")


def net(*, seed: int = 3) -> Any:
    torch.manual_seed(seed)
    layers = torch.nn
    return layers.Sequential(
        layers.Conv2d(1, 4, 3), layers.ReLU(), layers.Flatten(), layers.Linear(144, 5)
    ).eval()


def pictures(rows: int) -> Any:
    return np.random.default_rng(1).standard_normal((rows, 1, 8, 8)).astype(np.float32)


def expected(native: Any, rows: Any) -> Any:
    with torch.no_grad():
        return native(torch.from_numpy(rows)).numpy()


def export(native: Any, path: Path, *, rows: int, is_free: bool) -> None:
    shapes = ({0: torch.export.Dim("rows")},) if is_free else None
    program = torch.export.export(
        native, (torch.from_numpy(pictures(rows)),), dynamic_shapes=shapes
    )
    torch.export.save(program, path)


@pytest.mark.parametrize(("rows", "is_free"), [(2, True), (1, False)])
def test_an_exported_program_answers_as_its_module(
    tmp_path: Path, rows: int, is_free: bool
) -> None:
    native, path = net(), tmp_path / "m.pt2"
    export(native, path, rows=rows, is_free=is_free)

    model = open_model(path, TRUSTED)

    assert [(s.dtype, s.shape, s.has_rows) for s in model.inputs] == [("float32", (1, 8, 8), True)]
    assert [(s.name, s.shape) for s in model.outputs] == [("output", (5,))]
    assert prove_rows(model) is None
    found = model(pictures(7))["output"]
    assert float(np.abs(found - expected(native, pictures(7))).max()) < 1e-6


def test_a_program_of_a_fixed_number_of_rows_says_so(tmp_path: Path) -> None:
    export(net(), tmp_path / "m.pt2", rows=3, is_free=False)

    model = open_model(tmp_path / "m.pt2", TRUSTED)

    assert [(s.shape, s.has_rows) for s in model.inputs] == [((3, 1, 8, 8), False)]
    assert [(s.shape, s.has_rows) for s in model.outputs] == [((3, 5), False)]


def test_torchscript_answers_as_its_module_and_says_what_it_misses(tmp_path: Path) -> None:
    native = net()
    torch.jit.trace(native, torch.from_numpy(pictures(2))).save(tmp_path / "m.pt")

    model = open_model(tmp_path / "m.pt", TRUSTED)

    assert float(np.abs(model(pictures(4)) - expected(native, pictures(4))).max()) < 1e-6
    assert not model.inputs
    assert "torch.export.save" in model.missing


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".safetensors"])
def test_weights_and_a_module_are_a_model(tmp_path: Path, suffix: str) -> None:
    native, path = net(), tmp_path / f"m{suffix}"
    save = safetensors.save_file if suffix == ".safetensors" else torch.save
    save(native.state_dict(), path)

    weights = open_model(path, Options(is_trusted=suffix != ".safetensors"))

    assert isinstance(weights, TorchWeights)
    with pytest.raises(TypeError, match="not the module"):
        weights(pictures(1))
    model = weights.into(net(seed=4))
    assert isinstance(model, TorchModel)
    assert float(np.abs(model(pictures(4)) - expected(native, pictures(4))).max()) < 1e-6
    with pytest.raises(BundleError, match="don't fit"):
        weights.into(torch.nn.Linear(2, 2))


class Bomb:
    """Unpickled, it writes a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.target,))


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".ts", ".pt2"])
@pytest.mark.parametrize("is_trusted", [False, True])
def test_a_malicious_pickle_does_not_run(tmp_path: Path, suffix: str, is_trusted: bool) -> None:
    ran, path = tmp_path / "ran", tmp_path / f"m{suffix}"
    torch.save({"w": Bomb(ran)}, path)

    with pytest.raises(BundleError):
        open_model(path, Options(is_trusted=is_trusted))

    assert not ran.exists()


def test_programs_and_torchscript_need_trust(tmp_path: Path) -> None:
    export(net(), tmp_path / "m.pt2", rows=2, is_free=True)
    torch.jit.trace(net(), torch.from_numpy(pictures(2))).save(tmp_path / "m.pt")

    for name in ("m.pt2", "m.pt"):
        with pytest.raises(BundleError, match="trusted: true"):
            open_model(tmp_path / name, Options())


def test_opening_a_program_evaluates_text_of_the_file(tmp_path: Path) -> None:
    """Why it needs trust: the text of a symbolic size is given to sympy, which evaluates it."""
    from zipfile import ZipFile

    ran = tmp_path / "ran"
    given = json.dumps(f"__import__('pathlib').Path({str(ran)!r}).touch()").encode()
    export(net(), tmp_path / "m.pt2", rows=2, is_free=True)
    with ZipFile(tmp_path / "m.pt2") as whole, ZipFile(tmp_path / "evil.pt2", "w") as evil:
        for name in whole.namelist():
            data = whole.read(name)
            if name.endswith("models/model.json"):
                assert re.search(SIZE, data)
                data = re.sub(SIZE, lambda found: found[1] + given, data)
            evil.writestr(name, data)

    with pytest.raises(BundleError, match="trusted: true"):
        open_model(tmp_path / "evil.pt2", Options())
    assert not ran.exists()
    with contextlib.suppress(BundleError):
        open_model(tmp_path / "evil.pt2", TRUSTED)
    assert ran.exists()


def test_a_safetensors_header_that_lies_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    entry = '{"dtype":"F32","shape":[1],"data_offsets":[0,4]}'
    for header in (
        f'{{"w":{entry},"w":{entry}}}',
        "{",
        '{"w":{"dtype":"F32","shape":[9],"data_offsets":[0,4]}}',
    ):
        path.write_bytes(struct.pack("<Q", len(header)) + header.encode() + b"\0\0\0\0")
        with pytest.raises(BundleError, match="can't be opened"):
            open_model(path, Options())
    path.write_bytes(struct.pack("<Q", 2**63) + b"{}")
    with pytest.raises(BundleError, match="header is longer"):
        open_model(path, Options())


def test_threads_and_device_are_obeyed(tmp_path: Path) -> None:
    safetensors.save_file(net().state_dict(), tmp_path / "m.safetensors")

    assert open_model(tmp_path / "m.safetensors", Options(threads=2, device="auto")).device in (
        "cpu",
        "cuda:0",
    )
    assert torch.get_num_threads() == 2
    with pytest.raises(BundleError, match="device 'cuda:9'"):
        open_model(tmp_path / "m.safetensors", Options(device="cuda:9"))
