"""What an operator asks of a running server: load and unload a model, change a setting until the next reload.

A model is loaded by what headway.yaml says now, and only one that the server was started with. What is loaded already
is replaced, as by a reload of it alone: it serves until the new workers do, and stays if they can't be loaded. When an
order has been carried out, every gateway knows: no request that comes afterwards meets what was before.
"""

import asyncio
import dataclasses
import logging
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from headway.config import ServerSettings
from headway.engine.party import Party
from headway.errors import UnknownModel
from headway.model.call import SETTABLE, Order

log = logging.getLogger(__name__)

_STOPPING = "the server is stopping"


class Host(Protocol):
    """The supervisor."""

    @property
    def is_draining(self) -> bool:
        """Whether the server has been told to stop."""
        ...

    @property
    def parties(self) -> Mapping[str, Party]:
        """The models, by name."""
        ...

    def fence(self) -> "asyncio.Future[None]":
        """Done when every gateway has heard all that it was told until now."""
        ...

    def changed(self) -> None:
        """A model has become ready, or is wanted no more."""
        ...


class Verbs:
    """Carries out what operators ask for.

    Args:
        host: the supervisor.
        read: takes a model's specification from headway.yaml and begins to load it; "" or why it can't.
        tune: changes settings, each to a value, or for None to what headway.yaml says.
    """

    def __init__(
        self,
        host: Host,
        read: Callable[[str], "asyncio.Future[str]"],
        tune: Callable[[Mapping[str, Any]], None],
    ) -> None:
        self._host = host
        self._read = read
        self._tune = tune

    async def carry_out(self, order: Order) -> str:
        """Do what is asked; "" once every gateway knows, or why it was not done.

        Raises:
            UnknownModel: the server was not started with such a model.
        """
        if order.verb != "set" and order.model not in self._host.parties:
            raise UnknownModel(model=order.model, known=", ".join(self._host.parties))
        if self._host.is_draining:
            return _STOPPING
        if order.verb == "load":
            refusal = await self._load(order.model)
        elif order.verb == "unload":
            refusal = self._unload(order.model)
        else:
            refusal = self._set(order.settings)
        await self._host.fence()
        return refusal

    async def _load(self, model: str) -> str:
        return await self._read(model) or await self._host.parties[model].outcome()

    def _unload(self, model: str) -> str:
        self._host.parties[model].unload()
        self._host.changed()
        return ""

    def _set(self, settings: Mapping[str, Any]) -> str:
        if unknown := settings.keys() - set(SETTABLE):
            return f"the setting {min(unknown)!r} can't change so"
        self._tune(settings)
        return ""

    def stop(self) -> None:
        """Nobody is to wait for what will not be."""
        for party in self._host.parties.values():
            party.give_up(_STOPPING)


def tuned(
    now: ServerSettings, configured: ServerSettings, settings: Mapping[str, Any]
) -> ServerSettings:
    """Settings with some of them changed; None is what was configured."""
    values = {k: getattr(configured, k) if v is None else v for k, v in settings.items()}
    return dataclasses.replace(now, **values)
