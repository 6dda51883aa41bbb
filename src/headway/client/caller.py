"""What can be asked of a server's models, written once for both clients: check, encode, ask, decode."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Generic, Literal, TypeVar

from headway import config
from headway.client.address import Address
from headway.client.answers import read_error, read_rows, read_value
from headway.client.arguments import encode
from headway.client.asking import LINES, Asker, Connection, Io, Lines, Options, Question
from headway.client.described import Described, describe, is_for_tensors
from headway.client.message import Answer, check_headers, path_of
from headway.errors import (
    BadInput,
    BusyError,
    ConfigError,
    DeadlineError,
    UnknownModel,
    Unreachable,
)

C = TypeVar("C", bound=Connection)
Errors = Literal["raise", "item"]

_JSON: Final = (("content-type", "application/json"),)
_STREAM: Final = (*_JSON, ("accept", LINES))
_FRESH_S: Final = 1.0
"""What is known of a model is asked for anew before a question is refused by it, unless it is as new as this."""


@dataclass(frozen=True, slots=True)
class Target:
    """Whom to ask, and how."""

    model: str
    version: str = ""
    options: Options = field(default_factory=Options)


class Caller(Generic[C]):
    """Asks the models of one server.

    Args:
        asker: sends the questions.
    """

    def __init__(self, asker: Asker[C]) -> None:
        self.asker = asker
        self._known: dict[tuple[str, str], Described] = {}

    @classmethod
    def of(cls, address: Address, key: str | None, io: Io[C]) -> "Caller[C]":
        """Of a server's address; the key is that of the environment where none is given. Raises ConfigError."""
        key = config.client_key() if key is None else key
        check_headers({"authorization": key})
        return cls(Asker(address, key, io))

    # About the server

    async def models(self, options: Options) -> list[dict[str, Any]]:
        """The models, as `GET /models` lists them."""
        found = await self._get("/models", options)
        listed: list[dict[str, Any]] = found["models"]
        return listed

    async def is_ready(self, options: Options, path: str = "/health/ready") -> bool:
        """Whether the server, or a model of it, answers; False also where nobody does."""
        try:
            answer = await self.asker.ask(Question("GET", path), options.with_(retries=0))
        except (Unreachable, DeadlineError):
            return False
        if answer.status not in (200, 503):
            raise read_error(answer, self._url)
        return answer.status == 200

    async def is_model_ready(self, target: Target) -> bool:
        """Whether a model answers."""
        return await self.is_ready(target.options, path_of(target.model, target.version, "ready"))

    async def describe(self, target: Target, *, is_anew: bool = False) -> Described:
        """What is known of a model; its server is asked once.

        Raises:
            UnknownModel, UnknownVersion: there is none of this name, also with `-` or `.` for `_`.
        """
        key = (target.model, target.version)
        if not is_anew and (known := self._known.get(key)):
            return known
        name = target.model
        try:
            details = await self._get(path_of(name, target.version), target.options)
        except UnknownModel:
            name = await self._spelled(target)
            if name == target.model:
                raise
            details = await self._get(path_of(name, target.version), target.options)
        found = describe(name, target.version, details, self.asker.now())
        self._known[key] = found
        return found

    async def _spelled(self, target: Target) -> str:
        """The one model whose name is this but for `-` and `.`, which Python's names can't hold."""
        names = [m["name"] for m in await self.models(target.options)]
        alike = [n for n in names if n.replace("-", "_").replace(".", "_") == target.model]
        return alike[0] if len(alike) == 1 else target.model

    # Questions

    async def ask(self, target: Target, inputs: Mapping[str, Any]) -> Any:
        """One item's answer, as JSON holds it; of a stream, a list of its items."""
        start = self.asker.now()
        model = await self.describe(target)
        if model.is_stream:
            return await self._gather(await self.stream(target, inputs))
        if model.plan is not None and any(is_for_tensors(value) for value in inputs.values()):
            return await self._ask_tensors(target, inputs, start)
        model, item = await self._checked(target, inputs)
        answer = await self._post(model, "predict", encode(item), self._left(target, start))
        return read_value(answer, self._url)

    async def batch(
        self, target: Target, rows: Iterable[Mapping[str, Any]], errors: Errors
    ) -> list[Any]:
        """Many items' answers in their order; with `errors="item"`, errors stand in their places."""
        start = self.asker.now()
        if errors not in ("raise", "item"):
            raise ConfigError(where="`errors`", problem="expected 'raise' or 'item'")
        rows = list(rows)
        model = await self.describe(target)
        try:
            items = model.inputs.check_rows(rows)
        except BadInput:
            model = await self._anew(target, model)
            items = model.inputs.check_rows(rows)
        op = "predict?errors=item" if errors == "item" else "predict"
        answer = await self._post(model, op, encode(items), self._left(target, start))
        found = read_rows(answer, self._url) if errors == "item" else read_value(answer, self._url)
        answers: list[Any] = found
        return answers

    async def stream(self, target: Target, inputs: Mapping[str, Any]) -> Lines[C]:
        """One item's answer as it comes."""
        start = self.asker.now()
        model, item = await self._checked(target, inputs)
        if not model.is_stream:
            raise BadInput(f"{model.name} does not stream its answer; ask it without `stream`")
        question = self._question(model, "predict", encode(item), _STREAM)
        lines = await self.asker.stream(question, self._left(target, start))
        await lines.start()
        return lines

    async def arrays(self, target: Target, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Whole batches as arrays, rows in front, in both directions: binary tensors, never JSON."""
        # numpy is imported where arrays are asked about, and nowhere else.
        from headway.client import tensors  # noqa: PLC0415

        start = self.asker.now()
        model = await self.describe(target)
        if model.plan is None:
            raise BadInput(f"{model.name} takes or answers what is no array; ask it with `batch`")
        answer = await self._infer(target, model, inputs, start, is_single=False)
        return tensors.read_arrays(model.plan, answer, self._url)

    async def _ask_tensors(self, target: Target, inputs: Mapping[str, Any], start: float) -> Any:
        # numpy is there already, for one of the inputs is an array of it.
        from headway.client import tensors  # noqa: PLC0415

        model = await self.describe(target)
        assert model.plan is not None
        answer = await self._infer(target, model, inputs, start, is_single=True)
        return tensors.read_single(model.plan, answer, self._url)

    async def _infer(
        self,
        target: Target,
        model: Described,
        inputs: Mapping[str, Any],
        start: float,
        *,
        is_single: bool,
    ) -> Answer:
        from headway.client import tensors  # noqa: PLC0415  (as above)

        assert model.plan is not None
        model.inputs.check_names(inputs)
        body, headers = tensors.write_request(model.plan, inputs, is_single=is_single)
        question = Question("POST", model.infer_path, body, headers, model.is_idempotent)
        answer = await self.asker.ask(question, self._left(target, start))
        if answer.status != 200:
            raise read_error(answer, self._url)
        return answer

    async def _gather(self, lines: Lines[C]) -> list[Any]:
        items = []
        try:
            while (found := await lines.next_item())[0]:
                items.append(found[1])
        finally:
            lines.close()
        return items

    # Parts of them

    @property
    def _url(self) -> str:
        return self.asker.address.url

    async def _get(self, path: str, options: Options) -> Any:
        return read_value(await self.asker.ask(Question("GET", path), options), self._url)

    async def _post(self, model: Described, op: str, body: bytes, options: Options) -> Answer:
        return await self.asker.ask(self._question(model, op, body, _JSON), options)

    def _question(
        self, model: Described, op: str, body: bytes, headers: tuple[tuple[str, str], ...]
    ) -> Question:
        return Question("POST", model.path(op), body, headers, model.is_idempotent)

    async def _checked(
        self, target: Target, inputs: Mapping[str, Any]
    ) -> tuple[Described, dict[str, Any]]:
        """A checked item; what seems wrong is checked again by what the model takes now."""
        model = await self.describe(target)
        try:
            return model, model.inputs.check(inputs)
        except BadInput:
            model = await self._anew(target, model)
            return model, model.inputs.check(inputs)

    async def _anew(self, target: Target, model: Described) -> Described:
        """The model as it is now: the server may have reloaded it meanwhile. Raises what was raised."""
        if self.asker.now() - model.known_at < _FRESH_S:
            return model
        try:
            return await self.describe(target, is_anew=True)
        except (BusyError, Unreachable):
            return model

    def _left(self, target: Target, start: float) -> Options:
        """The options with the time that is left: what was asked before the question counts."""
        left_s = target.options.timeout_s - (self.asker.now() - start)
        if left_s <= 0:
            raise DeadlineError(timeout_s=target.options.timeout_s)
        return target.options.with_(timeout_s=left_s)
