"""What protocols are told that answer by themselves: in a gateway of its pools, in the supervisor of its parties."""

from collections.abc import Mapping

import headway
from headway.config import ServerSettings
from headway.engine.party import Party
from headway.engine.pool import Pool
from headway.errors import GivenUp
from headway.model.call import Description
from headway.observe.metrics import Board, stats
from headway.protocols import Facts, Plan, Stats, Tuning


def of_pools(
    pools: Mapping[str, Pool],
    alive: Mapping[str, bool],
    board: Board,
    settings: ServerSettings,
    *,
    may_be_ready: bool,
) -> Facts:
    """The facts of a gateway.

    Args:
        pools: by model name, in the order of the board's places.
        alive: by model name, what a probe of its slots has just shown.
        board: the counters of all processes.
        settings: of the server.
        may_be_ready: it has been ready, and is not draining.
    """
    ready = {name: alive.get(name, pool.is_serving) for name, pool in pools.items()}
    return Facts(
        descriptions={name: _versions(pool.description) for name, pool in pools.items()},
        ready=ready,
        is_server_ready=may_be_ready and any(ready.values()),
        stats=_stats(board, pools),
        server_version=headway.__version__,
        failures={
            name: pool.trouble.fields["reason"]
            for name, pool in pools.items()
            if isinstance(pool.trouble, GivenUp)
        },
        states={name: pool.state for name, pool in pools.items()},
        plans={
            name: Plan(
                pool.max_rows,
                pool.settings.max_request_rows,
                pool.settings.hold_s,
                len({link.worker.id for link in pool.links}),
                pool.settings.device,
            )
            for name, pool in pools.items()
        },
        tuning=_tuning(settings),
    )


def of_parties(
    parties: Mapping[str, Party], board: Board, settings: ServerSettings, *, may_be_ready: bool
) -> Facts:
    """The facts of the supervisor; they tell what `of_pools` does, without a probe."""
    states = {name: party.state for name, party in parties.items()}
    ready = {name: state.state == "READY" for name, state in states.items()}
    loaded = {name: party.newest for name, party in parties.items()}
    return Facts(
        descriptions={name: _versions(x.description if x else None) for name, x in loaded.items()},
        ready=ready,
        is_server_ready=may_be_ready and any(ready.values()),
        stats=_stats(board, parties),
        server_version=headway.__version__,
        failures={name: p.fleet.failure for name, p in parties.items() if p.has_failed},
        states=states,
        plans={
            name: Plan(
                x.max_rows if x else 0,
                parties[name].spec.settings.max_request_rows,
                parties[name].spec.settings.hold_s,
                parties[name].fleet.ready,
                parties[name].spec.settings.device,
            )
            for name, x in loaded.items()
        },
        tuning=_tuning(settings),
    )


def _versions(description: Description | None) -> dict[str, Description]:
    return {description.version: description} if description else {}


def _stats(board: Board, names: Mapping[str, object]) -> dict[str, Stats]:
    return {name: Stats(**stats(board, i)) for i, name in enumerate(names)}  # type: ignore[arg-type]


def _tuning(settings: ServerSettings) -> Tuning:
    return Tuning(settings.log_level, settings.traces, settings.traces_share)
