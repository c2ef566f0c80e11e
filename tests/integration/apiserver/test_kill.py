"""kill -9 of a server process in the middle of writes: what was acknowledged is there, and watches go on where they were."""

from __future__ import annotations

import asyncio
import signal
from contextlib import suppress
from functools import partial
from pathlib import Path

from tests.integration.apiserver.process import ServerProcess
from tiphys.api.core import v1 as core
from tiphys.api.machinery import errors
from tiphys.client import Client
from tiphys.testing import eventually

KILLS = 3
WRITERS = 6


def config_map(name: str, n: int) -> core.ConfigMap:
    made = core.ConfigMap(data={"n": str(n)})
    made.metadata.name, made.metadata.namespace = name, "default"
    return made


class Writer:
    """Creates objects and changes them, and keeps what the server acknowledged."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.acknowledged: dict[str, str] = {}
        self.in_doubt: set[str] = set()
        self.count = 0

    async def run(self, client: Client) -> None:
        """Write until the server is gone."""
        with suppress(ConnectionError):
            while True:
                name = f"w{self.number}-{self.count:05d}"
                self.count += 1
                self.in_doubt.add(name)
                made = await client.create(config_map(name, 0))
                self.acknowledged[name] = made.metadata.resourceVersion
                changed = await client.patch(core.ConfigMap, name, "default", body={"data": {"n": "1"}})
                self.acknowledged[name] = changed.metadata.resourceVersion
                self.in_doubt.discard(name)


class Follower:
    """A watch that is begun again at the last version it saw whenever it breaks."""

    def __init__(self, position: str) -> None:
        self.versions: list[int] = []
        self.position = position

    async def run(self, client: Client) -> None:
        while True:
            try:
                async for event in client.watch(core.ConfigMap, "default", resource_version=self.position, bookmarks=False):
                    self.position = event.object.metadata.resourceVersion
                    self.versions.append(int(self.position))
            except (ConnectionError, errors.ServiceUnavailable):
                await asyncio.sleep(0.02)


def has_written(writers: list[Writer], enough: int) -> bool:
    return sum(len(writer.acknowledged) for writer in writers) >= enough


async def test_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path)
    await server.start()
    client = server.client()
    listed = await client.list(core.ConfigMap, "default")
    follower = Follower(listed.resourceVersion)
    following = asyncio.create_task(follower.run(client))
    writers = [Writer(number) for number in range(WRITERS)]
    try:
        for kill in range(1, KILLS + 1):
            running = [asyncio.create_task(writer.run(client)) for writer in writers]
            enough = partial(has_written, writers, 40 * kill)
            await eventually(enough, interval=0.005)
            await server.end(signal.SIGKILL)
            await asyncio.gather(*running)
            await server.start()
            found = {obj.metadata.name: obj for obj in (await client.list(core.ConfigMap, "default")).items}
            for writer in writers:
                for name, version in writer.acknowledged.items():
                    current = found[name].metadata.resourceVersion
                    assert current == version or (name in writer.in_doubt and int(current) > int(version)), (name, version, current)
                writer.acknowledged.update({name: found[name].metadata.resourceVersion for name in writer.in_doubt if name in found})
                writer.in_doubt.clear()
        last = await client.create(config_map("last", 0))
        await eventually(lambda: follower.position == last.metadata.resourceVersion)
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        await client.close()
        stopped = await server.end(signal.SIGTERM)
    assert stopped == 0
    # Every version once and in order, over all restarts; the newest version of each object is among them.
    assert follower.versions == sorted(set(follower.versions))
    assert {int(version) for writer in writers for version in writer.acknowledged.values()} <= set(follower.versions)
