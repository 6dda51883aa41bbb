"""Typed clients of a Headway server.

Made by `headway client generate`: make it again rather than edit it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any, Literal, NotRequired, TypedDict, cast

import headway
from headway.client.arguments import Array, File

__all__ = [
    "AddUpInput",
    "AsyncClient",
    "Client",
    "CountInput",
    "EchoInput",
    "LocateInput",
    "LocatePlace",
    "LocatePlaceAnswer",
    "LocateReport",
    "SizeInput",
    "StoryInput",
]

_USED = (Array, AsyncIterator, File, Iterator, Literal, Mapping, NotRequired, Sequence)
"""What every such module imports, whether these models need it or not."""


class LocatePlace(TypedDict):
    """Where something is."""

    x: float
    y: NotRequired[float]


class LocatePlaceAnswer(TypedDict):
    """Where something is."""

    x: float
    y: float


class LocateReport(TypedDict):
    """What was seen."""

    kind: Literal["far", "near"]
    place: LocatePlaceAnswer
    tags: list[str]


class AddUpInput(TypedDict):
    """AddUpInput, by name."""

    pixels: Sequence[Sequence[float]] | Array
    scale: NotRequired[float]


class CountInput(TypedDict):
    """CountInput, by name."""

    data: File


class EchoInput(TypedDict):
    """EchoInput, by name."""

    text: str
    times: NotRequired[int]
    tone: NotRequired[Literal["high", "low"]]


class LocateInput(TypedDict):
    """LocateInput, by name."""

    place: LocatePlace
    limit: NotRequired[float]
    """Nearer than this is near."""
    note: NotRequired[str | None]
    tags: NotRequired[Sequence[str]]


class SizeInput(TypedDict):
    """SizeInput, by name."""

    picture: File


class StoryInput(TypedDict):
    """StoryInput, by name."""

    prompt: str
    most: NotRequired[int]
    wait_s: NotRequired[float]


class Client(headway.Client):
    """`headway.Client` with a method for each model, and its arguments."""

    def add_up(
        self,
        *,
        pixels: Sequence[Sequence[float]] | Array,
        scale: float = 1.0,
    ) -> list[float]:
        """Add rows up."""
        inputs: dict[str, Any] = {
            "pixels": pixels,
            "scale": scale,
        }
        return cast(list[float], self.model("add-up")(**inputs))

    def add_up_batch(self, rows: Sequence[AddUpInput]) -> list[list[float]]:
        """Ask add-up about many items at once; the answers are in their order."""
        return cast(list[list[float]], self.model("add-up").batch(cast(Sequence[Mapping[str, Any]], rows)))

    def count(
        self,
        *,
        data: File,
    ) -> int:
        """Tell how many bytes there are."""
        inputs: dict[str, Any] = {
            "data": data,
        }
        return cast(int, self.model("count")(**inputs))

    def count_batch(self, rows: Sequence[CountInput]) -> list[int]:
        """Ask count about many items at once; the answers are in their order."""
        return cast(list[int], self.model("count").batch(cast(Sequence[Mapping[str, Any]], rows)))

    def echo(
        self,
        *,
        text: str,
        times: int = 1,
        tone: Literal["high", "low"] = "low",
    ) -> str:
        """Say it again.

        Louder each time.
        """
        inputs: dict[str, Any] = {
            "text": text,
            "times": times,
            "tone": tone,
        }
        return cast(str, self.model("echo")(**inputs))

    def echo_batch(self, rows: Sequence[EchoInput]) -> list[str]:
        """Ask echo about many items at once; the answers are in their order."""
        return cast(list[str], self.model("echo").batch(cast(Sequence[Mapping[str, Any]], rows)))

    def locate(
        self,
        *,
        place: LocatePlace,
        limit: float = 1.0,
        note: str | None = None,
        tags: Sequence[str] | None = None,
    ) -> LocateReport:
        """Tell how far a place is.

        Args:
            limit: Nearer than this is near.
        """
        inputs: dict[str, Any] = {
            "place": place,
            "limit": limit,
            "note": note,
        }
        if tags is not None:
            inputs["tags"] = tags
        return cast(LocateReport, self.model("locate")(**inputs))

    def locate_batch(self, rows: Sequence[LocateInput]) -> list[LocateReport]:
        """Ask locate about many items at once; the answers are in their order."""
        return cast(list[LocateReport], self.model("locate").batch(cast(Sequence[Mapping[str, Any]], rows)))

    def size(
        self,
        *,
        picture: File,
    ) -> list[int]:
        """Tell a picture's size."""
        inputs: dict[str, Any] = {
            "picture": picture,
        }
        return cast(list[int], self.model("size")(**inputs))

    def size_batch(self, rows: Sequence[SizeInput]) -> list[list[int]]:
        """Ask size about many items at once; the answers are in their order."""
        return cast(list[list[int]], self.model("size").batch(cast(Sequence[Mapping[str, Any]], rows)))

    def story(
        self,
        *,
        prompt: str,
        most: int = 3,
        wait_s: float = 0.0,
    ) -> Iterator[str]:
        """Count words."""
        inputs: dict[str, Any] = {
            "prompt": prompt,
            "most": most,
            "wait_s": wait_s,
        }
        return cast(Iterator[str], self.model("story").stream(**inputs))


