"""The command line and the order of a run: scenarios, their rounds, the servers of a round.

`python -m bench [SCENARIO...] [--peers a,b] [--repeats N] [--seconds S] [--quick]`
`python -m bench --faults [--peers a,b]`
"""

import argparse
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import groupby
from statistics import median

from rich.console import Console

from bench import ceiling, envs, faults, goals, measure, peers, picture, results
from bench.drive import Void
from bench.load import Plan
from bench.measure import Metrics, Question, Server
from bench.models import MODELS
from bench.results import Results
from bench.scenarios import GROUPS, REFERENCE, SCENARIOS, Scenario, choose

IN_PROCESS = "in-process"
FULL_LIMIT_S, QUICK_LIMIT_S, QUICK_ALL_LIMIT_S = 30 * 60, 6 * 60, 15 * 60
ALL = "all"
WARM_S = 1.0


class Run:
    """One run of the benchmark."""

    def __init__(self, limit_s: float, console: Console) -> None:
        self.results = Results()
        self.console = console
        self._end = time.monotonic() + limit_s
        self._reference_rate = 0.0

    def scenario(self, scenario: Scenario) -> None:
        """All rounds of a scenario: A B C, A B C, so that drift falls on all alike."""
        for turn in range(scenario.repeats):
            if time.monotonic() > self._end:
                self.console.print(f"out of time: {scenario.name} ends after {turn} rounds")
                break
            self.console.print(f"[dim]{scenario.name}, round {turn + 1} of {scenario.repeats}[/]")
            self._round(scenario, turn)
        results.show(self.console, self.results, scenario)
        results.warn(self.console, self.results, scenario)

    def _round(self, scenario: Scenario, turn: int) -> None:
        """Each server once."""
        for who, found in self._measure(scenario, turn):
            self.results.add(scenario.name, who, turn, found)

    def _measure(
        self, scenario: Scenario, turn: int
    ) -> Iterator[tuple[str, Metrics | dict[str, str]]]:
        """Metrics, or a reason why there are none, by server."""
        who = scenario.who + (scenario.guests if turn < scenario.guest_repeats else ())
        if scenario.kind in ("closed", "open"):
            for start, group in groupby(who, _start_key):
                yield from self._loaded(scenario, start, list(group))
            return
        for name in who:
            yield name, _or_void(lambda name=name: _weigh(scenario, name))

    def _loaded(
        self, scenario: Scenario, start: str, group: list[str]
    ) -> Iterator[tuple[str, Metrics | dict[str, str]]]:
        """The variants that one running server answers."""
        if start == IN_PROCESS:
            yield start, _or_void(lambda: _ceiling(scenario))
            return
        pending = list(group)
        try:
            rate = scenario.load * self._reference() if scenario.load else scenario.rate_per_s
            questions = [measure.question(who, scenario.model) for who in group]
            with measure.serving(questions[0]) as server:
                for asked in questions:
                    found = _or_void(lambda a=asked: _load(server, a, scenario, rate))
                    pending.remove(asked.who)
                    yield asked.who, found
        except Void as e:
            yield from ((who, {"void": str(e)}) for who in pending)

    def _reference(self) -> float:
        """The reference peer's maximum in this run; measured now if no scenario has."""
        if not self._reference_rate:
            rates = self.results.of("tiny", REFERENCE, "rate").values()
            self._reference_rate = median(rates) if rates else self._measure_reference()
            self.console.print(f"[dim]{REFERENCE}'s maximum: {self._reference_rate:,.0f} per s[/]")
        return self._reference_rate

    def _measure_reference(self) -> float:
        """The median of three short closed loops."""
        tiny = replace(choose(["tiny"])[0], seconds=2)
        asked = measure.question(REFERENCE, tiny.model)
        with measure.serving(asked) as server:
            return median(_load(server, asked, tiny, 0.0)["rate"] for _ in range(3))


def _start_key(who: str) -> str:
    """Servers of one key are one running server."""
    name = who.partition(":")[0]
    if name == IN_PROCESS:
        return name
    return name if peers.open_peer(name).IS_ONE_START else who


def _or_void(work: "object") -> Metrics | dict[str, str]:
    """What the work found, or why it is void."""
    try:
        return work()  # type: ignore[operator, no-any-return]
    except Void as e:
        return {"void": str(e)}


def _load(server: Server, asked: Question, scenario: Scenario, rate: float) -> Metrics:
    """Check, warm up, measure."""
    measure.check(server, asked, scenario.connections)
    plan = Plan(server.port, asked.raw(), scenario.connections, scenario.seconds, rate)
    measure.load(server, asked, replace(plan, seconds=WARM_S))
    return measure.load(server, asked, plan)


def _ceiling(scenario: Scenario) -> Metrics:
    """The best of the model's forms."""
    forms = ceiling.FORMS[scenario.model]
    seconds = max(1.5, scenario.seconds / 3)
    found = {form: measure.ceiling(scenario.model, form, seconds)["rate"] for form in forms}
    return {"rate": max(found.values())} | {f"rate {form}": rate for form, rate in found.items()}


def _weigh(scenario: Scenario, who: str) -> Metrics:
    """What a server costs before it is loaded."""
    if scenario.kind == "start":
        return measure.start(measure.question(who, scenario.model))
    return measure.import_headway() if scenario.kind == "import" else measure.size(who)


