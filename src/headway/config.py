"""The one table of settings, and how its values are read: an option is one row, and only here.

A row gives a flag, a `HEADWAY_*` variable, a key of `headway.yaml` and a line of the reference
page. Order: default, file, environment, flag. This is the only module that reads the environment.
Not here: how a file becomes a layer of entries (`model.project`).
"""

import dataclasses
import difflib
import math
import os
import re
import tempfile
import types
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar, get_args, get_origin, get_type_hints

from headway.errors import ConfigError

T = TypeVar("T")
KIB: Final = 2**10
MIB: Final = 2**20


@dataclass(frozen=True, slots=True)
class Setting:
    """What the table says of an option besides its name, type and default."""

    help: str
    unit: str = ""
    """What a number counts ("s", "bytes"); a "path" in headway.yaml starts at the file's folder."""
    ge: float | None = None
    le: float | None = None
    each: str = ""
    """What each text between commas must be: a pattern."""
    takes: str = ""
    """What that is, in words."""
    flag: bool = True
    """Also a flag of `headway serve`."""
    live: bool = True
    """A reload can change it."""
    platforms: tuple[str, ...] = ()
    """Variables by which a platform tells it to the containers that it starts; they come before ours, which an image
    may hold for wherever it runs."""


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """How the server listens, limits and ends."""

    host: Annotated[
        str, Setting("address to listen on; 0.0.0.0 is every interface", live=False)
    ] = "127.0.0.1"
    port: Annotated[
        int,
        Setting(
            "port to listen on; 0 takes a free one",
            ge=0,
            le=65535,
            live=False,
            platforms=("SAGEMAKER_BIND_TO_PORT", "AIP_HTTP_PORT"),
        ),
    ] = 8000
    grpc_port: Annotated[
        int | None,
        Setting(
            "port that speaks gRPC and nothing else; 0 takes a free one, -1: gRPC is not spoken; by default "
            "the HTTP port, or the Unix socket, speaks it as well, unless it has TLS",
            ge=-1,
            le=65535,
            live=False,
        ),
    ] = None
    unix: Annotated[
        str, Setting("Unix socket to listen on instead of an address", unit="path", live=False)
    ] = ""
    gateways: Annotated[
        int, Setting("processes that speak to clients", ge=1, le=64, live=False)
    ] = 1
    admin: Annotated[
        str,
        Setting(
            "the admin API's Unix socket; by default one beside the user's other runtime files",
            unit="path",
            live=False,
        ),
    ] = ""
    admin_address: Annotated[
        str,
        Setting(
            "address and port on which the admin API is answered too, as 127.0.0.1:9000; it needs `admin_token_file`",
            each=r"(\[[0-9A-Fa-f:.]+\]|[\w.-]+):[0-9]{1,5}",
            takes="HOST:PORT, an IPv6 host in brackets; port 0 takes a free one",
            live=False,
        ),
    ] = ""
    admin_token_file: Annotated[
        str,
        Setting(
            "file with one SHA-256 (hex) of a token a line, of which `admin_address` demands one",
            unit="path",
        ),
    ] = ""
    admin_page: Annotated[
        bool,
        Setting(
            "show what runs as a page at /admin of `admin_address`; it asks for a token before it tells anything"
        ),
    ] = False
    public_admin: Annotated[
        bool,
        Setting(
            "also answer operators' verbs (load and unload of models, log and trace settings) where callers ask: "
            "whoever may ask a model may then take it from all others"
        ),
    ] = False
    tls_certificate: Annotated[
        str,
        Setting(
            "PEM file with the server's certificate chain; turns TLS on", unit="path", live=False
        ),
    ] = ""
    tls_key: Annotated[
        str, Setting("PEM file with the certificate's private key", unit="path", live=False)
    ] = ""
    key_file: Annotated[
        str,
        Setting(
            "file with one SHA-256 (hex) of an API key a line; without it no key is asked for",
            unit="path",
        ),
    ] = ""
    hosts: Annotated[
        str,
        Setting(
            "names, with commas between, that a request may have as Host where the server listens on "
            "loopback without keys (addresses and localhost always may), and whose pages may open "
            "WebSockets; * is every name",
            each=r"\*|(?=.{1,253}$)\w([\w-]{0,62})(\.\w[\w-]{0,62})*\.?|\[[0-9A-Fa-f:.]{2,45}\]",
            takes="host names (IPv6 in brackets) with commas between, or *, without scheme, port and path",
        ),
    ] = ""
    frame_hosts: Annotated[
        str,
        Setting(
            "names, with commas between, of sites whose pages may show the page in a frame, over HTTPS; by default "
            "this server's own alone may",
            each=r"(?=.{1,253}$)\w([\w-]{0,62})(\.\w[\w-]{0,62})*(:[0-9]{1,5})?",
            takes="host names with commas between, without scheme and path",
            live=False,
        ),
    ] = ""
    default_model: Annotated[
        str,
        Setting(
            "model that a request asks whose path, headers and body name none; by default the only one"
        ),
    ] = ""
    aliases: Annotated[
        str,
        Setting(
            "other names of paths: PATH=PATH with commas between; what is asked at the first is asked at the second",
            each=r"/[^\s,=?#]*=/[^\s,=?#]*",
            takes="PATH=PATH with commas between, such as /predict=/models/sentiment/predict",
        ),
    ] = ""
    root_path: Annotated[
        str,
        Setting(
            "the path below which a proxy in front shows this server, as /team/a; the proxy may leave it in what it "
            "passes on, or take it out",
            each=r"(/[\w.~-]+)+",
            takes="a path that begins with / and does not end so",
            live=False,
        ),
    ] = ""
    dialect: Annotated[
        str,
        Setting(
            "where two protocols share a path, which of them is spoken: NAME=VALUE with commas between",
            each=r"[a-z0-9-]{1,40}=[a-z0-9-]{1,40}",
            takes="NAME=VALUE with commas between, of the choices in the reference",
        ),
    ] = ""
    max_body_bytes: Annotated[
        int, Setting("largest request body, also after inflating", unit="bytes", ge=1)
    ] = 64 * MIB
    max_message_bytes: Annotated[
        int, Setting("largest message of a WebSocket", unit="bytes", ge=1)
    ] = MIB
    max_pending_bytes: Annotated[
        int,
        Setting(
            "most bytes of bodies that arrive or wait, over all models and gateways; one is always taken",
            unit="bytes",
            ge=1,
        ),
    ] = 512 * MIB
    max_head_bytes: Annotated[
        int, Setting("largest request head: request line and headers", unit="bytes", ge=256)
    ] = 16 * KIB
    max_headers: Annotated[int, Setting("most headers of a request", ge=1)] = 100
    max_target_bytes: Annotated[int, Setting("longest request target", unit="bytes", ge=16)] = (
        8 * KIB
    )
    max_connections: Annotated[
        int, Setting("most connections at a time, over all gateways", ge=1)
    ] = 4096
    head_timeout_s: Annotated[
        float, Setting("a request's head must arrive within this", unit="s", ge=0.1)
    ] = 10.0
    body_timeout_s: Annotated[
        float,
        Setting(
            "a request's body must arrive within this, and a second for each `min_body_rate` bytes",
            unit="s",
            ge=0.1,
        ),
    ] = 20.0
    min_body_rate: Annotated[
        int, Setting("slowest body that is still waited for", unit="bytes/s", ge=1)
    ] = 1024
    idle_timeout_s: Annotated[
        float,
        Setting(
            "an idle connection is closed after this, and a WebSocket without a message either way",
            unit="s",
            ge=0.1,
        ),
    ] = 75.0
    write_timeout_s: Annotated[
        float, Setting("an answer must be taken within this", unit="s", ge=0.1)
    ] = 60.0
    drain_delay_s: Annotated[
        float,
        Setting("after SIGTERM, go on accepting for this long while not ready", unit="s", ge=0),
    ] = 5.0
    grace_s: Annotated[
        float, Setting("after SIGTERM, end what is under way within this", unit="s", ge=0)
    ] = 30.0
    reload: Annotated[
        bool,
        Setting("watch the predictor's files and replace its workers when they change", live=False),
    ] = False
    max_jobs: Annotated[
        int,
        Setting(
            "most jobs (`Prefer: respond-async`) under way or kept, over all gateways; 0: none are taken, and "
            "whoever asks for one waits for the answer",
            ge=0,
        ),
    ] = 1000
    max_job_bytes: Annotated[
        int, Setting("most bytes of jobs' results that are kept", unit="bytes", ge=4096)
    ] = 256 * MIB
    job_ttl_s: Annotated[
        float, Setting("a job's result is kept for so long at most", unit="s", ge=1)
    ] = 3600.0
    job_folder: Annotated[
        str,
        Setting(
            "folder of the jobs' records and results, this user's own; by default one beside the user's other "
            "runtime files",
            unit="path",
            live=False,
        ),
    ] = ""
    webhook_urls: Annotated[
        str,
        Setting(
            "beginnings of URLs, with commas between, that may be told of a job as its caller asks; an address "
            "that is not public only where it stands here itself",
            each=r"https?://[\w.:\[\]-]{1,260}/[^\s,@\\?#]*",
            takes="URLs of http or https with a path (at least /), with commas between",
        ),
    ] = ""
    feedback: Annotated[
        str,
        Setting(
            "SQLite file that keeps what people say of answers on the page; empty: nothing is kept",
            unit="path",
            live=False,
        ),
    ] = ""
    feedback_bytes: Annotated[
        int, Setting("largest such file; then no more is kept", unit="bytes", ge=65536, live=False)
    ] = 1024 * MIB
    feedback_redact: Annotated[
        str,
        Setting(
            "FILE.py:FUNCTION that is given each opinion and gives back what may be kept of it, or None",
            unit="path",
            live=False,
        ),
    ] = ""
    traces: Annotated[
        str,
        Setting("exporter that spans of requests go to: otel; empty: none are made", live=False),
    ] = ""
    traces_url: Annotated[
        str,
        Setting(
            "where the exporter sends them; by default what OTEL_EXPORTER_OTLP_ENDPOINT says, or "
            "http://localhost:4318/v1/traces",
            live=False,
        ),
    ] = ""
    traces_share: Annotated[
        float,
        Setting(
            "how many of the requests are traced whose callers send no traceparent",
            ge=0,
            le=1,
        ),
    ] = 1.0
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        Setting("least severe log line that is written"),
    ] = "info"
    log_format: Annotated[
        Literal["auto", "human", "json"],
        Setting("how log lines look; auto: human on a terminal", live=False),
    ] = "auto"

    def __post_init__(self) -> None:
        """Refuse what only makes sense in pairs."""
        if bool(self.tls_certificate) != bool(self.tls_key):
            given, missing = ("tls_certificate", "tls_key")[:: 1 if self.tls_certificate else -1]
            raise ConfigError(where=f"`{given}`", problem=f"TLS needs `{missing}` too")
        if self.admin_address and not self.admin_token_file:
            problem = (
                "the admin API over TCP needs `admin_token_file` too; `headway key` makes a token"
            )
            raise ConfigError(where="`admin_address`", problem=problem)
        if self.admin_page and not self.admin_address:
            problem = "a browser can't open the admin API's Unix socket: it needs `admin_address` and a token"
            raise ConfigError(where="`admin_page`", problem=problem)


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """How one model is run. None: measured or derived at start, and said in the start-up line."""

    workers: Annotated[int | None, Setting("processes that hold the model", ge=1, le=256)] = None
    slots: Annotated[
        int | None, Setting("threads of a worker that each run a batch", ge=1, le=256)
    ] = None
    threads: Annotated[int | None, Setting("threads inside one model call", ge=1, le=1024)] = None
    max_batch: Annotated[
        int | None, Setting("most requests that a free slot takes at once", ge=1, le=65536)
    ] = None
    max_rows: Annotated[
        int | None, Setting("most rows of one model call; larger requests are split", ge=1)
    ] = None
    max_request_rows: Annotated[
        int, Setting("most rows of one request, and most texts in one of its tensors", ge=1)
    ] = 65536
    max_batch_bytes: Annotated[
        int, Setting("most bytes of bodies that a free slot takes at once", unit="bytes", ge=1)
    ] = 16 * MIB
    hold_s: Annotated[
        float,
        Setting("wait at most this long for a fuller batch (for GPUs)", unit="s", ge=0, le=10),
    ] = 0.0
    max_queue: Annotated[int, Setting("most requests that wait", ge=1)] = 2048
    max_queue_bytes: Annotated[
        int, Setting("most bytes of bodies that wait", unit="bytes", ge=1)
    ] = 256 * MIB
    timeout_s: Annotated[
        float,
        Setting(
            "a request's deadline, where the caller sets none; also the latest it may set",
            unit="s",
            ge=0.001,
        ),
    ] = 30.0
    job_timeout_s: Annotated[
        float,
        Setting(
            "a job's deadline, its time in the queue included, unless `timeout_s` is later; also the latest that "
            "its caller may set",
            unit="s",
            ge=0.001,
        ),
    ] = 600.0
    load_timeout_s: Annotated[
        float, Setting("load and warm-up must end within this", unit="s", ge=0.1)
    ] = 600.0
    hang_kill_s: Annotated[
        float,
        Setting("a worker that shows no sign of life for this long is killed", unit="s", ge=1),
    ] = 30.0
    cache_bytes: Annotated[
        int,
        Setting(
            "most bytes of answers that are kept to answer equal requests with, over all gateways; "
            "each worker may keep as many of its rows' answers; 0 keeps none",
            unit="bytes",
            ge=0,
        ),
    ] = 0
    cache_ttl_s: Annotated[
        float, Setting("no kept answer is given for longer than this", unit="s", ge=0.001)
    ] = 600.0
    fetch_urls: Annotated[
        str,
        Setting(
            "beginnings of URLs, with commas between, of files that a request may name instead of sending; "
            "an address that is not public only where it stands here itself",
            each=r"https?://[\w.:\[\]-]{1,260}/[^\s,@\\?#]*",
            takes="URLs of http or https with a path (at least /), with commas between",
        ),
    ] = ""
    slow_s: Annotated[
        float,
        Setting(
            "log each request that took longer, at most ten lines a second; 0: none", unit="s", ge=0
        ),
    ] = 0.0
    compress_bytes: Annotated[
        int,
        Setting(
            "answers of so many bytes or more are compressed, if that makes them smaller, where the caller takes gzip "
            "or deflate; 0: none are",
            unit="bytes",
            ge=0,
        ),
    ] = 16 * KIB
    device: Annotated[
        str,
        Setting(
            "where the model runs: auto (cuda:0 for a model file if there is one), cpu, cuda:0"
        ),
    ] = "auto"
    is_trusted: Annotated[
        bool,
        Setting("the author of this model's files may run code here (pickle, joblib, TorchScript)"),
    ] = False
    tolerance: Annotated[
        float | None,
        Setting(
            "`headway check`: numbers may differ by so much, absolutely up to 1 and relatively above; "
            "by default it depends on their type",
            ge=0,
            flag=False,
        ),
    ] = None
    is_required: Annotated[
        bool,
        Setting("the server is not ready before this model is, and ends if it can't be loaded"),
    ] = True


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """One model to serve: where it is and how it is run."""

    name: str
    root: str
    """Absolute path of the folder that confines it."""
    source: str
    """`file.py:Name` or a model file, relative to `root`."""
    settings: ModelSettings = ModelSettings()
    version: str = "1"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table, as those who print it or read values by it see it."""

    field: str
    type: Any
    """bool, int, float, str or a Literal of strings."""
    is_optional: bool
    default: Any
    setting: Setting

    @property
    def key(self) -> str:
        """What users write in headway.yaml: the field, without the `is_` that Python reads by."""
        return self.field.removeprefix("is_")

    @property
    def variable(self) -> str:
        """Its environment variable."""
        return f"HEADWAY_{self.key.upper()}"

    @property
    def flag(self) -> str:
        """Its flag."""
        return "--" + self.key.replace("_", "-")

    @property
    def choices(self) -> tuple[str, ...]:
        """What a Literal allows; empty for every other type."""
        return get_args(self.type) if get_origin(self.type) is Literal else ()


@dataclass(frozen=True, slots=True)
class Entry:
    """One value that somebody wrote, and where."""

    value: Any
    where: str
    """For people: "`max_batch` in headway.yaml, line 4"."""
    is_text: bool = False
    """From a flag or a variable: text that still has to be read by the row's type."""


