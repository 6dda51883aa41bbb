"""What a target is: a place that a model is shown or run in, written to as files.

A target is a module of this folder that satisfies `Target`; `headway ui export --to NAME` writes what its `render`
gives, `space_static` being asked for as `space-static`. Rendering is pure: it reads nothing but the package's own
files, and the same subject gives the same bytes. Nothing that a target writes for is imported here. Not here: how a
subject is read and where its files are put (`commands`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Literal, Protocol

from headway.model.call import Description, TensorSpec
from headway.model.portable import Step

Rendered = Mapping[str, bytes | Path]
"""Files by their place in the folder, parts joined by `/`: what is in each, or the file that it is a copy of."""


@dataclass(frozen=True, slots=True)
class Input:
    """What goes into a net: an input of the page, perhaps with numbers applied to it."""

    spec: TensorSpec
    """As the page asks for it; rows, if it has them, come in front."""
    to: str
    """The net's own name for it."""
    steps: Sequence[Step] = ()


@dataclass(frozen=True, slots=True)
class Net:
    """An ONNX file that is all of a model, but for what is done to numbers before it and to names after it."""

    file: str
    """As seen from the project's folder."""
    beside: Sequence[str]
    """Other files that it is read from, as it names them: seen from its own folder."""
    inputs: Sequence[Input]
    outputs: Sequence[TensorSpec]
    """Those that make the answer: the only one's value, or an object of all."""
    labels: Sequence[str] = ()
    """Names for the numbers of the only output; none where it is answered as it is."""

    @property
    def files(self) -> Sequence[str]:
        """All its files, as seen from the project's folder."""
        return [self.file, *(str(PurePosixPath(self.file).parent / name) for name in self.beside)]


@dataclass(frozen=True, slots=True)
class Shown:
    """One model of a page."""

    description: Description
    source: str
    """`file.py:Name`, or the model file, as seen from the project's folder."""
    runtime: str = ""
    """That opens the model file; "" for Python."""
    net: Net | None = None
    """What of it could run where there is no Python."""
    reason: str = "it is asked of a server"
    """Why there is no net."""


@dataclass(frozen=True, slots=True)
class Page:
    """The subject of a target that shows models to people."""

    title: str
    models: Sequence[Shown]
    serve: str = "."
    """What `headway serve` takes in the project's folder to serve them."""
    files: Mapping[str, Path] = field(default_factory=dict)
    """The project's files by their place in its folder."""
    headway: str = "headway"
    """What pip installs as Headway."""
    requirements: Sequence[str] = ()
    """What pip installs to serve them, Headway with its extras first."""
    python: str = "3.11"
    """The version of Python that they were seen running with."""
    ort: Mapping[str, Path] = field(default_factory=dict)
    """Files of onnxruntime-web by name; none where nobody said where they are."""

    def as_json(self, shown: Shown) -> dict[str, Any]:
        """What `GET /models/NAME` tells of a model, as far as a page reads it."""
        model = shown.description
        return {
            "name": model.name,
            "version": model.version,
            "ready": True,
            "doc": model.doc,
            "platform": model.platform,
            "input_schema": model.input_schema,
            "output_schema": model.output_schema,
            "examples": list(model.examples),
            "stream": model.is_stream,
        }


class Target(Protocol):
    """The contract of a target module."""

    SUBJECT: Literal["page"]
    """What it is rendered from."""
    HELP: str
    """What it is, in the words of a list."""
    REQUIRES: Sequence[str]
    """Requirements (PEP 508) of what runs the files here, that the extra of the target's name installs."""
    NEEDS: Sequence[str]
    """What of the subject costs to find and must be there: "files" of the project, "ort"."""

    def render(self, page: Page) -> Rendered:
        """The files.

        Raises:
            TargetError: it can't run what the page shows; says which part, and what can.
        """
        ...

    def advice(self, folder: str) -> Sequence[str]:
        """Lines that tell what to do with the folder next."""
        ...