class AsyncClient(headway.AsyncClient):
    """`headway.AsyncClient` with a method for each model, and its arguments."""

    async def add_up(
        self,
        *,
        pixels: Sequence[Sequence[float]] | Array,
        scale: float = 1.0,
    ) -> list[float]:
        """Add rows up."""
        inputs: dict[str, Any] = {
            "pixels": pixels,
            "scale": scale,
        }
        return cast(list[float], await self.model("add-up")(**inputs))

    async def add_up_batch(self, rows: Sequence[AddUpInput]) -> list[list[float]]:
        """Ask add-up about many items at once; the answers are in their order."""
        return cast(list[list[float]], await self.model("add-up").batch(cast(Sequence[Mapping[str, Any]], rows)))

    async def count(
        self,
        *,
        data: File,
    ) -> int:
        """Tell how many bytes there are."""
        inputs: dict[str, Any] = {
            "data": data,
        }
        return cast(int, await self.model("count")(**inputs))

    async def count_batch(self, rows: Sequence[CountInput]) -> list[int]:
        """Ask count about many items at once; the answers are in their order."""
        return cast(list[int], await self.model("count").batch(cast(Sequence[Mapping[str, Any]], rows)))

    async def echo(
        self,
        *,
        text: str,
        times: int = 1,
        tone: Literal["high", "low"] = "low",
    ) -> str:
        """Say it again.

        Louder each time.
        """
        inputs: dict[str, Any] = {
            "text": text,
            "times": times,
            "tone": tone,
        }
        return cast(str, await self.model("echo")(**inputs))

    async def echo_batch(self, rows: Sequence[EchoInput]) -> list[str]:
        """Ask echo about many items at once; the answers are in their order."""
        return cast(list[str], await self.model("echo").batch(cast(Sequence[Mapping[str, Any]], rows)))

    async def locate(
        self,
        *,
        place: LocatePlace,
        limit: float = 1.0,
        note: str | None = None,
        tags: Sequence[str] | None = None,
    ) -> LocateReport:
        """Tell how far a place is.

        Args:
            limit: Nearer than this is near.
        """
        inputs: dict[str, Any] = {
            "place": place,
            "limit": limit,
            "note": note,
        }
        if tags is not None:
            inputs["tags"] = tags
        return cast(LocateReport, await self.model("locate")(**inputs))

    async def locate_batch(self, rows: Sequence[LocateInput]) -> list[LocateReport]:
        """Ask locate about many items at once; the answers are in their order."""
        return cast(list[LocateReport], await self.model("locate").batch(cast(Sequence[Mapping[str, Any]], rows)))

    async def size(
        self,
        *,
        picture: File,
    ) -> list[int]:
        """Tell a picture's size."""
        inputs: dict[str, Any] = {
            "picture": picture,
        }
        return cast(list[int], await self.model("size")(**inputs))

    async def size_batch(self, rows: Sequence[SizeInput]) -> list[list[int]]:
        """Ask size about many items at once; the answers are in their order."""
        return cast(list[list[int]], await self.model("size").batch(cast(Sequence[Mapping[str, Any]], rows)))

    def story(
        self,
        *,
        prompt: str,
        most: int = 3,
        wait_s: float = 0.0,
    ) -> AsyncIterator[str]:
        """Count words."""
        inputs: dict[str, Any] = {
            "prompt": prompt,
            "most": most,
            "wait_s": wait_s,
        }
        return cast(AsyncIterator[str], self.model("story").stream(**inputs))
