"""Run PyTorch files: exported programs (.pt2), TorchScript (.pt, .ts), and weights for a module at hand.

Opening an exported program or TorchScript can run code (symbolic shapes are evaluated, constants may be
pickles, a graph may read and write files), so that both need trust. Weights are read by `weights_only`
and still need it; safetensors need none. Only an exported program tells its inputs.
"""

import json
import pickle
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from headway.errors import BundleError
from headway.model.call import TensorSpec
from headway.runtimes import TRUST, Options, device_for, library
from headway.runtimes._arrays import arrange, row_by_row

SUFFIXES: Sequence[str] = (".pt2", ".pt", ".ts", ".pth", ".safetensors")
REQUIRES: Sequence[str] = ("torch>=2.8", "safetensors>=0.5")

_DAMAGE = (
    OSError,
    EOFError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    RuntimeError,
    AssertionError,
    pickle.UnpicklingError,
    zipfile.BadZipFile,
)
"""What torch raises on a file that is damaged, or that another release wrote."""


class TorchModel:
    """A program or module in evaluation mode, called with arrays by name, or in its order."""

    is_thread_safe = True
    """Nothing is written while it runs, and operators release the GIL."""

    def __init__(self, native: Any, torch: Any, device: str, platform: str) -> None:
        self.native = native
        self.device = device
        self.platform = platform
        self.inputs: Sequence[TensorSpec] = ()
        self.outputs: Sequence[TensorSpec] = ()
        self.missing = (
            "TorchScript tells no dtypes and shapes; save it with torch.export.save as a .pt2"
        )
        self._torch = torch
        self._is_of_one = False

    def __call__(self, *arrays: Any, **named: Any) -> Any:
        """Run once.

        Raises:
            TypeError: an input is missing, unknown, or of a dtype that can't be taken exactly.
        """
        if not self.inputs:
            return self._answers(self._run([*arrays], named))
        placed = arrange(self.inputs, arrays, named)
        if not self._is_of_one:
            return self._named(placed)
        rows = {n: np.asarray(a) for n, a in placed.items()}
        return row_by_row(self._named, rows)

    def tell(self, inputs: Sequence[TensorSpec], outputs: Sequence[str], is_of_one: bool) -> None:
        """Say what it takes; one call finds out what it answers."""
        self.inputs, self._names, self._is_of_one = inputs, outputs, is_of_one
        zeros = {s.name: np.zeros(_sizes(s), s.dtype) for s in inputs}
        has_rows = all(s.has_rows for s in inputs)
        self.outputs = [
            TensorSpec(n, str(a.dtype), a.shape[1:] if has_rows else a.shape, has_rows=has_rows)
            for n, a in self._named(zeros).items()
        ]

    def _named(self, placed: dict[str, Any]) -> dict[str, Any]:
        found = self._answers(self._run(list(placed.values()), {}))
        values = found.values() if isinstance(found, dict) else [found]
        return dict(zip(self._names, values, strict=True))

    def _run(self, arrays: Sequence[Any], named: dict[str, Any]) -> Any:
        with self._torch.inference_mode():
            moved = {n: self._tensor(a) for n, a in named.items()}
            return self.native(*(self._tensor(a) for a in arrays), **moved)

    def _tensor(self, array: Any) -> Any:
        values = np.ascontiguousarray(array)
        if not values.flags.writeable:
            values = values.copy()
        return self._torch.from_numpy(values).to(self.device)

    def _answers(self, found: Any) -> Any:
        if isinstance(found, dict):
            return {str(n): self._array(t) for n, t in found.items()}
        if isinstance(found, tuple | list):
            return {f"output_{n}": self._array(t) for n, t in enumerate(found)}
        return self._array(found)

    def _array(self, tensor: Any) -> Any:
        if tensor.dtype == self._torch.bfloat16:
            tensor = tensor.float()
        return tensor.detach().cpu().numpy()


class TorchWeights:
    """Tensors by name, `native`; `into(module)` makes a model of them and of a module at hand."""

    is_thread_safe = False
    platform = "pytorch_weights"
    inputs: Sequence[TensorSpec] = ()
    outputs: Sequence[TensorSpec] = ()
    missing = "it holds weights, not the module that they belong to: self.open_model(...).into(MyModule())"

    def __init__(self, native: dict[str, Any], torch: Any, device: str, path: Path) -> None:
        self.native = native
        self.device = device
        self._torch = torch
        self._path = path

    def __call__(self, *arrays: Any, **named: Any) -> Any:
        """Say that weights alone answer nothing. Raises TypeError."""
        raise TypeError(self.missing)

    def into(self, module: Any) -> TorchModel:
        """Give the weights to a module, which becomes a model in evaluation mode.

        Raises:
            BundleError: they are not all of the module's, or of others.
        """
        try:
            module.load_state_dict(self.native)
        except (RuntimeError, TypeError) as e:
            raise BundleError(path=self._path, problem=f"the weights don't fit: {e}") from e
        moved = module.to(self.device).eval()
        return TorchModel(moved, self._torch, self.device, "pytorch_module")


