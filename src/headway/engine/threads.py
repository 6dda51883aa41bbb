"""Decide workers, slots and threads for the cores that this process may really use.

What decides is pure; `available_cores` is the one thin reader (affinity, cgroup v1 and v2).
Measured facts behind the decisions: on a CPU one thread a call, with as many calls at a time as
there are cores, gives most answers; a runtime that releases the GIL does that in one process with
one copy of the weights; below half a millisecond a call, more slots only contend for the
interpreter.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from headway.config import ModelSettings

SHORT_CALL_S = 0.0005
"""A call of a thread-safe model below this is not worth a second slot."""
SHORT_ITEM_S = 0.001
"""An item of a class or function below this is not worth a second process."""
MOST_WORKERS = 4
"""Never more processes than this without being asked: each holds its own copy of the model."""
ASYNC_SLOTS = 16
"""Grabs at a time where each mostly waits: on the one loop of a worker whose predictor is `async def`, or for the items
of a stream that its client sends."""
MIN_GAIN = 0.05
"""A larger batch must save this share of a row's cost to be worth its wait."""

_TOO_MUCH = "; warning: the settings ask for more than there are, expect long waits"
_V1_FOLDERS = ("cpu", "cpu,cpuacct", "cpuacct,cpu")


@dataclass(frozen=True, slots=True)
class Cores:
    """The cores that may be used, and what says so."""

    count: int
    why: str
    has_quota: bool = False
    """A cgroup limits CPU time: whoever burns it while idle is stopped when there is work."""


@dataclass(frozen=True, slots=True)
class Decision:
    """How one model is spread over the cores, with the reason for the start-up line."""

    workers: int
    slots: int
    why: str


def available_cores(root: Path = Path("/"), *, affinity: int | None = None) -> Cores:
    """Read how many cores this process may really use.

    A quota is rounded down, never below 1: with a limit of 1.5, two busy threads have used it up
    after three quarters of each period and stand still for the rest, which every request in flight
    then waits for.

    Args:
        root: where `proc` and `sys` are.
        affinity: cores that the scheduler allows; read from the system where it is None.
    """
    allowed = _affinity() if affinity is None else affinity
    quota = _quota(root)
    if quota is None:
        return Cores(allowed, _count(allowed, "core"))
    limited = max(1, int(quota + 1e-6))
    why = f"{_count(min(allowed, limited), 'core')} of {allowed} (the cgroup's quota is {quota:g})"
    return Cores(min(allowed, limited), why, has_quota=True)


