"""Collector of readings from the kubelets, at work while somebody asks: an idle cluster is not measured."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping

from tiphys.aio.clock import Clock
from tiphys.aio.tasks import cancel_and_wait
from tiphys.api.machinery.errors import StatusError
from tiphys.apiserver.resource_metrics.usage import Reading, Subject, Usage, read, usages

log = logging.getLogger(__name__)

RESOLUTION = 15.0
"""Seconds between two rounds, as metrics-server's default."""
FIRST_SPAN = 2.0
"""Seconds between the first two rounds, for which the first request waits."""
IDLE_AFTER = 300.0
"""Seconds after the last question at which measuring ends."""
SCRAPE_SECONDS = 10.0
SCRAPES_AT_ONCE = 32

Scrape = Callable[[str], Awaitable[bytes]]
"""Fetch the page of a node. Raises StatusError, ConnectionError, OSError or TimeoutError."""
Uses = Mapping[Subject, Usage]


class Collector:
    """Keeps the use of all nodes up to date while it is asked for."""

    def __init__(self, nodes: Callable[[], Iterable[str]], scrape: Scrape, clock: Clock) -> None:
        self._nodes = nodes
        self._scrape = scrape
        self._clock = clock
        self._last_request = 0.0
        self._task: asyncio.Task[None] | None = None
        self._measured = asyncio.Event()
        self._readings: dict[str, Reading] = {}
        self._uses: dict[str, Uses] = {}

    async def uses(self) -> Mapping[str, Uses]:
        """Return the use of every subject by node, as of the last round; nodes that did not answer are left out.

        Whoever asks first waits for two rounds.
        """
        self._last_request = self._clock.monotonic()
        if self._task is None or self._task.done():
            self._measured.clear()
            self._task = asyncio.get_running_loop().create_task(self._keep(), name="resource metrics")
        await self._measured.wait()
        return self._uses

    async def close(self) -> None:
        """Stop measuring."""
        if self._task is not None:
            await cancel_and_wait(self._task)

    async def _keep(self) -> None:
        try:
            await self._round()
            await self._clock.sleep(FIRST_SPAN)
            while True:
                await self._round()
                self._measured.set()
                if self._clock.monotonic() - self._last_request > IDLE_AFTER:
                    return
                await self._clock.sleep(RESOLUTION)
        finally:
            self._measured.set()
            self._readings, self._uses = {}, {}

    async def _round(self) -> None:
        slots = asyncio.Semaphore(SCRAPES_AT_ONCE)
        names = list(self._nodes())
        readings = dict(zip(names, await asyncio.gather(*(self._reading(name, slots) for name in names)), strict=True))
        self._uses = {
            name: dict(usages(before, after))
            for name, after in readings.items()
            if after is not None and (before := self._readings.get(name)) is not None
        }
        self._readings = {name: reading for name, reading in readings.items() if reading is not None}

    async def _reading(self, node: str, slots: asyncio.Semaphore) -> Reading | None:
        async with slots:
            try:
                async with asyncio.timeout(SCRAPE_SECONDS):
                    page = await self._scrape(node)
            except (StatusError, OSError, TimeoutError) as error:
                log.info("node not measured", extra={"node": node, "error": str(error) or "timed out"})
                return None
        return read(page.decode("utf-8", "replace"), self._clock.now().timestamp())
