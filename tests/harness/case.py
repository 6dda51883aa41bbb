"""One server under load and faults, from start to quiet, and what is wrong with it then."""

import asyncio
import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from serving import Server, serving, wait_until

from harness import census
from harness.checker import (
    Holdings,
    Void,
    Ways,
    complaints,
    held_complaints,
    metrics_complaints,
    ways,
)
from harness.ledger import Ledger, Load, Mix
from harness.nemesis import Nemesis
from harness.schedule import Strike

SUBJECT = Path(__file__).with_name("subject.py")
MODELS = """
server: {{gateways: {gateways}}}
models:
  text: {{predictor: "subject.py:Text", workers: {workers}, max_batch: 16}}
  array: {{predictor: "subject.py:Array", workers: 1, max_batch: 16}}
"""
QUIET_S = 15.0
OUTCOMES = ("ok", "caller", "busy", "deadline", "model", "worker", "cancelled", "internal")


def seed() -> int:
    """The seed of this run: FAULTS_SEED, or 1."""
    return int(os.environ.get("FAULTS_SEED", "1"))


def write_subject(folder: Path, version: int = 1) -> None:
    """Write the predictors in one step, as a good editor does."""
    text = SUBJECT.read_text().replace("\nVERSION = 1\n", f"\nVERSION = {version}\n")
    assert f"VERSION = {version}" in text
    new = folder / ".subject.new"
    new.write_text(text)
    new.replace(folder / "subject.py")


def version_of(folder: Path) -> int:
    """The version of the predictors in a folder."""
    (line,) = (x for x in (folder / "subject.py").read_text().splitlines() if x[:7] == "VERSION")
    return int(line.rpartition(" ")[2])


@contextmanager
def ledger_server(
    folder: Path,
    *flags: str,
    gateways: int = 2,
    workers: int = 2,
    config: str = "",
    environment: Mapping[str, str] | None = None,
) -> Iterator[Server]:
    """Serve the harness' predictors."""
    write_subject(folder)
    (folder / "headway.yaml").write_text(
        config or MODELS.format(gateways=gateways, workers=workers)
    )
    scratch = folder / "scratch"
    scratch.mkdir(exist_ok=True)
    with serving(folder, *flags, TMPDIR=str(scratch), **(environment or {})) as server:
        wait_until(lambda: is_whole(server), "all workers are ready, and not the first alone")
        yield server


def is_whole(server: Server) -> bool:
    """Whether every worker of ours takes requests."""
    ours = [m for m in server.status()["models"] if m["name"] in ("text", "array")]
    return all(w["phase"] == "ready" for m in ours for w in m["workers"])


@dataclass
class Case:
    """Load on a server, with faults.

    `run` ends when the server is quiet again; `report` holds what is wrong, the seed in its first line.
    """

    server: Server
    seed: int = field(default_factory=seed)
    clients: int = 32
    per_s: float = 300.0
    mix: Mix = field(default_factory=Mix)
    allowed: Ways = field(default_factory=ways)
    void: Void = field(default_factory=Void)
    most: int = 0
    model: str = "text"
    is_counted: bool = True
    """Whether /metrics must equal the ledger."""
    is_held: bool = True
    """Whether processes must hold afterwards what they held before."""
    path: Path | None = None
    ledger: Ledger = field(init=False)
    nemesis: Nemesis = field(init=False)
    wrong: list[str] = field(default_factory=list)
    took_s: float = 0.0

    def __post_init__(self) -> None:
        self.ledger = Ledger(self.path)
        self._version = version_of(self.server.folder)
        self.ledger.live = {self._version}
        self.nemesis = Nemesis(self.server, self.model, self._publish, self._published)
        self._outcomes = outcomes(self.server)
        self._held = self._settled() if self.is_held else Holdings()

    def run(self, for_s: float, strikes: Sequence[Strike] = ()) -> "Case":
        """Load the server for so long, or until `most` were asked and all strikes are done."""
        asyncio.run(self._run(for_s, strikes))
        self.ledger.close()
        self.wrong += complaints(self.ledger.counts, self.allowed)
        self.wrong += self.ledger.bad
        self.wrong += self.void.reasons(
            self.ledger.counts, self.took_s, self.nemesis.missed, self.nemesis.still
        )
        self.wrong += self._quiet()
        if self.is_counted:
            self.wrong += metrics_complaints(self.ledger.counts, self._counted())
        return self

    async def _run(self, for_s: float, strikes: Sequence[Strike]) -> None:
        load = Load(
            self.ledger,
            self.server.port,
            self.seed,
            self.clients,
            self.per_s,
            self.mix,
            self.most,
        )
        started = time.monotonic()
        asking = asyncio.create_task(load.run())
        try:
            await asyncio.gather(
                self.nemesis.run(strikes),
                asyncio.wait([asking], timeout=None if self.most else for_s),
            )
        finally:
            load.stop()
            await asking
        self.took_s = time.monotonic() - started

    def see(self) -> None:
        """Raise unless all is well.

        Raises:
            AssertionError: what is wrong, with the seed.
        """
        assert not self.wrong, self.report

    @property
    def report(self) -> str:
        """What is wrong, and the ledger, for people."""
        lines = [f"seed {self.seed}; FAULTS_SEED={self.seed} plays it again", *self.wrong]
        struck = Counter(self.nemesis.struck)
        lines += [f"struck: {dict(struck)}", self.ledger.summary()]
        return "\n".join(lines)

    def _publish(self) -> None:
        self._version += 1
        self.ledger.live.add(self._version)
        write_subject(self.server.folder, self._version)

    def _published(self) -> None:
        self.ledger.live -= {v for v in self.ledger.live if v < self._version}

    def _count(self) -> Holdings:
        return census.count(self.server.process.pid, self.server.folder / "scratch")

    def _settled(self) -> Holdings:
        """What is held once it no longer changes: who asked before has hung up."""
        held, is_same = self._count(), 0
        end_at = time.monotonic() + QUIET_S
        while is_same < 3 and time.monotonic() < end_at:
            time.sleep(0.05)
            before, held = held, self._count()
            is_same = is_same + 1 if before == held else 0
        return held

    def _quiet(self) -> list[str]:
        """Wait until nothing is left over; what still is, if it does not go."""
        end_at = time.monotonic() + QUIET_S
        while True:
            found = [
                f"{name} is {value:g} after quiet"
                for name in ("in_flight", "queue_requests", "queue_bytes")
                if (value := self.server.metric(name))
            ]
            if self.is_held:
                found += held_complaints(self._held, self._count())
            if not found or time.monotonic() > end_at:
                return found
            time.sleep(0.1)

    def _counted(self) -> dict[str, float]:
        now = outcomes(self.server)
        return {name: now[name] - self._outcomes[name] for name in now}


def outcomes(server: Server) -> dict[str, float]:
    """Requests to models by how they ended, as /metrics tells."""
    return {
        name: sum(
            server.metric("requests_total", model=model["name"], outcome=name)
            for model in server.status()["models"]
        )
        for name in OUTCOMES
    }
