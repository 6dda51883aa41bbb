"""Which questions are asked: those that were accepted, the predictor's examples, those of a file, or made-up ones."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from headway.config import ModelSpec
from headway.errors import BundleError, ConfigError
from headway.forms import Subject
from headway.model import example, golden
from headway.model.golden import Golden, Sample
from headway.model.predictor import Traits, traits_of
from headway.model.wording import told

ABSENT = object()


@dataclass(frozen=True, slots=True)
class Question:
    """One sample to be asked."""

    item: Mapping[str, Any]
    """Whole, as a request has it."""
    sample: Sample
    """As it is, or will be, kept."""
    expected: Any = ABSENT
    """The accepted answer."""
    is_kept: bool = True
    """It belongs among the accepted ones: it is no example that the predictor no longer has, and not made up."""


def golden_path(spec: ModelSpec, models: Iterable[ModelSpec]) -> Path:
    """Where a model's golden samples are: beside its code, under its name where several models share the folder."""
    is_shared = sum(other.root == spec.root for other in models) > 1
    return Path(spec.root) / (f"{spec.name}.{golden.FILE}" if is_shared else golden.FILE)


def traits(subject: Subject) -> Traits:
    """What the author says of a predictor besides its signature."""
    predict = subject.loaded.opened.predict
    return traits_of(getattr(predict, "__self__", predict))


def read_file(path: Path) -> list[Mapping[str, Any]]:
    """The items of a file that holds one in its JSON form a line.

    Raises:
        ConfigError: with the line that can't be read.
    """
    try:
        lines = path.read_bytes().splitlines()
    except OSError as e:
        raise ConfigError(where=str(path), problem=f"can't be read: {e.strerror}") from e
    items: list[Mapping[str, Any]] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            items.append(msgspec.json.decode(line, type=dict[str, Any]))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as e:
            where = f"{path.name}, line {number}"
            raise ConfigError(
                where=where, problem=f"expected an item as JSON: {told(e, line)}"
            ) from e
    return items


def questions(
    subject: Subject,
    accepted: Golden | None,
    more: Sequence[Mapping[str, Any]],
    *,
    is_accepting: bool,
) -> tuple[list[Question], list[str]]:
    """All questions about a model, the accepted ones first, and what is wrong with some.

    Args:
        subject: the model.
        accepted: its golden samples, if there are any.
        more: items of a file.
        is_accepting: files that have changed are taken as they are now.
    """
    root = Path(subject.spec.root)
    offered = {
        s.question: s for s in (*_examples(subject, root), *(Sample(dict(i), None) for i in more))
    }
    found: list[Question] = []
    problems: list[str] = []
    for number, sample in enumerate(accepted.samples if accepted else (), 1):
        own = offered.pop(sample.question, None)
        is_kept = not sample.is_example or own is not None
        current = _with_files(sample, root) if is_accepting else sample
        try:
            item = golden.whole(current, root, subject.description.input_schema)
        except BundleError as e:
            problems.append(f"sample {number}: {e.message}")
        else:
            found.append(Question(item, current, sample.answer, is_kept))
    for sample in offered.values():
        item = golden.whole(sample, root, subject.description.input_schema)
        found.append(Question(item, sample))
    if not found and not problems:
        zeros = example.made_up(subject.loaded.opened.signature)
        found += [Question(zeros, Sample(zeros, None), is_kept=False)] if zeros is not None else []
    return found, problems


def _examples(subject: Subject, root: Path) -> list[Sample]:
    opened = subject.loaded.opened
    found = []
    for raw, item in zip(traits(subject).examples, opened.examples, strict=False):
        files = {n: golden.fingerprint(p, root) for n, p in example.files_of(raw).items()}
        inputs = {name: value for name, value in item.items() if name not in files}
        found.append(Sample(inputs, None, files, is_example=True))
    return found


def _with_files(sample: Sample, root: Path) -> Sample:
    """A sample with its files as they are now; one that can't be read stays, and is told later."""
    try:
        files = {n: golden.fingerprint(f.path, root) for n, f in sample.files.items()}
    except BundleError:
        return sample
    return msgspec.structs.replace(sample, files=files)
