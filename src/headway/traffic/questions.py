"""What is asked: the examples that a model serves, or a file, in the words of any protocol that can ask.

Pure but for `read_file`; who fetches is told what to fetch.
"""

import mimetypes
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import msgspec

from headway import config, plugins
from headway.errors import ConfigError, HeadwayError
from headway.model.call import Description, TensorSpec
from headway.protocols import JSON, Ask, Asking, path_of
from headway.traffic.target import Target, request

Headers = Sequence[tuple[str, str]]
Fetch = Callable[[str], tuple[int, bytes]]
"""GET a path: its status and body."""
_LIMIT_BYTES: Final = 64 * 2**20


def protocols() -> dict[str, tuple[Asking, str]]:
    """The protocols that can write a question, each with a way to do so, by the name that users give."""
    found: dict[str, tuple[Asking, str]] = {}
    for name in plugins.in_turn("protocols"):
        codec: Any = plugins.load("protocols", name)
        for i, way in enumerate(getattr(codec, "WAYS", ())):
            found[f"{name}-{way}" if i else name] = (codec, way)
    return found


def of_model(
    model: Description, protocol: str, questions: Sequence[Any], target: Target, headers: Headers
) -> list[bytes]:
    """Whole requests to a model: each question is an item, or an array of items.

    Raises:
        ConfigError: there is no such protocol, or it can't write one of the questions.
    """
    known = protocols()
    if protocol not in known:
        raise config.unknown(protocol, known, f"`--protocol {protocol}`", "protocol")
    codec, way = known[protocol]
    found = []
    for turn, question in enumerate(questions):
        items = question if isinstance(question, list) else [question]
        try:
            ask = codec.ask(model, items, way)
        except HeadwayError as e:
            problem = f"{protocol} can't ask it: {e.message}"
            raise ConfigError(where=f"question {turn + 1}", problem=problem) from e
        ask.version = model.version
        found.append(_post(codec, ask, target, headers))
    return found


def _post(codec: Asking, ask: Ask, target: Target, headers: Headers) -> bytes:
    own = [*ask.headers.items(), *headers]
    return request(target, "POST", path_of(codec.ROUTES, ask), bytes(ask.body), own)


def as_they_are(
    bodies: Sequence[bytes], content_type: str, target: Target, headers: Headers
) -> list[bytes]:
    """Whole requests to any path, whose bodies nobody reads here."""
    own = [("content-type", content_type), *headers]
    return [request(target, "POST", target.path, body, own) for body in bodies]


def read_file(path: Path) -> tuple[list[bytes], str]:
    """The bodies that a file holds, a line of `.jsonl` each and all else one, and their content type.

    Raises:
        ConfigError: it can't be read, is empty or too large.
    """
    where = f"`--input {path}`"
    try:
        if path.stat().st_size > _LIMIT_BYTES:
            raise ConfigError(where=where, problem=f"is larger than {_LIMIT_BYTES} bytes")
        data = path.read_bytes()
    except OSError as e:
        raise ConfigError(where=where, problem=f"can't be read: {e.strerror}") from e
    if path.suffix in (".jsonl", ".ndjson"):
        bodies = [line for line in data.splitlines() if line.strip()]
        content_type = JSON
    else:
        bodies = [data] if data else []
        content_type = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    if not bodies:
        raise ConfigError(where=where, problem="is empty")
    return bodies, content_type


def parse(bodies: Sequence[bytes]) -> list[Any]:
    """Questions from JSON: an object is one item, an array of objects many. Raises ConfigError."""
    found = []
    for turn, body in enumerate(bodies):
        where = f"`--input`, question {turn + 1}"
        try:
            question = msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as e:
            raise ConfigError(where=where, problem=f"is no JSON: {e}") from e
        items = question if isinstance(question, list) else [question]
        if not items or not all(isinstance(item, dict) for item in items):
            raise ConfigError(where=where, problem="expected an object or an array of objects")
        found.append(question)
    return found


def find_model(target: Target, fetch: Fetch) -> tuple[Target, Description]:
    """What a server tells of the model that a URL names, or of its only one.

    Raises:
        ConfigError: there is no such model, or the server is not Headway's.
    """
    if not target.model:
        listed = _get(target, "/models", fetch).get("models", ())
        names = [str(m.get("name")) for m in listed if isinstance(m, Mapping)]
        if len(names) != 1:
            problem = f"names no model; add one of: {', '.join(f'/models/{n}' for n in names) or 'none is served'}"
            raise ConfigError(where=target.url, problem=problem)
        target = replace(target, model=names[0])
    path = f"/models/{quote(target.model, safe='')}"
    path += f"/versions/{quote(target.version, safe='')}" if target.version else ""
    told = _get(target, path, fetch)
    try:
        model = Description(
            name=target.model,
            version=target.version,
            doc="",
            platform="",
            inputs=msgspec.convert(told["inputs"], list[TensorSpec]),
            outputs=msgspec.convert(told["outputs"], list[TensorSpec]),
            input_schema=told["input_schema"],
            output_schema=told["output_schema"],
            examples=told["examples"],
            is_stream=bool(told["stream"]),
        )
    except (KeyError, msgspec.ValidationError) as e:
        raise _no_headway(target, path) from e
    return target, model


def _get(target: Target, path: str, fetch: Fetch) -> Mapping[str, Any]:
    status, body = fetch(path)
    if status == 200:
        try:
            return msgspec.json.decode(body, type=dict[str, Any])
        except (msgspec.DecodeError, UnicodeDecodeError) as e:
            raise _no_headway(target, path) from e
    said = words(body)
    advice = "; it wants a key: pass --key" if status == 401 else ""
    if status == 404 and not said:
        raise _no_headway(target, path)
    problem = f"GET {path} is answered {status}: {said.removesuffix('.')}{advice}"
    raise ConfigError(where=target.url, problem=problem)


def _no_headway(target: Target, path: str) -> ConfigError:
    problem = (
        f"GET {path} does not tell of a model, as Headway does; to ask another server give the whole URL "
        "to POST to, and what to ask with --input FILE"
    )
    return ConfigError(where=target.url, problem=problem)


def words(body: bytes) -> str:
    """What an error's body says, in a line; "" where it is no JSON with a message."""
    try:
        told = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    said = told.get("error", told.get("detail", "")) if isinstance(told, Mapping) else ""
    return "".join(c if c.isprintable() else " " for c in str(said))[:300]
