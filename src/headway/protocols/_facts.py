"""What a gateway, or the supervisor, tells a codec that answers by itself. Not a protocol by itself."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from headway import errors
from headway.model.call import Description, ModelState

UNLOADED = "unloaded"
"""The reason of a state: an operator has unloaded the model, and nobody holds it any more."""


@dataclass(frozen=True, slots=True)
class Stats:
    """What one model has done since the server started; times in seconds."""

    inferences: int = 0
    """Rows answered."""
    executions: int = 0
    """Model calls."""
    successes: int = 0
    failures: int = 0
    success_s: float = 0.0
    fail_s: float = 0.0
    queue_s: float = 0.0
    decode_s: float = 0.0
    compute_s: float = 0.0
    encode_s: float = 0.0
    last_inference_ms: int = 0
    """Milliseconds since the epoch."""
    cache_hits: int = 0
    """Requests that another one's answer answered: a kept one, or that of an equal one under way."""
    cache_misses: int = 0


@dataclass(frozen=True, slots=True)
class Tuning:
    """What an operator can change of a running server, as it is now."""

    log_level: str = "info"
    traces: str = ""
    """The exporter of spans; "" for none, and then nothing is traced."""
    traces_share: float = 1.0


@dataclass(frozen=True, slots=True)
class Plan:
    """How one model is run."""

    max_rows: int
    """Most rows of one model call."""
    max_request_rows: int
    hold_s: float
    workers: int
    device: str


@dataclass(frozen=True, slots=True)
class Facts:
    """What the gateway, or for its operator the supervisor, knows when it answers by itself."""

    descriptions: Mapping[str, Mapping[str, Description]]
    """By model name, then version; the last version is the one that is asked by default."""
    ready: Mapping[str, bool]
    """By model name; a real round trip for routes that need a probe."""
    is_server_ready: bool
    stats: Mapping[str, Stats]
    server_version: str
    failures: Mapping[str, str] = field(default_factory=dict)
    """Why a model has been given up, by name; for the operator alone it is the reason itself."""
    states: Mapping[str, ModelState] = field(default_factory=dict)
    """By model name."""
    plans: Mapping[str, Plan] = field(default_factory=dict)
    """By name of each model that is described."""
    tuning: Tuning = Tuning()

    def state(self, model: str) -> ModelState:
        """What becomes of a model. Raises UnknownModel."""
        if model not in self.descriptions:
            known = ", ".join(sorted(self.descriptions)) or "none"
            raise errors.UnknownModel(model=model, known=known)
        return self.states.get(model) or ModelState(
            "READY" if self.ready.get(model, False) else "UNAVAILABLE"
        )

    def is_unloaded(self, model: str) -> bool:
        """Whether an operator has unloaded it."""
        state = self.states.get(model)
        return state is not None and (state.state == "UNLOADING" or state.reason == UNLOADED)

    def description(self, model: str, version: str) -> Description:
        """What is known of a version of a model; of the default one for "".

        Raises:
            UnknownModel: there is no such model.
            UnknownVersion: the model has no such version.
            NotReady: no worker has told yet what the model looks like.
            GivenUp: and none ever will.
        """
        versions = self.descriptions.get(model)
        if versions is None:
            known = ", ".join(sorted(self.descriptions)) or "none"
            raise errors.UnknownModel(model=model, known=known)
        if version and version not in versions:
            known = ", ".join(versions) or "none"
            raise errors.UnknownVersion(model=model, version=version, known=known)
        if not versions and model in self.failures:
            raise errors.GivenUp(model=model, reason=self.failures[model])
        if not versions and self.is_unloaded(model):
            raise errors.Unloaded(model=model)
        if not versions:
            raise errors.NotReady(model=model, reason="it is being loaded")
        return versions[version or list(versions)[-1]]

    def check_ready(self, model: str, version: str) -> None:
        """Raise NotReady (or GivenUp, UnknownModel, UnknownVersion) unless a model can answer now."""
        self.description(model, version)
        if model in self.failures:
            raise errors.GivenUp(model=model, reason=self.failures[model])
        if self.is_unloaded(model):
            raise errors.Unloaded(model=model)
        if not self.ready.get(model, False):
            raise errors.NotReady(model=model, reason="no worker answers")
