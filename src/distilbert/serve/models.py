"""The models of a server by name: loaded, swapped and let go while others are asked. For one event loop."""

import asyncio
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from distilbert.errors import DistilBertError
from distilbert.serve.refusals import Failed, Unknown, Unready
from distilbert.serve.served import Served

logger = logging.getLogger(__name__)


class Models:
    """
    Args:
        places: of folders by name, or of hubs' names; the first answers where no name is said.
        task: what the first is asked where nothing is said; None for what it was made for.
        **settings: of pipelines.
    """

    def __init__(self, places: Mapping[str, str | Path], *, task: str | None = None, **settings: Any) -> None:
        self.places = dict(places)
        self._task, self._settings = task, settings
        self._first = next(iter(places))
        self._ready: dict[str, Served] = {}
        self._loading: dict[str, asyncio.Lock] = {}

    @property
    def ready(self) -> bool:
        """Whether all models have answered once, and there is what computes them."""
        return all(name in self._ready and self._ready[name].alive for name in self.places)

    @property
    def names(self) -> list[str]:
        """Of all models, whether ready or not, the usual one first."""
        return sorted(self.places, key=lambda name: name != self._first)

    @property
    def loaded(self) -> list[Served]:
        """Those that answer."""
        return list(self._ready.values())

    def is_ready(self, name: str) -> bool:
        """Whether a model answers.

        Raises:
            Unknown: there is none of that name.
        """
        self._require(name)
        return name in self._ready

    def get(self, name: str | None = None) -> Served:
        """The model of a name, or the usual one.

        Raises:
            Unknown: there is none of that name.
            Unready: it is still being loaded.
        """
        name = self._first if name is None else name
        self._require(name)
        if name not in self._ready:
            raise Unready(f"The model {name} is being loaded. Ask again soon.", retry_after=1)
        return self._ready[name]

    async def load_all(self) -> None:
        """Load what the server was started with.

        Raises:
            DistilBertError: a folder that cannot be read.
        """
        for name in self.names:
            await self._load(name, self.places[name])

    async def load(self, name: str, place: str | Path) -> Served:
        """Load a model; one of the same name serves until the new one has answered once, and then no more.

        Raises:
            Failed: it cannot be loaded; what was there before is there still.
        """
        try:
            return await self._load(name, place)
        except DistilBertError as error:
            logger.warning("the model %s cannot be loaded: %s", name, error)
            raise Failed(f"The model {name} cannot be loaded. The log says why.") from error

    def unload(self, name: str) -> None:
        """Let a model go, once it has answered whom it still serves.

        Raises:
            Unknown: there is none of that name.
        """
        self._require(name)
        del self.places[name]
        if name in self._ready:
            self._ready.pop(name).retire()
        if name == self._first and self.places:
            self._first = next(iter(self.places))

    def close(self) -> None:
        """Let go of all."""
        for served in self._ready.values():
            served.close()
        self._ready.clear()

    async def _load(self, name: str, place: str | Path) -> Served:
        async with self._loading.setdefault(name, asyncio.Lock()):
            task = self._task if name == self._first else None
            opening = asyncio.to_thread(Served.open, name, place, task=task, **self._settings)
            made = await opening
            old = self._ready.get(name)
            self._ready[name], self.places[name] = made, place
            if old is not None:
                old.retire()
        return made

    def _require(self, name: str) -> None:
        if name not in self.places:
            raise Unknown(f"There is no model {name:.60}. There are {', '.join(self.names)}.")
