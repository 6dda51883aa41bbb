"""The packaging extras, read from the plugins: an extra is a plugin's name and what it REQUIRES.

The files are read, never imported: nothing that they need is there when the package is built.
"""

import ast
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

_HOME = Path(__file__).parent / "src" / "headway"
_LIGHT = ("lightgbm", "onnx", "sklearn", "xgboost")
"""The runtimes that a development install has, a few megabytes each; `scripts/heavy` has the others."""
_DEVELOPMENT = {
    "test": [
        "atheris>=3.0; sys_platform == 'linux' and python_version < '3.15'",
        "axe-playwright-python>=0.1.4",
        "cloudevents>=2.2",
        "gql[requests]>=4",
        "graphql-core>=3.3,<3.4",
        "grpcio-health-checking>=1.70",
        "grpcio-reflection>=1.70",
        "grpcio>=1.70",
        "hatchling>=1.25",
        "hpack>=4.1",
        "hypothesis>=6.100",
        "onnx>=1.17",
        "openai>=2",
        "opentelemetry-exporter-otlp-proto-http>=1.30",
        "opentelemetry-sdk>=1.30",
        "pandas>=2.2",
        "pillow>=11",
        "playwright>=1.55",
        "polars>=1",
        "prometheus-client>=0.21",
        "pyarrow>=18",
        "pydantic>=2.6",
        "pytest>=8.3",
        "pytest-randomly>=3.16",
        "pytest-timeout>=2.3",
        "pytest-xdist>=3.6",
        "schemathesis>=4.30",
        "soundfile>=0.13",
        "soxr>=0.5",
        "trustme>=1.2",
        "websockets>=15",
    ],
    "docs": ["mkdocs>=1.6", "mkdocs-material>=9.7"],
    "lint": [
        "mypy>=1.14",
        "pandas-stubs>=2.2",
        "pyright>=1.1.390",
        "ruff>=0.9",
        "types-PyYAML>=6",
    ],
}


class ExtrasHook(MetadataHookInterface):
    """Fills in `optional-dependencies`."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Add the extras to the project's metadata."""
        metadata["optional-dependencies"] = extras()


def extras() -> dict[str, list[str]]:
    """Every extra with its requirements, sorted."""
    found: dict[str, list[str]] = {}
    runtimes: set[str] = set()
    for path in sorted(_HOME.glob("*s/[!_]*.py")):
        if needed := _requires(path):
            name = path.stem.replace("_", "-")
            found[name] = sorted({*found.get(name, ()), *needed})
            runtimes.update(needed if path.parent.name == "runtimes" else ())
    development = {name: list(needed) for name, needed in _DEVELOPMENT.items()}
    development["dev"] = sorted({*_DEVELOPMENT["test"], *_DEVELOPMENT["lint"]})
    light = sorted({r for name in _LIGHT for r in found.get(name, ())})
    return {**found, "all-runtimes": sorted(runtimes), "light-runtimes": light, **development}


def _requires(path: Path) -> list[str]:
    """The literal REQUIRES of a module; empty where it has none."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        names = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if any(isinstance(n, ast.Name) and n.id == "REQUIRES" for n in names):
            return list(ast.literal_eval(node.value))  # type: ignore[attr-defined]
    return []