Layer = Mapping[str, Entry]
"""What one source says: entries by key."""


def rows(table: type) -> tuple[Row, ...]:
    """Read the rows of a table: `ServerSettings` or `ModelSettings`."""
    hints = get_type_hints(table, include_extras=True)
    return tuple(_row(f, hints[f.name]) for f in dataclasses.fields(table))


def read(table: type[T], *layers: Layer) -> T:
    """Build a table's settings from layers, the later over the earlier.

    Raises:
        ConfigError: an unknown key, or a value of the wrong type or range; with its place.
    """
    known = {row.key: row for row in rows(table)}
    values: dict[str, Any] = {}
    for layer in layers:
        for key, entry in layer.items():
            if key not in known:
                raise unknown(key, known, entry.where)
            values[known[key].field] = _value(known[key], entry)
    return table(**values)


def check_live(before: ServerSettings, after: ServerSettings) -> None:
    """Refuse settings that a running server can't take on.

    Raises:
        ConfigError: naming one that is different and can't change.
    """
    for row in rows(ServerSettings):
        old, new = getattr(before, row.field), getattr(after, row.field)
        if old != new and not row.setting.live:
            problem = f"it can't change from {old!r} to {new!r} while the server runs; "
            raise ConfigError(where=f"`{row.key}`", problem=f"{problem}restart it, or put it back")


