"""The manager of claims on the node: an assigner that lets drivers prepare them and gives their devices to containers.

Claims are prepared when the first container of a pod is about to be created, and undone when the last pod that uses them has ended.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Mapping
from pathlib import Path

from tiphys.aio.backoff import BackoffPolicy
from tiphys.aio.clock import Clock
from tiphys.aio.tasks import TaskSet
from tiphys.api.core import v1 as core
from tiphys.api.machinery.errors import NotFound, StatusError
from tiphys.api.resource.v1 import ResourceClaim, ResourceSlice
from tiphys.client.client import Client
from tiphys.node.dra import cdi, state
from tiphys.node.dra.driver import Driver, DriverError
from tiphys.node.dra.drivers import Drivers
from tiphys.node.dra.state import PreparedClaim
from tiphys.node.pod.plan import AnyContainer
from tiphys.node.resources.assigner import Grant, Hints, Nodes, Refused
from tiphys.node.resources.checkpoint import CheckpointFile

log = logging.getLogger(__name__)

REASON = "FailedPrepareDynamicResources"
UNDO = 10.0
"""Seconds that the end of a pod waits for drivers; they go on being asked in the background."""
RETRY = BackoffPolicy(first=1.0, cap=60.0)


class DraManager:
    """Claims of one node."""

    name = "claim"

    def __init__(self, root: Path, node: str, client: Client, clock: Clock, *, directories: Collection[Path] = cdi.DIRECTORIES) -> None:
        self.drivers = Drivers(clock, self._wipe)
        self.claims: dict[str, PreparedClaim] = {}
        self._node = node
        self._client = client
        self._clock = clock
        self._directories = tuple(directories)
        self._file = CheckpointFile(root / state.NAME)
        self._lock = asyncio.Lock()
        self._tasks = TaskSet()

    async def start(self, live: Collection[str]) -> None:
        """Read the checkpoint; claims of pods other than the `live` ones are undone in the background, as drivers register."""
        try:
            content = await self._file.read()
            self.claims = state.decode(content) if content is not None else {}
        except (OSError, ValueError) as error:
            log.error("checkpoint of claims not readable, starting without", extra={"path": str(self._file.path), "error": str(error)})
        gone = {uid for claim in self.claims.values() for uid in claim.pods} - set(live)
        for uid in gone:
            self._undo_later(uid)

    def hints(self, pod: core.Pod, container: AnyContainer) -> Hints:
        return {}

    def pod_hints(self, pod: core.Pod) -> Hints:
        return {}

    async def assign(self, pod: core.Pod, container: AnyContainer, nodes: Nodes | None) -> Grant:
        return Grant()

    async def prepare(self, pod: core.Pod, container: AnyContainer) -> Grant:
        """Let drivers prepare the pod's claims, and return the devices of those that the container names. Raises Refused."""
        if not pod.spec.resourceClaims:
            return Grant()
        async with self._lock:
            claims = {entry: await self._prepared(pod, name) for entry, name in claim_names(pod).items()}
        wishes = container.resources.claims if container.resources is not None else []
        names = [name for wish in wishes if (claim := claims.get(wish.name)) is not None for name in claim.cdi(wish.request)]
        if not names:
            return Grant()
        try:
            return cdi.grant_of(names, await asyncio.to_thread(cdi.read_specs, self._directories))
        except cdi.CdiError as error:
            raise Refused(REASON, f"prepare dynamic resources: {error}") from error

    async def release(self, uid: str) -> None:
        """Undo what was prepared for a pod; after a while without the drivers' answers, in the background."""
        if not any(uid in claim.pods for claim in self.claims.values()):
            return
        try:
            async with asyncio.timeout(UNDO):
                await self._undo(uid)
        except (DriverError, OSError, TimeoutError) as error:
            log.warning("claims of a pod not undone yet", extra={"pod": uid, "error": str(error)})
            self._undo_later(uid)

    async def close(self) -> None:
        """Stop what goes on in the background."""
        await self._tasks.close()
        await self.drivers.close()

    # ---- preparation ------------------------------------------------------------------------------------------------------------------

    async def _prepared(self, pod: core.Pod, name: str) -> PreparedClaim:
        try:
            return await self._prepare(pod, name)
        except (DriverError, StatusError, ConnectionError, OSError) as error:
            raise Refused(REASON, f"prepare dynamic resources: {error}") from error

    async def _prepare(self, pod: core.Pod, name: str) -> PreparedClaim:
        uid, namespace = pod.metadata.uid, pod.metadata.namespace
        known = next((one for one in self.claims.values() if (one.namespace, one.name) == (namespace, name)), None)
        if known is not None and uid in known.pods and known.is_prepared:
            return known
        try:
            claim = await self._client.get(ResourceClaim, name, namespace)
        except NotFound as error:
            raise DriverError(f"fetch ResourceClaim {name}: {error}") from error
        if known is not None and known.uid != claim.metadata.uid:
            raise DriverError(
                f"old ResourceClaim with same name {name} and different UID {known.uid} still exists (previous pod force-deleted?!)"
            )
        if all(one.uid != uid for one in claim.status.reservedFor):
            raise DriverError(f"pod {pod.metadata.name} ({uid}) is not allowed to use ResourceClaim {name} ({claim.metadata.uid})")
        if claim.status.allocation is None:
            raise DriverError(f"ResourceClaim {name} is not allocated")
        if known is None:
            drivers = dict.fromkeys(result.driver for result in claim.status.allocation.devices.results)
            known = self.claims[claim.metadata.uid] = PreparedClaim(namespace, name, claim.metadata.uid, drivers, [])
        if uid not in known.pods:
            known.pods.append(uid)
        await self._save()
        for driver, devices in known.drivers.items():
            if devices is None:
                known.drivers[driver] = state.prepared(await self._driver(driver, name).prepare(known.message))
        await self._save()
        return known

    def _driver(self, name: str, claim: str) -> Driver:
        driver = self.drivers.get(name)
        if driver is None:
            raise DriverError(f"ResourceClaim {claim}: DRA driver {name} is not registered")
        return driver

    # ---- the end ----------------------------------------------------------------------------------------------------------------------

    async def _undo(self, uid: str) -> None:
        async with self._lock:
            for claim in [one for one in self.claims.values() if uid in one.pods]:
                if claim.pods == [uid]:
                    for driver in list(claim.drivers):
                        await self._driver(driver, claim.name).unprepare(claim.message)
                    del self.claims[claim.uid]
                else:
                    claim.pods.remove(uid)
            await self._save()

    def _undo_later(self, uid: str) -> None:
        self._tasks.spawn(self._go_on_undoing(uid), name=f"claims of {uid}")

    async def _go_on_undoing(self, uid: str) -> None:
        attempt = 0
        while True:
            await self._clock.sleep(RETRY.delay(attempt))
            attempt += 1
            try:
                await self._undo(uid)
                return
            except (DriverError, OSError) as error:
                log.info("claims of a pod not undone yet", extra={"pod": uid, "error": str(error)})

    async def _save(self) -> None:
        await self._file.write(state.encode(self.claims))

    async def _wipe(self, driver: str) -> None:
        fields = f"spec.nodeName={self._node},spec.driver={driver}"
        await self._client.delete_collection(ResourceSlice, fields=fields)


def claim_names(pod: core.Pod) -> Mapping[str, str]:
    """Return the names of a pod's claims by entry of its spec; entries for which no claim is needed, or made yet, are left out."""
    recorded = {status.name: status.resourceClaimName for status in pod.status.resourceClaimStatuses}
    names = {entry.name: entry.resourceClaimName or recorded.get(entry.name) for entry in pod.spec.resourceClaims}
    return {entry: name for entry, name in names.items() if name}
