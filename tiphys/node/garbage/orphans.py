"""Removal of what is left of pods that neither the API server nor the runtime knows: directories and mounts, control groups, logs, network
namespaces, addresses.

What exists is listed first and who owns it is asked afterwards. A worker is there before anything of its pod is made, so nothing that was
listed can belong to a pod of which nobody knows yet. For sandboxes, which the runtime lists only once they run, there is `Suspects`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection
from pathlib import Path

import msgspec

from tiphys.aio.tasks import TaskSet
from tiphys.node.cri.errors import CriError, NotFound
from tiphys.node.garbage import network
from tiphys.node.garbage.kept_logs import put_away
from tiphys.node.garbage.suspects import Suspects
from tiphys.node.metrics import families
from tiphys.node.services import NodeServices
from tiphys.node.volumes.payload import VolumeError

log = logging.getLogger(__name__)

PATIENCE = 600.0
"""Seconds after which a network namespace or address without a sandbox is an orphan: starting one takes two minutes at most."""
CLEAR_PAUSE = 120.0
"""Longest pause between attempts to unmount the volumes of a former pod, in seconds."""


class OrphanCollector:
    """Looks for orphans. `workers` are the uids of the pods that are being worked on."""

    def __init__(self, services: NodeServices, workers: Callable[[], Collection[str]]) -> None:
        self.services = services
        self.patience = PATIENCE
        self._workers = workers
        self._clearing: set[str] = set()
        self._tasks = TaskSet()
        self._namespaces = Suspects()
        self._addresses = Suspects()
        self._paths: dict[str, str] = {}
        """Network namespaces by the id of the sandbox; "" for one that has none of its own."""

    async def look(self) -> None:
        """Look once, and remove what is found. Raises CriError when the runtime does not answer."""
        await self._files()
        self._groups()
        await self._logs()
        await self._network()

    async def close(self) -> None:
        """Break off what is under way."""
        await self._tasks.close()

    def _is_known(self, uid: str) -> bool:
        return uid in self._workers() or uid in self.services.relister.uids

    # -- files

    async def _files(self) -> None:
        left = await asyncio.to_thread(self.services.volumes.left_over)
        families.ORPHAN_VOLUME_ERRORS.labels().set(len(self._clearing))
        orphans = [uid for uid in sorted(left) if not self._is_known(uid)]
        for uid in orphans:
            if uid not in self._clearing:
                self._clearing.add(uid)
                self._tasks.spawn(self._clear(uid), name=f"volumes of {uid}")
        families.ORPHAN_VOLUMES.labels().set(len(orphans))

    async def _clear(self, uid: str) -> None:
        """Unmount and remove the volumes of a former pod. The driver of one may come up later than the kubelet."""
        pause = 1.0
        try:
            while not self._is_known(uid):
                try:
                    await self.services.volumes.tear_down(uid)
                    log.info("files of a former pod removed", extra={"uid": uid})
                    return
                except (OSError, VolumeError) as error:
                    log.warning("volumes of a former pod not removed", extra={"uid": uid, "error": str(error)})
                await self.services.clock.sleep(pause)
                pause = min(pause * 2, CLEAR_PAUSE)
        finally:
            self._clearing.discard(uid)

    def _groups(self) -> None:
        for uid in sorted(self.services.cgroups.uids()):
            if not self._is_known(uid) and not self.services.cgroups.remove(uid):
                log.warning("control group of a former pod not removed: processes run in it", extra={"uid": uid})

    async def _logs(self) -> None:
        settings = self.services.settings
        for directory in await asyncio.to_thread(lambda: sorted(settings.logs.glob("*_*_*"))):
            if not self._is_known(directory.name.rpartition("_")[2]):
                await asyncio.to_thread(put_away, settings, directory, self.services.clock.now())

    # -- the network

    async def _network(self) -> None:
        state = self.services.settings.containerd_state
        conf_dir = await self._conf_dir()
        files = await asyncio.to_thread(network.namespaces, state) if state is not None else []
        addresses = await asyncio.to_thread(network.reservations, conf_dir) if conf_dir is not None else {}
        if not files and not addresses:
            return
        sandboxes = {box.id for box in await self.services.cri.list_pod_sandboxes()}
        now = self.services.clock.monotonic()
        await self._remove_namespaces(files, sandboxes, now)
        ownerless = [str(path) for path, owner in addresses.items() if owner not in sandboxes]
        for name in self._addresses.ripe(ownerless, now, self.patience):
            path = Path(name)
            try:
                if await asyncio.to_thread(network.release, path, addresses[path]):
                    log.info("address of a former sandbox released", extra={"address": path.name, "sandbox": addresses[path]})
            except OSError as error:
                log.warning("address of a former sandbox not released", extra={"address": path.name, "error": str(error)})

    async def _remove_namespaces(self, files: list[Path], sandboxes: set[str], now: float) -> None:
        self._paths = {ident: path for ident, path in self._paths.items() if ident in sandboxes}
        for ident in sandboxes - self._paths.keys():
            self._paths[ident] = await self._namespace_of(ident)
        owned = set(self._paths.values())
        for name in self._namespaces.ripe((str(path) for path in files if str(path) not in owned), now, self.patience):
            try:
                await asyncio.to_thread(network.remove_namespace, Path(name))
                log.info("network namespace without a sandbox removed", extra={"path": name})
            except OSError as error:
                log.warning("network namespace without a sandbox not removed", extra={"path": name, "error": str(error)})

    async def _namespace_of(self, sandbox: str) -> str:
        """Return the path of a sandbox's network namespace, "" if it has none of its own. Raises CriError."""
        try:
            info = (await self.services.cri.pod_sandbox_status(sandbox, verbose=True)).info
            spaces = msgspec.json.decode(info.get("info", ""))["runtimeSpec"]["linux"]["namespaces"]
            return next((str(one.get("path", "")) for one in spaces if one["type"] == "network"), "")
        except NotFound:
            return ""
        except (msgspec.DecodeError, KeyError, TypeError) as error:
            raise CriError("PodSandboxStatus", "INTERNAL", f"the runtime does not tell the namespaces of {sandbox}") from error

    async def _conf_dir(self) -> Path | None:
        """Return the directory of the CNI configuration. Raises CriError."""
        info = (await self.services.cri.status(verbose=True)).info
        try:
            return Path(msgspec.json.decode(info.get("cniconfig", ""))["PluginConfDir"])
        except (msgspec.DecodeError, KeyError, TypeError):
            return None
