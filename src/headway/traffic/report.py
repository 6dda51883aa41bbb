"""A run as rows of words, as JSON for programs, and as a file to compare with. Pure but for the files."""

from pathlib import Path
from typing import Any, Final

import msgspec

from headway.errors import ConfigError
from headway.traffic.compare import Difference
from headway.traffic.plan import FORMAT, Run
from headway.traffic.units import duration, figures, percent

SHARES: Final = ((0.5, "p50"), (0.9, "p90"), (0.99, "p99"), (0.999, "p99.9"))


def table(run: Run) -> list[tuple[str, str]]:
    """What people want to know, as (name, words)."""
    latency = run.latency
    bad = sum(run.errors.values())
    mode = f"open loop, {figures(run.rate_per_s)}/s" if run.rate_per_s else "closed loop"
    found = [
        ("asked", f"{run.protocol}, {mode}, {run.connections} connections, {run.elapsed_s:.1f} s"),
        ("answers", f"{run.answered}, {figures(run.throughput)}/s"),
        ("latency", f"mean {duration(latency.mean_ns)}, max {duration(latency.most_ns)}"),
    ]
    quantiles = ", ".join(f"{name} {duration(latency.quantile(share))}" for share, name in SHARES)
    found.append(("", quantiles))
    said = ", ".join(f"{name}: {count}" for name, count in run.errors.items())
    found.append(("errors", f"{bad} ({percent(run.error_share)}; {said})" if bad else "none"))
    if run.wrong:
        found.append(("wrong", f"{run.wrong} answers differ from the first to the same question"))
    if run.retry_after_s:
        found.append(("retry-after", f"up to {run.retry_after_s:g} s"))
    if run.queued:
        found.append(
            ("waited", f"{run.queued} requests found every connection busy; it is in their latency")
        )
    share = run.cpu_s / run.elapsed_s if run.elapsed_s else 0.0
    own = f"{share:.0%} of a core"
    if run.rate_per_s:
        own += f", sent late by p99 {duration(run.lateness.quantile(0.99))}"
    found.append(("generator", own))
    return found


def summary(run: Run, differences: list[Difference]) -> dict[str, Any]:
    """The same for programs; durations in milliseconds."""
    latency = run.latency
    found: dict[str, Any] = {
        "target": run.target,
        "protocol": run.protocol,
        "at": run.at,
        "connections": run.connections,
        "rate_per_s": run.rate_per_s,
        "elapsed_s": run.elapsed_s,
        "answered": run.answered,
        "answers_per_s": run.throughput,
        "mean_ms": latency.mean_ns / 1e6,
        **{name.replace(".", "") + "_ms": latency.quantile(share) / 1e6 for share, name in SHARES},
        "max_ms": latency.most_ns / 1e6,
        "errors": run.errors,
        "error_share": run.error_share,
        "wrong": run.wrong,
        "queued": run.queued,
        "late_p99_ms": run.lateness.quantile(0.99) / 1e6,
        "generator_cpu_s": run.cpu_s,
        "doubts": run.doubts(),
    }
    if differences:
        found["compared"] = [
            {"name": d.name, "before": d.before, "after": d.after, "change": d.change,
             "low": d.low, "high": d.high, "is_seen": d.is_seen}
            for d in differences
        ]  # fmt: skip
    return found


def unlike(before: Run, after: Run) -> list[str]:
    """In what two runs were asked differently, so that their difference is no one's fault."""
    pairs = (
        ("protocol", before.protocol, after.protocol),
        ("rate", before.rate_per_s, after.rate_per_s),
        ("connections", before.connections, after.connections),
    )
    return [f"{name} {old} and {new}" for name, old, new in pairs if old != new]


def told(difference: Difference) -> str:
    """A difference in words."""
    d = difference
    change = "no figure" if d.change != d.change else f"{d.change:+.1%}"
    if d.low != d.low:
        verdict = "too few slices to tell; measure longer"
    elif d.is_seen:
        verdict = f"95 % interval {d.low:+.1%} to {d.high:+.1%}"
    else:
        verdict = f"no difference seen ({d.low:+.1%} to {d.high:+.1%})"
    return f"  {d.name:>9}  {figures(d.before):>8} -> {figures(d.after):>8}  {change:>7}  {verdict}"


def save(run: Run, path: Path) -> None:
    """Keep a run. Raises ConfigError."""
    write(path, msgspec.json.encode(run).decode())


def write(path: Path, text: str) -> None:
    """Write a file. Raises ConfigError."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as e:
        raise ConfigError(where=str(path), problem=f"can't be written: {e.strerror}") from e


def expect_to_write(path: Path) -> None:
    """See that a file has a folder to lie in, before there is something to lose. Raises ConfigError."""
    if not path.parent.is_dir():
        raise ConfigError(where=str(path), problem=f"there is no folder {str(path.parent)!r}")


def read(path: Path) -> Run:
    """A run that was kept. Raises ConfigError: there is none, or of another version."""
    where = f"`--compare {path}`"
    try:
        run = msgspec.json.decode(path.read_bytes(), type=Run)
    except OSError as e:
        raise ConfigError(where=where, problem=f"can't be read: {e.strerror}") from e
    except (msgspec.MsgspecError, UnicodeDecodeError) as e:
        raise ConfigError(
            where=where, problem=f"was not saved by `headway bench --save`: {e}"
        ) from e
    if run.headway_bench != FORMAT or not run.slices or run.slice_s <= 0:
        raise ConfigError(where=where, problem="was not saved by this version of `headway bench`")
    return run