def environment(table: type, environ: Mapping[str, str] | None = None) -> Layer:
    """The layer that variables make for a table, ours or a platform's; an empty one counts as not set."""
    given = os.environ if environ is None else environ
    own = {
        row.key: Entry(given[name], f"`{name}` in the environment", is_text=True)
        for row in rows(table)
        for name in reversed((*row.setting.platforms, row.variable))
        if given.get(name) and not _is_service_link(name, given[name])
    }
    return _with_vertex(own, given) if table is ServerSettings else own


def _with_vertex(own: Layer, given: Mapping[str, str]) -> Layer:
    """A server's layer with what Vertex AI tells its containers besides the port: where to listen, and its paths."""
    if not given.get("AIP_HTTP_PORT"):
        return own
    deployed = f"{given.get('AIP_ENDPOINT_ID') or 0}/deployedModels/{given.get('AIP_DEPLOYED_MODEL_ID') or 0}"
    targets = {
        "AIP_HEALTH_ROUTE": "/health/ready",
        "AIP_PREDICT_ROUTE": f"/v1/endpoints/{deployed}:predict",
    }
    told = [
        f"{given[name]}={target}"
        for name, target in targets.items()
        if given.get(name) not in (None, "", target)
    ]
    if "aliases" in own:
        told.append(str(own["aliases"].value))
    where = "the `AIP_` variables in the environment"
    layer = {"host": Entry("0.0.0.0", where, is_text=True), **own}  # noqa: S104  (the platform's network)
    return {**layer, "aliases": Entry(",".join(told), where, is_text=True)} if told else layer


