"""What the contract tests tell a codec that answers by itself. Not a test."""

from headway.model.call import ModelState
from headway.model.wire import Wire
from headway.protocols import Ask, Codec, Facts, Plan, Route


def route_of(codec: Codec, ask: Ask) -> Route | None:
    """The first route of what is asked."""
    return next((route for route in codec.ROUTES if route.op == ask.op), None)


def facts_of(wire: Wire, *, is_ready: bool = True) -> Facts:
    """What a gateway that serves the model knows."""
    return Facts(
        {"shout": {"1": wire.description}},
        {"shout": is_ready},
        is_ready,
        {},
        "0.1.0",
        states={"shout": ModelState("READY") if is_ready else ModelState("LOADING")},
        plans={"shout": Plan(64, 65536, 0.0, 2, "cpu")},
    )
