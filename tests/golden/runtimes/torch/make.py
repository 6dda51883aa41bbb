"""Write the golden model anew: `python tests/golden/runtimes/torch/make.py`; the answers stay."""

from importlib import import_module
from pathlib import Path

HERE = Path(__file__).parent

if __name__ == "__main__":
    torch = import_module("torch")
    line = torch.nn.Linear(2, 2)
    line.load_state_dict(
        {"weight": torch.tensor([[2.0, -1.0], [0.0, 0.5]]), "bias": torch.tensor([1.0, 0.0])}
    )
    rows = {0: torch.export.Dim("rows")}
    program = torch.export.export(line.eval(), (torch.zeros(2, 2),), dynamic_shapes=(rows,))
    torch.export.save(program, HERE / "model.pt2")