def check_environment(environ: Mapping[str, str] | None = None) -> None:
    """Refuse a `HEADWAY_*` variable that no setting has: a slip of the pen that would do nothing.

    Raises:
        ConfigError: naming the nearest variable.
    """
    given = os.environ if environ is None else environ
    known = [row.variable for table in (ServerSettings, ModelSettings) for row in rows(table)]
    for name, value in sorted(given.items()):
        if not name.startswith("HEADWAY_") or name in known or name in _OTHER_VARIABLES:
            continue
        if not _is_service_link(name, value):
            raise unknown(name, known, f"`{name}` in the environment")


def flags(table: type, given: Mapping[str, str | bool | None]) -> Layer:
    """The layer that flags make: `given` has values by key, None where a flag was not given."""
    return {
        row.key: Entry(value, f"`{row.flag}`", is_text=isinstance(value, str))
        for row in rows(table)
        if (value := given.get(row.key)) is not None
    }


def unknown(name: str, known: Iterable[str], where: str, what: str = "setting") -> ConfigError:
    """The error for a name that nothing has, with the nearest one that something has."""
    names = sorted(known)
    near = difflib.get_close_matches(name.removeprefix("is_"), names, n=1, cutoff=0.7)
    hint = f"the nearest is `{near[0]}`" if near else f"known: {', '.join(names)}"
    return ConfigError(where=where, problem=f"there is no such {what}; {hint}")


