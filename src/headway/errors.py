"""The one tree of errors, its branches by blame. It knows no HTTP; `protocols` maps blame to status.

HeadwayError
├── CallerError              the request is at fault
│   ├── BadInput             bad_input           malformed, missing, of the wrong type, shape or range
│   ├── Rejected             rejected            the predictor refused this item
│   ├── Unauthorized         unauthorized        no key, or a wrong one
│   ├── UnknownModel         unknown_model
│   ├── UnknownVersion       unknown_version
│   ├── UnknownPath          unknown_path
│   ├── UnknownJob           unknown_job         it never was, or its result is no longer kept
│   ├── MethodNotAllowed     method_not_allowed
│   ├── Unsupported          unsupported         the dialect has a word for it, which is not offered here
│   ├── AdminOnly            admin_only          an operator's verb, where callers ask
│   ├── NotDone              not_done            what an operator asked for could not be done
│   ├── AlreadyLoaded        already_loaded      in dialects where a load is no reload
│   ├── TooLarge             too_large           a body or a part of it, before or after inflating
│   ├── Misdirected          misdirected         the Host is a name that may be anybody's
│   ├── ForeignOrigin        foreign_origin      a page of another site asks for a WebSocket, or as an operator
│   ├── NoHandshake          upgrade_required    a WebSocket is asked for in another way
│   ├── UnsupportedMedia     unsupported_media   content type or coding
│   ├── NotAcceptable        not_acceptable      no answer has a content type that is accepted
│   ├── NotOffered           not_offered         this model, or this server, does not do that
│   └── Cancelled            cancelled           the caller left
├── BusyError                not now, perhaps later (`retry_after_s`)
│   ├── QueueFull            queue_full          this model's own bound
│   ├── NotReady             not_ready           no worker of this model is ready
│   └── Unloaded             unloaded            an operator has unloaded this model
├── DeadlineError            deadline            the request's time is over
├── ModelError               the predictor is at fault
│   ├── ModelFailed          model_failed        its code raised
│   ├── OutOfMemory          out_of_memory       one input needs more memory than there is
│   ├── BadOutput            bad_output          it answered in a wrong shape or type
│   ├── ModelCrashed         model_crashed       this request killed every worker that tried it
│   ├── GivenUp              given_up            it can't be loaded, and the others are served
│   └── NotLoaded            not_loaded          its files or its code can't be loaded, so the server ends
├── WorkerError              the process is at fault
│   ├── WorkerLost           worker_lost         it died with this request, which is not tried again
│   ├── JobLost              job_lost            the gateway of this job has died, or its answer could not be kept
│   └── ServerStopped        server_stopped      the server ended before this request's answer was ready
├── ReachError               between a client and the server
│   ├── Unreachable          unreachable         nobody answers at the address, or the connection broke
│   └── BadAnswer            bad_answer          what answered is not Headway: a proxy's page, cut off, no HTTP
├── BundleError              bundle              a model's files are missing, damaged or not trusted
├── SignatureError           signature           a predictor whose signature can't be served
├── ConfigError              config              a setting is unknown or out of range
├── PluginError              plugin              an unknown plugin, or its library is missing
├── TargetError              target              a target can't run what it is asked to show
└── InternalError            internal            our own bug, told by an id

A class's docstring is its default message, filled from its fields: what happened, what was expected, what to do.
Requests that are no HTTP, or none that may be served, have codes of their own (`server/chunks.py`, FramingError).
"""

from enum import IntEnum
from typing import Any


class HeadwayError(Exception):
    """Something went wrong."""

    code: str = "internal"

    def __init__(self, message: str = "", **fields: Any) -> None:
        self.fields = fields
        self.message = message or _sentence((type(self).__doc__ or "").strip(), fields)
        super().__init__(self.message)


def _sentence(text: str, fields: dict[str, Any]) -> str:
    """A docstring with its fields; where the last one is a sentence itself, its full stop is enough."""
    said = text.format_map(_Fields(fields))
    return said[:-1] if said.endswith("..") and not said.endswith("...") else said


class _Fields(dict[str, Any]):
    """Fields of a message; one that was not given shows as a question mark rather than hiding the error."""

    def __missing__(self, key: str) -> "_Unknown":
        return _Unknown("?")


class _Unknown(str):
    """Stands for a field that was not given, whatever format its place asks for."""

    def __format__(self, spec: str) -> str:
        return str(self)


class CallerError(HeadwayError):
    """The request can't be answered as it was asked."""

    code = "bad_request"


class BadInput(CallerError):
    """{where}: expected {expected}, found {found}."""

    code = "bad_input"


class Rejected(CallerError):
    """The predictor can't answer this item."""

    code = "rejected"


class Unauthorized(CallerError):
    """A valid API key is needed: send it as `Authorization: Bearer KEY`."""

    code = "unauthorized"


class UnknownModel(CallerError):
    """There is no model named {model!r} here; known: {known}."""

    code = "unknown_model"


class UnknownVersion(CallerError):
    """Model {model!r} has no version {version!r}; known: {known}."""

    code = "unknown_version"


class UnknownPath(CallerError):
    """Nothing is served at this path; GET /openapi.json lists what is."""

    code = "unknown_path"


class UnknownJob(CallerError):
    """There is no job {job!r} here: none has this id, or its result is no longer kept."""

    code = "unknown_job"


class MethodNotAllowed(CallerError):
    """This path answers {allow} only."""

    code = "method_not_allowed"


class Unsupported(CallerError):
    """{what} is not offered here: {advice}."""

    code = "unsupported"


class AdminOnly(CallerError):
    """{what} is answered on the admin API alone: its Unix socket, `admin_address`, or here with `public_admin`."""

    code = "admin_only"


