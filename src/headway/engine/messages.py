"""What the supervisor, the gateways and the workers say to each other on their control channels. Plain data."""

from collections.abc import Sequence

import msgspec

from headway.config import ModelSettings, ModelSpec, ServerSettings
from headway.engine.threads import Cores
from headway.model.call import Description, Order


class Say(msgspec.Struct, array_like=True, gc=False):
    """Anything that is said; its kind is its tag."""


# Supervisor to worker


class Hold(Say, tag="hold"):
    """Load this model, warm it, and say so. Comes first."""

    spec: ModelSpec
    cores: Cores
    """Its share of them."""
    threads: int
    may_spin: bool
    max_body_bytes: int


class Meet(Say, tag="meet"):
    """Here is a gateway: one data socket a slot, then a control socket, as descriptors."""

    gateway: int


class Ping(Say, tag="ping"):
    """Show a sign of life."""


class Level(Say, tag="level"):
    """Write log lines from this level on."""

    level: str


class Leave(Say, tag="leave"):
    """End now; nothing is under way any more."""


# Worker to supervisor


class Loaded(Say, tag="loaded"):
    """The model is loaded and warm."""

    description: Description
    workers: int
    """How many processes would serve it best, by what was measured."""
    slots: int
    max_batch: int
    max_rows: int
    item_s: float | None
    """Measured seconds of one item; None if there was no example to try."""
    load_s: float
    why: str


class Refused(Say, tag="refused"):
    """The model can't be loaded, and trying again would end the same."""

    code: str
    reason: str


class Pong(Say, tag="pong"):
    """The sign of life that was asked for."""


# Supervisor to gateway


class Listen(Say, tag="listen"):
    """What this gateway is; comes first."""

    gateway: int
    gateways: int
    settings: ServerSettings
    names: Sequence[str]
    """The models, in the order of the board's places."""
    board_fd: int
    """The counters' shared memory; inherited, like the listening sockets."""
    listener_fds: Sequence[int]
    """The socket of HTTP, then that of gRPC if it has its own."""
    started_s: float
    """When the server started, in seconds since the epoch."""
    was_ready: bool = False
    """The server has been ready before; this gateway replaces one that died."""


class Join(Say, tag="join"):
    """Here is a loaded worker: one data socket a slot, then a control socket, as descriptors."""

    worker: int
    model: str
    settings: ModelSettings
    loaded: Loaded
    generation: int
    """How many reloads came before."""


class Adapt(Say, tag="adapt"):
    """The server is run by these settings from now on."""

    settings: ServerSettings


class Suspend(Say, tag="suspend"):
    """Send this worker nothing new."""

    worker: int


class Resume(Say, tag="resume"):
    """This worker may get requests again."""

    worker: int


class Part(Say, tag="part"):
    """This worker leaves: let it end what is under way, send nothing new, say Parted."""

    worker: int


class Forget(Say, tag="forget"):
    """This worker's process has ended."""

    worker: int
    reason: str
    """What callers may be told of its end; "" if nothing."""


class Trouble(Say, tag="trouble"):
    """This model has no workers and will have none before a reload. Why is for the log: it may hold a path."""

    model: str


class Load(Say, tag="load"):
    """This model is being loaded, where none of it was served."""

    model: str


class Unload(Say, tag="unload"):
    """Refuse what is new for this model; what is under way may end before its workers go, which leave now."""

    model: str


class Unloaded(Say, tag="unloaded"):
    """Nobody holds this model any more."""

    model: str


class Fence(Say, tag="fence"):
    """Say Fenced, with this number: you have heard all that was said before."""

    number: int


class Obeyed(Say, tag="obeyed"):
    """What you bid has been done; else why not."""

    number: int
    refusal: str


class Ready(Say, tag="ready"):
    """Every required model can answer."""


class Drain(Say, tag="drain"):
    """Be not ready, and close each connection with its next answer."""


class Close(Say, tag="close"):
    """Take who waits in the listening sockets, close them, say Closed."""


class Finish(Say, tag="finish"):
    """Here is who came meanwhile, as descriptors; end what is under way within `grace_s`, say Drained."""

    grace_s: float


# Gateway to supervisor


class Joined(Say, tag="joined"):
    """This worker has answered a round trip of mine."""

    worker: int


class Parted(Say, tag="parted"):
    """This worker has nothing of mine any more."""

    worker: int


class Overdue(Say, tag="overdue"):
    """A slot of this worker has not answered long after the deadline of all that it has."""

    worker: int
    is_lent: bool = False
    """What it has is not mine, as far as I know; then I say so again and again."""


class Engaged(Say, tag="engaged"):
    """A slot of this worker has a job of mine, and need not answer anybody before then (monotonic seconds)."""

    worker: int
    until: float


class Ejected(Say, tag="ejected"):
    """I send this worker nothing for so long, because it fails; 0.0: it is in again."""

    worker: int
    for_s: float


class Fenced(Say, tag="fenced"):
    """I have heard all that was said before the Fence of this number."""

    number: int


class Bid(Say, tag="bid"):
    """An operator asks for this; say Obeyed, with this number, when it is done."""

    number: int
    order: Order


class Revoke(Say, tag="revoke"):
    """Somebody has cancelled this job, which is no gateway's but yours, perhaps. Told to all gateways."""

    job: str


class Closed(Say, tag="closed"):
    """I accept nobody any more."""


class Drained(Say, tag="drained"):
    """Nothing is under way here any more; `left` requests did not end in time."""

    left: int


# Gateway to worker, on their own control socket


class Cancel(Say, tag="cancel"):
    """Nobody waits for these requests any more."""

    ids: Sequence[int]


Message = (
    Hold
    | Meet
    | Ping
    | Level
    | Leave
    | Loaded
    | Refused
    | Pong
    | Listen
    | Join
    | Adapt
    | Suspend
    | Resume
    | Part
    | Forget
    | Trouble
    | Load
    | Unload
    | Unloaded
    | Fence
    | Fenced
    | Bid
    | Obeyed
    | Ready
    | Drain
    | Close
    | Finish
    | Joined
    | Parted
    | Closed
    | Drained
    | Overdue
    | Engaged
    | Ejected
    | Revoke
    | Cancel
)