def expected(row: Row) -> str:
    """Say what a row takes, for errors, help and the reference page: "an integer ≥ 1"."""
    if row.choices:
        return "one of " + ", ".join(row.choices)
    if row.setting.takes:
        return row.setting.takes
    words = {bool: "true or false", int: "an integer", float: "a number", str: "text"}[row.type]
    low, high = row.setting.ge, row.setting.le
    if low is not None and high is not None:
        return f"{words} from {low:g} to {high:g}"
    return words + (f" ≥ {low:g}" if low is not None else "")


def runtime_folder() -> Path:
    """Where sockets of this user's servers are: `$XDG_RUNTIME_DIR/headway`, or a temporary one."""
    given = os.environ.get("XDG_RUNTIME_DIR")
    return (
        Path(given) / "headway" if given else Path(tempfile.gettempdir()) / f"headway-{os.getuid()}"
    )


def client_key() -> str:
    """The API key that a client sends where it is given none: `HEADWAY_KEY`."""
    return os.environ.get("HEADWAY_KEY", "")


def sets_allocator() -> bool:
    """Whether the C library's allocator was set by whoever started us: mallopt(3), GLIBC_TUNABLES."""
    return any(name.startswith("MALLOC_") for name in os.environ) or "glibc.malloc." in (
        os.environ.get("GLIBC_TUNABLES", "")
    )


