"""Registration of plugins: sockets below `plugins_registry` come and go, and with them the plugins behind them.

A plugin is registered by the handler of its type; drivers of the Container Storage Interface are one type. The directory is compared once a
second by the times of its folders, and read only when one of them changed. A socket that is made anew is another plugin, also at the same
path: the old one is deregistered before the new one is registered. The end of the kubelet deregisters nothing. ("Device Plugins", "Kubelet
Plugin Registration")
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

from tiphys.aio.backoff import Backoff, BackoffPolicy
from tiphys.aio.clock import Clock
from tiphys.aio.tasks import TaskSet, until
from tiphys.node.plugins import metrics
from tiphys.node.plugins.registration import PluginError, PluginSocket

log = logging.getLogger(__name__)

PERIOD = 1.0
"""Seconds between two looks at the directory."""
RETRY = BackoffPolicy(first=0.5, cap=122.0)
"""Delays between attempts to register a plugin, upstream's."""


class Plugin(NamedTuple):
    """Description of a plugin by itself, with an endpoint in any case."""

    name: str
    endpoint: str
    versions: tuple[str, ...]


class PluginHandler(Protocol):
    """Registration of one type of plugin. Calls for one socket come one after another; those for several sockets run side by side."""

    def validate(self, plugin: Plugin) -> None:
        """Raise PluginError for a plugin that cannot be taken."""
        ...

    async def register(self, plugin: Plugin) -> None:
        """Take a plugin into use; nothing of it stays behind when this raises PluginError. When its socket goes meanwhile, this
        is cancelled, and `deregister` called.
        """
        ...

    async def deregister(self, plugin: Plugin) -> None:
        """Forget a plugin whose socket is gone. Raises nothing."""
        ...


class _Socket(NamedTuple):
    """Identity of a socket in the file system."""

    path: Path
    inode: int
    born: int


class _Follower:
    """One socket, and whether it has gone."""

    def __init__(self, socket: _Socket) -> None:
        self.socket = socket
        self.gone = asyncio.Event()