def open_model(path: Path, options: Options) -> TorchModel | TorchWeights:
    """Open a file by what it holds.

    Raises:
        BundleError: the file is damaged, needs trust that was not given, or its device is not here.
        PluginError: torch is not installed.
    """
    torch = library("torch", "torch")
    if not path.is_file():
        raise BundleError(path=path, problem="there is no such file")
    is_safe = path.suffix == ".safetensors"
    if not is_safe and not options.is_trusted:
        raise BundleError(
            path=path, problem=f"opening it can run code; save weights as safetensors, or {TRUST}"
        )
    seen = torch.cuda.device_count() if options.device != "cpu" else 0
    device = device_for(options, path, seen, "torch")
    torch.set_num_threads(options.threads)
    try:
        if is_safe:
            return TorchWeights(_safetensors(path, device), torch, device, path)
        return _open(torch, path, device)
    except _DAMAGE as e:
        problem = f"can't be opened: {type(e).__name__}: {str(e)[:500]}"
        raise BundleError(path=path, problem=problem) from e


def _open(torch: Any, path: Path, device: str) -> TorchModel | TorchWeights:
    with zipfile.ZipFile(path) as archive:
        names = {n.partition("/")[2] for n in archive.namelist()}
    if "archive_format" in names or any(n.startswith("models/") for n in names):
        return _exported(torch, path, device)
    if "constants.pkl" in names:
        native = torch.jit.load(str(path), map_location=device).eval()
        return TorchModel(native, torch, device, "pytorch_torchscript")
    found = torch.load(path, map_location=device, weights_only=True)
    if not isinstance(found, dict) or not all(isinstance(v, torch.Tensor) for v in found.values()):
        raise ValueError(f"holds a {type(found).__name__}, not tensors by name (a state dict)")
    return TorchWeights(found, torch, device, path)


def _safetensors(path: Path, device: str) -> dict[str, Any]:
    """Tensors of a file whose header names each once, which the library does not ask for."""
    load = library("torch", "safetensors.torch").load_file
    safe_error = library("torch", "safetensors").SafetensorError
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        if size > min(100_000_000, path.stat().st_size):
            raise ValueError("its header is longer than the file")
        header = file.read(size)
    json.loads(header, object_pairs_hook=_once)
    try:
        found: dict[str, Any] = load(path, device=device)
    except safe_error as e:
        raise ValueError(str(e)) from e
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        raise ValueError("its header names a tensor twice")
    return made


def _exported(torch: Any, path: Path, device: str) -> TorchModel:
    program = torch.export.load(str(path))
    if device != "cpu":
        move = library("torch", "torch.export.passes").move_to_device_pass
        program = move(program, device)
    model = TorchModel(program.module(), torch, device, "pytorch_pt2")
    nodes = {n.name: n.meta.get("val") for n in program.graph.nodes}
    values: list[tuple[Any, Any]] = [(n, nodes.get(n)) for n in program.graph_signature.user_inputs]
    outputs = _output_names(program)
    if not outputs or not all(isinstance(v, torch.Tensor) for _, v in values):
        model.missing = "its inputs or outputs are no flat list of tensors"
        return model
    shapes = [tuple(d if isinstance(d, int) else -1 for d in v.shape) for _, v in values]
    # One row exactly is asked row by row.
    is_of_one = all(s[:1] == (1,) for s in shapes)
    has_rows = is_of_one or all(s[:1] == (-1,) for s in shapes)
    model.tell(
        [
            TensorSpec(str(n), _dtype(v), s[1:] if has_rows else s, has_rows=has_rows)
            for (n, v), s in zip(values, shapes, strict=True)
        ],
        outputs,
        is_of_one,
    )
    return model


def _output_names(program: Any) -> list[str]:
    """Of a dict its keys; of a tuple numbers; `output` of one tensor."""
    tree = program.call_spec.out_spec
    if tree.is_leaf():
        return ["output"]
    if not all(child.is_leaf() for child in tree.children()):
        return []
    if tree.type is dict:
        return [str(key) for key in tree.context]
    return [f"output_{n}" for n in range(tree.num_children)]


def _dtype(tensor: Any) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _sizes(spec: TensorSpec) -> tuple[int, ...]:
    inner = tuple(8 if d == -1 else d for d in spec.shape)
    return (1, *inner) if spec.has_rows else inner