def child_environment(changes: Mapping[str, str]) -> dict[str, str]:
    """The environment of a process that we start: this one's, with these changes."""
    return {**os.environ, **changes}


_OTHER_VARIABLES: Final = ("HEADWAY_DEMO_ONCE", "HEADWAY_KEY")
_LINK_VALUE: Final = re.compile(r"(tcp|udp|sctp)://")
_LINK_NAME: Final = re.compile(
    r"HEADWAY_(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)_(PORT|PROTO|ADDR))"
)
_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,18}")
_NUMBER: Final = re.compile(r"[+-]?[0-9]{1,18}(\.[0-9]{1,18})?")
_EXPONENT: Final = re.compile(r"[+-]?[0-9.]+[eE][+-]?[0-9]+")
_MOST: Final = 1e18
"""Beyond any number that a setting can mean, and within what clocks can hold."""
_BOOLEANS: Final = types.MappingProxyType({"true": True, "1": True, "false": False, "0": False})


def _is_service_link(name: str, value: str) -> bool:
    """Kubernetes sets HEADWAY_PORT=tcp://10.0.0.1:80 in each pod beside a Service "headway"."""
    return bool(_LINK_VALUE.match(value) or _LINK_NAME.fullmatch(name))


def _row(field: "dataclasses.Field[Any]", hint: Any) -> Row:
    plain, setting = get_args(hint)
    is_optional = isinstance(plain, types.UnionType)
    if is_optional:
        (plain,) = (a for a in get_args(plain) if a is not types.NoneType)
    return Row(field.name, plain, is_optional, field.default, setting)


def _value(row: Row, entry: Entry) -> Any:
    """Read one entry by its row's type, then check its range."""
    value = _READ[row.type if not row.choices else str](entry)
    is_known = value in row.choices if row.choices else value is not None
    is_emptied = value == "" and bool(row.default)  # as a host, it would be every interface
    if (
        not is_known
        or is_emptied
        or not _is_in_range(row.setting, value)
        or not _is_each(row.setting, value)
    ):
        has_exponent = isinstance(entry.value, str) and _EXPONENT.fullmatch(entry.value)
        plain = ", written without an exponent" if has_exponent and row.type in (int, float) else ""
        problem = f"expected {expected(row)}{plain}, found {entry.value!r:.80}"
        raise ConfigError(where=entry.where, problem=problem)
    return value


def _is_in_range(setting: Setting, value: Any) -> bool:
    low = -math.inf if setting.ge is None else setting.ge
    high = math.inf if setting.le is None else setting.le
    return isinstance(value, (str, bool)) or low <= value <= high


def _is_each(setting: Setting, value: Any) -> bool:
    texts = [text.strip() for text in value.split(",")] if setting.each else []
    return all(re.fullmatch(setting.each, text, re.ASCII) for text in texts if text)


def _read_bool(entry: Entry) -> bool | None:
    if entry.is_text:
        return _BOOLEANS.get(entry.value.lower())
    return entry.value if isinstance(entry.value, bool) else None


def _read_int(entry: Entry) -> int | None:
    if entry.is_text:
        return int(entry.value) if _INTEGER.fullmatch(entry.value) else None
    return entry.value if type(entry.value) is int else None


def _read_float(entry: Entry) -> float | None:
    value = entry.value
    if entry.is_text:
        value = float(value) if _NUMBER.fullmatch(value) else None
    is_number = type(value) in (int, float) and abs(value) < _MOST
    return float(value) if is_number else None


def _read_str(entry: Entry) -> str | None:
    value = entry.value
    return value if isinstance(value, str) and value.isprintable() else None


_READ: Final[Mapping[type, Callable[[Entry], Any]]] = types.MappingProxyType(
    {bool: _read_bool, int: _read_int, float: _read_float, str: _read_str}
)
