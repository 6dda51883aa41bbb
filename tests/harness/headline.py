"""A long run from the command line: so many requests, or so many minutes, under all faults; prints the ledger.

    python -m harness.headline --requests 1000000 --seed 1
    python -m harness.headline --minutes 60

It ends with 0 if nothing was wrong, duplicate or hung and all else is as it should be.
"""

import argparse
import itertools
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from harness import schedule
from harness.case import Case, ledger_server
from harness.checker import Void, ways
from harness.ledger import Mix
from harness.schedule import Strike, plan

SOAK_S = 60.0
"""A soak is cut into rounds: after each the server must be quiet, and hold what it held."""
MATCHED = (schedule.KILL_WORKER, schedule.STOP_WORKER)
"""The headline's faults: none of them may cost anybody an answer."""


def mix(poison: float) -> Mix:
    """Requests of every mood."""
    return Mix(
        leaver=0.05, hurried=0.02, poison=poison, sick=0.005, rejected=0.005, bad=0.005, many=0.1
    )


def headline(requests: int, seed: int, poison: float, ledger: Path | None) -> int:
    """Ask so many requests while workers are killed and stopped; 0 if all is well."""
    with tempfile.TemporaryDirectory() as folder, ledger_server(Path(folder)) as server:
        case = Case(
            server, seed=seed, mix=mix(poison), per_s=0, clients=64, most=requests, path=ledger
        )
        # Ends with the requests, not with the plan: it is cut to what such a load takes at 2,000 a second.
        until_s = max(4.0, requests / 2000)
        strikes = plan(seed, MATCHED, every_s=2.0, until_s=until_s, hold_s=(0.1, 1.0))
        case.run(0, strikes)
        return told(case)


def soak(minutes: float, seed: int) -> int:
    """Load a server with every fault, in rounds of a minute; 0 if all is well."""
    end_at = time.monotonic() + minutes * 60
    with tempfile.TemporaryDirectory() as folder, ledger_server(Path(folder)) as server:
        for number in itertools.count():
            for_s = min(SOAK_S, end_at - time.monotonic())
            if for_s <= 0 and number:
                return 0
            case = Case(
                server,
                seed=seed + number,
                mix=mix(0.0005),
                allowed=ways(all="failed cut"),
                void=Void(least_per_s=20),
            )
            strikes: list[Strike] = plan(
                case.seed, schedule.KINDS, every_s=4.0, until_s=max(5.0, for_s - 5.0)
            )
            case.run(max(for_s, 6.0), strikes)
            if told(case):
                return 1
    return 0


def told(case: Case) -> int:
    """Print what a run says; 1 if something is wrong."""
    print(case.report)
    rate = case.ledger.counts.total() / case.took_s
    print(f"took {case.took_s:.0f} s, {rate:,.0f} requests/s", "FAILED" if case.wrong else "passed")
    sys.stdout.flush()
    return int(bool(case.wrong))


def main(arguments: Sequence[str]) -> int:
    """Run what the arguments say."""
    parser = argparse.ArgumentParser(prog="headline", description=__doc__.partition("\n")[0])
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument("--minutes", type=float, help="a soak instead, with every fault")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--poison", type=float, default=0.0001, help="share of requests")
    parser.add_argument("--ledger", type=Path, help="file for two lines a request")
    asked = parser.parse_args(arguments)
    if asked.minutes is not None:
        return soak(asked.minutes, asked.seed)
    return headline(asked.requests, asked.seed, asked.poison, asked.ledger)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