def share(cores: Cores, mine: ModelSettings, models: Sequence[ModelSettings]) -> Cores:
    """The cores of one of a server's models: what its settings fix, else an equal part of what theirs leave.

    Args:
        cores: those that may be used.
        mine: the model's settings.
        models: those of all models, with its own.
    """
    if len(models) < 2:
        return cores
    fixed = [_fixed(settings) for settings in models]
    if asked := _fixed(mine):
        count = min(cores.count, max(asked, cores.count // len(models)))
    else:
        count = max(1, (cores.count - sum(fixed)) // fixed.count(0))
    why = f"{count} of {cores.why}, shared out among {len(models)} models"
    return replace(cores, count=count, why=why)


def _fixed(settings: ModelSettings) -> int:
    """The cores that settings ask for; 0 where they leave it open."""
    calls = (settings.workers or 0) * (settings.slots or 0)
    return calls * (settings.threads or 1)


def threads_of(settings: ModelSettings, cores: int) -> int:
    """Threads inside one call; decided before anything is loaded, since libraries read it once.

    One, unless the settings fix how many calls run at a time and leave cores over.
    """
    if settings.threads:
        return settings.threads
    calls = settings.workers * settings.slots if settings.workers and settings.slots else cores
    return max(1, cores // calls)


def may_spin(settings: ModelSettings, cores: Cores) -> bool:
    """Whether idle threads may burn their core; decided before anything is loaded.

    Only those of one lone call at a time, where no quota counts what is burnt and a core is left
    for the gateway.
    """
    return not _why_asleep(settings, cores)


def _why_asleep(settings: ModelSettings, cores: Cores) -> str:
    """Why idle threads must sleep; "" if they may spin."""
    threads = threads_of(settings, cores.count)
    if threads == 1:
        return "a call has one thread"
    if not settings.workers == settings.slots == 1:
        return "several calls may run at a time"
    if cores.has_quota:
        return "the quota would count it"
    return "" if threads < cores.count else "no core would be left for the gateway"


def decide(
    settings: ModelSettings,
    cores: Cores,
    *,
    is_thread_safe: bool,
    is_async: bool = False,
    item_s: float | None = None,
) -> Decision:
    """Spread a model over the cores; what the settings say always wins.

    Args:
        settings: the model's own; None in it means "decide".
        cores: those that may be used.
        is_thread_safe: calls may run at the same time in one process, and release the GIL.
        is_async: calls mostly wait: those of an `async def` predictor, which share one loop, and those that take
            a stream of items from their client and may run at the same time.
        item_s: measured cost of one item; None where it is not known.
    """
    threads = threads_of(settings, cores.count)
    room = max(1, cores.count // threads)
    is_gpu = settings.device not in ("cpu", "auto")
    is_one_process = is_gpu or is_async or is_thread_safe
    workers = settings.workers or _auto_workers(settings, room, is_one_process, item_s)
    has_more_slots = is_thread_safe and not is_gpu
    slots = settings.slots or _auto_slots(room // workers, has_more_slots, is_async, item_s)
    # The slots of an async predictor share one loop, so they use one core at most; those that wait use none.
    busy = workers * threads * (1 if is_async else slots)
    counts = ((workers, "worker"), (slots, "slot"), (threads, "thread"))
    spread = f"{' x '.join(_count(n, noun) for n, noun in counts)} on {cores.why}"
    too_much = _TOO_MUCH if busy > cores.count else ""
    return Decision(workers, slots, f"{spread}{too_much}; {_why(settings, cores)}")


def _auto_workers(
    settings: ModelSettings, room: int, is_one_process: bool, item_s: float | None
) -> int:
    is_short = item_s is not None and item_s <= SHORT_ITEM_S
    if is_one_process or is_short:
        return 1
    return min(max(1, room // (settings.slots or 1)), MOST_WORKERS)


def _auto_slots(room: int, has_more: bool, is_async: bool, item_s: float | None) -> int:
    if is_async:
        return ASYNC_SLOTS
    is_short = item_s is not None and item_s < SHORT_CALL_S
    return max(1, room) if has_more and not is_short else 1


def _why(settings: ModelSettings, cores: Cores) -> str:
    """What was decided of threads before anything was loaded, and why."""
    threads = threads_of(settings, cores.count)
    if settings.threads:
        reason = "as set"
    elif settings.workers and settings.slots:
        reason = f"the cores shared out among {_count(settings.workers * settings.slots, 'call')}"
    else:
        reason = "a core each"
    asleep = _why_asleep(settings, cores)
    spare = "one call at a time, and a core to spare"
    idle = f"no spinning ({asleep})" if asleep else f"idle threads spin ({spare})"
    return f"{_count(threads, 'thread')} a call ({reason}), {idle}"


def environment(threads: int) -> dict[str, str]:
    """What a worker's environment must say before its first import: one size for every pool."""
    n = str(threads)
    return {
        "OMP_NUM_THREADS": n,
        "OMP_WAIT_POLICY": "PASSIVE",
        "OPENBLAS_NUM_THREADS": n,
        "MKL_NUM_THREADS": n,
        "BLIS_NUM_THREADS": n,
        "VECLIB_MAXIMUM_THREADS": n,
        "NUMEXPR_NUM_THREADS": n,
        "NUMEXPR_MAX_THREADS": n,
        "ORT_INTRA_OP_NUM_THREADS": n,
        "ORT_INTER_OP_NUM_THREADS": "1",
        "TF_NUM_INTRAOP_THREADS": n,
        "TF_NUM_INTEROP_THREADS": "1",
        "RAYON_NUM_THREADS": n,
        "POLARS_MAX_THREADS": n,
        "LOKY_MAX_CPU_COUNT": n,
        "TOKENIZERS_PARALLELISM": "false",
    }


def choose_batch(costs: Mapping[int, float]) -> int:
    """Choose the largest batch that still pays: a row costs 5 % less than in the last that did.

    Args:
        costs: measured seconds of one call, by rows.
    """
    chosen, row_s = 1, float("inf")
    for rows in sorted(costs):
        if costs[rows] / rows <= row_s * (1 - MIN_GAIN):
            chosen, row_s = rows, costs[rows] / rows
    return chosen


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _affinity() -> int:
    # macOS has no affinity to ask for.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _quota(root: Path) -> float | None:
    """The tightest CPU limit of this process's cgroups and of all above them, in cores."""
    found = [*_v2_quotas(root), *_v1_quotas(root)]
    return min(found) if found else None


def _v2_quotas(root: Path) -> Iterator[float]:
    for mount in ("sys/fs/cgroup", "sys/fs/cgroup/unified"):
        for folder in _upwards(root / mount, _cgroup_path(root, "")):
            words = _read(folder / "cpu.max").split()
            if len(words) == 2 and words[0] != "max":
                yield from _share(words[0], words[1])


def _v1_quotas(root: Path) -> Iterator[float]:
    for name in _V1_FOLDERS:
        for folder in _upwards(root / "sys/fs/cgroup" / name, _cgroup_path(root, "cpu")):
            yield from _share(
                _read(folder / "cpu.cfs_quota_us"), _read(folder / "cpu.cfs_period_us")
            )


def _share(quota: str, period: str) -> Iterator[float]:
    try:
        quota_us, period_us = int(quota), int(period)
    except ValueError:
        return
    if quota_us > 0 and period_us > 0:
        yield quota_us / period_us


def _cgroup_path(root: Path, controller: str) -> str:
    """Where this process is in the hierarchy of a v1 controller; of v2 where that is empty."""
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, controllers, path = (line + "::").split(":", 3)[:3]
        if controller in controllers.split(","):
            return path
    return ""


def _upwards(mount: Path, path: str) -> Iterator[Path]:
    """A group's folder and all above it; in a container the path may be the host's, and missing."""
    parts = [p for p in PurePosixPath(path.lstrip("/")).parts if p != ".."]
    for length in range(len(parts), -1, -1):
        yield mount.joinpath(*parts[:length])


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