def sweep(console: Console, names: list[str], models: list[str], seconds: float) -> None:
    """Try each peer's candidates on each model and print what each reaches."""
    for name in names:
        peer = peers.open_peer(name)
        for model in [m for m in peer.CANDIDATES if not models or m in models]:
            connections = {"tiny": 64, "minilm": 16, "mobilenet": 8}[model]
            asked = measure.question(name, model)
            scenario = replace(SCENARIOS[0], model=model, connections=connections, seconds=seconds)
            console.print(f"[bold]{name}, {model}, {connections} connections[/]")
            for tuning in peer.CANDIDATES[model]:
                console.print(f"{dict(tuning)}: {_try(asked, tuning, scenario)}", markup=False)


def _try(asked: Question, tuning: peers.Tuning, scenario: Scenario) -> str:
    """One candidate's line."""
    try:
        with measure.serving(asked, tuning) as server:
            found = _load(server, asked, scenario, 0.0)
    except Void as e:
        return f"void: {e}"
    shown = ("rate", "p50_ms", "p99_ms", "per_cpu_s", "cores", "other_cores")
    return ", ".join(f"{found[metric]:,.1f} {results.LABELS[metric]}" for metric in shown)


def _options() -> argparse.Namespace:
    """The command line, read."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    names = ", ".join([*(s.name for s in SCENARIOS), *GROUPS])
    parser.add_argument("scenarios", nargs="*", help=f"which of {names}; all for none")
    which = f"which of {', '.join(peers.names())}; all: with --quick too, also the slow ones"
    parser.add_argument("--peers", default="", help=which)
    parser.add_argument("--repeats", type=int, help="rounds of each scenario")
    parser.add_argument("--seconds", type=float, help="length of one measurement")
    parser.add_argument("--quick", action="store_true", help="short: at most 6 minutes")
    parser.add_argument("--sweep", action="store_true", help="try the peers' settings instead")
    parser.add_argument("--faults", action="store_true", help="ask each peer under fault instead")
    parser.add_argument(
        "--name", default="", help="of the files in bench/results; default latest or faults"
    )
    return parser.parse_args()


def _shape(scenario: Scenario, options: argparse.Namespace) -> Scenario:
    """A scenario as the options want it."""
    if options.quick:
        quick_s = min(3.0, max(2.0, scenario.seconds / 2))
        scenario = replace(
            scenario, seconds=quick_s, repeats=min(scenario.repeats, 2), guest_repeats=1
        )
    kept = set(filter(None, options.peers.split(",")))
    if options.quick and not kept:
        scenario = replace(scenario, guests=())
    who, guests = (
        tuple(
            w for w in names
            if not kept or ALL in kept or w == IN_PROCESS
            or {w, w.partition(":")[0], w.partition("-")[0]} & kept
        )
        for names in (scenario.who, scenario.guests)
    )  # fmt: skip
    return replace(
        scenario,
        who=who,
        guests=guests,
        guest_repeats=options.repeats or scenario.guest_repeats,
        seconds=options.seconds or scenario.seconds,
        repeats=options.repeats or scenario.repeats,
    )


def _about(name: str) -> dict[str, object]:
    """With what a peer was measured."""
    peer = peers.open_peer(name)
    requires = [r.replace(str(envs.ROOT), "this tree") for r in peer.REQUIRES]
    return {"requires": requires, "tuning": peer.TUNING}


def _install(console: Console, scenarios: list[Scenario]) -> None:
    """Make every environment and model before the clock of the run starts; name the peers without one."""
    who = {w.partition(":")[0] for s in scenarios for w in (*s.who, *s.guests)}
    for name in sorted(who & set(peers.names())):
        try:
            measure.install(name)
        except Void as e:
            console.print(f"{name}: {e}", style="red", markup=False)
    for model in sorted({s.model for s in scenarios}):
        MODELS[model].make()


def _limit_s(options: argparse.Namespace) -> float:
    """The budget of a run."""
    if not options.quick:
        return FULL_LIMIT_S
    return QUICK_ALL_LIMIT_S if options.peers else QUICK_LIMIT_S


def _end(number: int, frame: object) -> None:
    """Leave once, by an exception, so that servers are ended; a second signal can't disturb that."""
    for known in (signal.SIGTERM, signal.SIGINT):
        signal.signal(known, signal.SIG_IGN)
    sys.exit(128 + number)


def main() -> None:
    """Measure, show, judge, write."""
    options = _options()
    console = Console(width=None if sys.stdout.isatty() else 150)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end)
    if options.faults:
        faults.main(console, list(filter(None, options.peers.split(","))), options.name or "faults")
        return
    if options.sweep:
        names = list(filter(None, options.peers.split(","))) or peers.names()
        sweep(console, names, options.scenarios, options.seconds or 2.0)
        return
    scenarios = [_shape(s, options) for s in choose(options.scenarios)]
    if options.quick and not options.scenarios:
        scenarios = [s for s in scenarios if s.is_small]
    machine = results.machine()
    console.print(machine)
    _install(console, scenarios)
    run = Run(_limit_s(options), console)
    for scenario in scenarios:
        run.scenario(scenario)
    content = {
        "machine": machine,
        "peers": {name: _about(name) for name in peers.names()},
        "goals": goals.judge(console, run.results),
        "summary": run.results.summary(scenarios),
        "records": run.results.records,
    }
    target = envs.ROOT / "bench" / "results" / (options.name or "latest")
    results.write(target.with_suffix(".json"), content)
    target.with_suffix(".svg").write_text(picture.draw(run.results, scenarios))
    target.with_suffix(".md").write_text(results.markdown(run.results, scenarios))
    console.print(f"written: {target}.json, {target}.svg, {target}.md")