class PluginWatcher:
    """Follows the sockets below a directory. `handlers` are by type: `CSIPlugin`, `DevicePlugin`, `DRAPlugin`."""

    def __init__(self, directory: Path, handlers: Mapping[str, PluginHandler], *, clock: Clock, rng: random.Random | None = None) -> None:
        self.directory = directory
        self.handlers = dict(handlers)
        self.registered: dict[Path, Plugin] = {}
        """Plugins in use, by the path of their socket."""
        self._beginning: dict[Path, tuple[str, Plugin]] = {}
        """Plugins that their handlers, by type, are taking into use."""
        self._clock = clock
        self._rng = rng or random.Random()
        self._followers: dict[Path, _Follower] = {}
        self._serving: dict[Path, asyncio.Task[None]] = {}
        """The newest task of each path: it waits for the end of the one before."""
        self._tasks = TaskSet()

    async def run(self) -> None:
        """Follow the directory until cancelled."""
        await asyncio.to_thread(self.directory.mkdir, parents=True, exist_ok=True, mode=0o750)
        before: dict[str, int] | None = None
        changed = True
        try:
            while True:
                times = await asyncio.to_thread(_times, self.directory)
                again, changed = changed, times != before
                # Read twice: a folder may change again within the resolution of its time.
                if changed or again:
                    self._update(await asyncio.to_thread(_sockets, self.directory))
                before = times
                await self._clock.sleep(PERIOD)
        finally:
            await self._tasks.close()

    def _update(self, sockets: list[_Socket]) -> None:
        present = {socket.path: socket for socket in sockets}
        for path, follower in list(self._followers.items()):
            if present.get(path) != follower.socket:
                follower.gone.set()
                if path not in present:
                    del self._followers[path]
                    metrics.PLUGINS.forget(str(path), "desired_state_of_world")
        for path, socket in present.items():
            known = self._followers.get(path)
            if known is None or known.gone.is_set():
                self._follow(socket)

    def _follow(self, socket: _Socket) -> None:
        path = socket.path
        follower = self._followers[path] = _Follower(socket)
        metrics.PLUGINS.labels(str(path), "desired_state_of_world").set(1)
        self._serving[path] = self._tasks.spawn(self._serve(follower, self._serving.get(path)), name=f"plugin at {path}")

    async def _serve(self, follower: _Follower, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await asyncio.wait((before,))
        path = follower.socket.path
        backoff = Backoff(RETRY, self._rng)
        while not follower.gone.is_set():
            try:
                registration = await until(follower.gone, self._register(path))
            except PluginError as error:
                log.warning("plugin not registered", extra={"socket": str(path), "error": str(error)})
                await _wait(follower.gone, backoff.next())
                continue
            if registration is None:
                if path in self._beginning:
                    kind, plugin = self._beginning.pop(path)
                    await self.handlers[kind].deregister(plugin)
                return
            kind, plugin = registration
            log.info("plugin registered", extra={"plugin": plugin.name, "type": kind, "socket": str(path)})
            self.registered[path] = plugin
            metrics.PLUGINS.labels(str(path), "actual_state_of_world").set(1)
            await follower.gone.wait()
            del self.registered[path]
            metrics.PLUGINS.forget(str(path), "actual_state_of_world")
            await self.handlers[kind].deregister(plugin)
            log.info("plugin deregistered", extra={"plugin": plugin.name, "type": kind, "socket": str(path)})

    async def _register(self, path: Path) -> tuple[str, Plugin]:
        async with PluginSocket.connected(path) as socket:
            info = await socket.info()
            plugin = Plugin(info.name, info.endpoint or str(path), tuple(info.supported_versions))
            handler = self.handlers.get(info.type)
            if handler is None:
                raise await _refused(socket, f"RegisterPlugin error -- no handler registered for plugin type: {info.type} at socket {path}")
            try:
                handler.validate(plugin)
            except PluginError as error:
                raise await _refused(socket, f"RegisterPlugin error -- plugin validation failed with err: {error}") from error
            self._beginning[path] = (info.type, plugin)
            try:
                await handler.register(plugin)
            except PluginError as error:
                del self._beginning[path]
                raise await _refused(socket, f"RegisterPlugin error -- plugin registration failed with err: {error}") from error
            try:
                await socket.notify()
            except PluginError as error:
                del self._beginning[path]
                await handler.deregister(plugin)
                message = f"RegisterPlugin error -- failed to send registration status at socket {path}, err: {error}"
                raise PluginError(message) from error
            return self._beginning.pop(path)


async def _refused(socket: PluginSocket, message: str) -> PluginError:
    """Tell a plugin why it is not registered; returns the error to raise."""
    with contextlib.suppress(PluginError):
        await socket.notify(message)
    return PluginError(message)


async def _wait(event: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()


def _folders(directory: Path) -> Iterator[str]:
    for folder, names, _ in os.walk(directory):
        names[:] = [name for name in names if not name.startswith(".")]
        yield folder


def _times(directory: Path) -> dict[str, int]:
    """Return the time of the last change of each folder."""
    times = {}
    for folder in _folders(directory):
        with contextlib.suppress(OSError):
            times[folder] = os.stat(folder).st_mtime_ns
    return times


def _sockets(directory: Path) -> list[_Socket]:
    """Return the sockets, those with a name that begins with a dot left out.

    Drivers write here: what cannot be looked at, such as a link to itself, is nobody's socket.
    """
    sockets = []
    for folder in _folders(directory):
        with contextlib.suppress(OSError):
            for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
                with contextlib.suppress(OSError):
                    status = entry.stat()
                    if stat.S_ISSOCK(status.st_mode) and not entry.name.startswith("."):
                        sockets.append(_Socket(Path(entry.path), status.st_ino, status.st_mtime_ns))
    return sockets