class NotDone(CallerError):
    """{what} could not be done: {reason}."""

    code = "not_done"


class AlreadyLoaded(CallerError):
    """Model {model!r} is loaded already; unload it first."""

    code = "already_loaded"


class TooLarge(CallerError):
    """{what} is larger than the limit of {limit_bytes} bytes."""

    code = "too_large"


class Misdirected(CallerError):
    """The Host {host!r} is not served here; use an address or localhost, or name it in the setting `hosts`."""

    code = "misdirected"


class ForeignOrigin(CallerError):
    """Pages of {origin!r} may not ask for this here; serve the page from here, or name its host in `hosts`."""

    code = "foreign_origin"


class NoHandshake(CallerError):
    """This path speaks WebSocket (RFC 6455): {problem}."""

    code = "upgrade_required"


class UnsupportedMedia(CallerError):
    """{what} {found!r} is not understood here; expected {expected}."""

    code = "unsupported_media"


class NotAcceptable(CallerError):
    """No answer here has a content type of {found!r}; expected {expected}."""

    code = "not_acceptable"


class NotOffered(CallerError):
    """{what} is not offered here: {reason}."""

    code = "not_offered"


class Cancelled(CallerError):
    """The caller left before the answer was ready."""

    code = "cancelled"


class BusyError(HeadwayError):
    """The server can't answer now; try again in {retry_after_s} s."""

    code = "busy"

    def __init__(self, message: str = "", *, retry_after_s: float = 1.0, **fields: Any) -> None:
        super().__init__(message, retry_after_s=retry_after_s, **fields)
        self.retry_after_s = retry_after_s


class QueueFull(BusyError):
    """The queue of model {model!r} is full ({limit}); try again in {retry_after_s:g} s."""

    code = "queue_full"


class NotReady(BusyError):
    """Model {model!r} is not ready: {reason}; try again in {retry_after_s:g} s."""

    code = "not_ready"


class Unloaded(BusyError):
    """Model {model!r} has been unloaded by an operator, and answers when it is loaded again."""

    code = "unloaded"


class DeadlineError(HeadwayError):
    """The answer was not ready within {timeout_s:g} s."""

    code = "deadline"


class ModelError(HeadwayError):
    """The model failed."""

    code = "model_error"


class ModelFailed(ModelError):
    """The model raised an error on this input; the server's log has it under this request id."""

    code = "model_failed"


class OutOfMemory(ModelError):
    """The model needs more memory for this input than there is; ask with a smaller input, or give the server more."""

    code = "out_of_memory"


class BadOutput(ModelError):
    """The model's answer is not what its signature promises: expected {expected}, found {found}."""

    code = "bad_output"


class ModelCrashed(ModelError):
    """This request ended the process of every worker that tried it ({attempts}{reason}); it is not tried again."""

    code = "model_crashed"


class GivenUp(ModelError):
    """Model {model!r} can't be loaded: {reason}; nobody tries again before it is mended and the server is reloaded."""

    code = "given_up"


class NotLoaded(ModelError):
    """Model {model!r} can't be loaded: {reason}."""

    code = "not_loaded"


class WorkerError(HeadwayError):
    """A worker failed."""

    code = "worker_error"


class WorkerLost(WorkerError):
    """The worker that held this request died{reason}, and {why}."""

    code = "worker_lost"


class JobLost(WorkerError):
    """This job is lost: the process that had taken it has ended, or its answer could not be kept; ask again."""

    code = "job_lost"


class ServerStopped(WorkerError):
    """The server has stopped; the answer was not ready within the time that it had left."""

    code = "server_stopped"


class ReachError(HeadwayError):
    """The server can't be reached."""

    code = "reach"


class Unreachable(ReachError):
    """No answer from {url}: {reason}; see that `headway serve` runs and that this is its address."""

    code = "unreachable"


class BadAnswer(ReachError):
    """{url} answered {found}, which is not what Headway answers; see what is between you and the server."""

    code = "bad_answer"


class BundleError(HeadwayError):
    """{path}: {problem}."""

    code = "bundle"


class SignatureError(HeadwayError):
    """{where}: {found} can't be served; {advice}."""

    code = "signature"


class ConfigError(HeadwayError):
    """{where}: {problem}."""

    code = "config"


class PluginError(HeadwayError):
    """There is no {kind} named {name!r}; known: {known}."""

    code = "plugin"


class TargetError(HeadwayError):
    """{target} can't show {what}: {reason}."""

    code = "target"


class InternalError(HeadwayError):
    """An internal error; the server's log has it under this request id."""

    code = "internal"


class Exit(IntEnum):
    """How a `headway` command ends, for scripts and for whatever starts the server."""

    OK = 0
    """Done; for `serve`: drained within the grace time."""
    BUG = 1
    """Our own error: please report it."""
    USAGE = 2
    """An argument, a setting or an input is wrong: nothing was started."""
    MODEL = 3
    """A model could not be loaded, or failed on what it was asked."""
    LISTEN = 4
    """The address is in use, or this user may not listen on it."""
    GRACE = 5
    """`serve` was told to stop, and not all were answered: the grace was over, or a gateway died with its clients."""
    MISSED = 6
    """`check` found answers that do not agree, a schema that clients break by, or another fault; or a bound that
    `bench` was given (`--max-p99`, `--max-errors`) was not kept."""
    INTERRUPTED = 130
    """Ctrl-C before the work was done, or told to stop before the server was ready."""


def exit_of(error: HeadwayError) -> Exit:
    """The exit code of an error, by blame."""
    if isinstance(error, (CallerError, ConfigError, ReachError, TargetError)):
        return Exit.USAGE
    return Exit.BUG if isinstance(error, InternalError) else Exit.MODEL
