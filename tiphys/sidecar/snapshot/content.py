"""The loop that has a driver take and delete snapshots (upstream's csi-snapshotter)."""

from __future__ import annotations

import msgspec

from tiphys.api.machinery.errors import NotFound
from tiphys.csi import errors as csi
from tiphys.csi.driver import Driver
from tiphys.csi.errors import CsiError, Unfinished
from tiphys.csi.pb import csi_pb2 as pb
from tiphys.runtime import DONE, ControllerContext, Declaration, Key, Result, Whole
from tiphys.sidecar import secrets
from tiphys.sidecar.bounded import BoundedDriver, unreadable
from tiphys.sidecar.facts import DriverFacts
from tiphys.sidecar.settings import ProvisionSettings
from tiphys.sidecar.snapshot import plan
from tiphys.sidecar.snapshot.kinds import CLASSES, ContentStatus, VolumeSnapshotContent
from tiphys.sidecar.snapshot.writes import patch_metadata, patch_status

RECHECK = 5.0
"""Seconds until a driver is asked again whether a snapshot is ready."""


class ContentController:
    """Takes and deletes the snapshots of this driver. Keys are VolumeSnapshotContents.

    An annotation says from before the driver is asked that there may be a snapshot; so one whose answer was lost is found again, by its
    name, and deleted with its content.
    """

    def __init__(self, driver: Driver, facts: DriverFacts, settings: ProvisionSettings) -> None:
        self._driver = BoundedDriver(driver, facts.name, timeout=settings.timeout)
        self._facts = facts
        self._prefix = settings.snapshot_name_prefix
        self.declaration = Declaration(
            name="csi-snapshotter",
            kind=VolumeSnapshotContent,
            component=f"csi-snapshotter {facts.name}",
            reads=(Whole(VolumeSnapshotContent),),
        )

    def setup(self, ctx: ControllerContext) -> None:
        self._ctx = ctx
        self._contents = ctx.read(VolumeSnapshotContent)
        ctx.watch(self._contents, when=_matters)

    async def reconcile(self, key: Key) -> Result:
        content = self._contents.get(key)
        next_ = plan.step(content, self._facts.name) if content is not None else "nothing"
        if content is None or next_ == "nothing":
            return DONE
        try:
            if next_ == "delete":
                await self._delete(content)
                return DONE
            return await (self._create(content) if next_ == "create" else self._adopt(content))
        except (CsiError, secrets.BadParameters, NotFound) as error:
            await self._show(content, error, deleting=next_ == "delete")
            raise

    async def _create(self, content: VolumeSnapshotContent) -> Result:
        """Have a snapshot taken, or ask again for one that is not ready."""
        client = self._ctx.client
        request = await self._request(content)
        begun = await patch_metadata(client, content, add=(plan.CONTENT_BOUND,), annotations={plan.BEING_CREATED: "yes"})
        if begun is None or begun.metadata.deletionTimestamp is not None:
            return DONE
        try:
            snapshot = await self._take(request)
        except Unfinished:
            raise
        except CsiError:
            await patch_metadata(client, begun, annotations={plan.BEING_CREATED: None})
            raise
        written = await patch_status(client, begun, plan.content_status(snapshot))
        if written is not None:
            await patch_metadata(client, written, annotations={plan.BEING_CREATED: None})
        return DONE if snapshot.ready_to_use else Result(after=RECHECK)

    async def _request(self, content: VolumeSnapshotContent) -> pb.CreateSnapshotRequest:
        client, name = self._ctx.client, content.spec.volumeSnapshotClassName
        return pb.CreateSnapshotRequest(
            source_volume_id=content.spec.source.volumeHandle or "",
            name=f"{self._prefix}-{content.spec.volumeSnapshotRef.uid}",
            secrets=await secrets.read(client, plan.secret_of(content)),
            parameters=plan.parameters_of(await client.get(CLASSES, name) if name else None),
        )

    async def _take(self, request: pb.CreateSnapshotRequest) -> pb.Snapshot:
        snapshot = (await self._driver.CreateSnapshot(request)).snapshot
        if not snapshot.snapshot_id:
            raise unreadable("CreateSnapshot", "the driver answered with a snapshot that has no id")
        return snapshot

    async def _adopt(self, content: VolumeSnapshotContent) -> Result:
        """Ask about a snapshot that was there before. A driver that lists none is believed to have it."""
        handle = content.spec.source.snapshotHandle or ""
        status = ContentStatus(snapshotHandle=handle, readyToUse=True)
        if self._facts.offers("LIST_SNAPSHOTS"):
            secret = await secrets.read(self._ctx.client, plan.secret_of(content))
            answer = await self._driver.ListSnapshots(pb.ListSnapshotsRequest(snapshot_id=handle, secrets=secret))
            snapshot = next((one.snapshot for one in answer.entries if one.snapshot.snapshot_id == handle), None)
            if snapshot is None:
                raise csi.NotFound(f"can not find snapshot for snapshotID {handle}", verb="ListSnapshots")
            status = plan.content_status(snapshot)
        await patch_status(self._ctx.client, content, status)
        return DONE if status.readyToUse else Result(after=RECHECK)

    async def _delete(self, content: VolumeSnapshotContent) -> None:
        """Delete the driver's snapshot if the policy says so, then let the content go."""
        if content.spec.deletionPolicy == "Delete":
            handle = await self._handle(content)
            if handle:
                secret = await secrets.read(self._ctx.client, plan.secret_of(content))
                await self._driver.DeleteSnapshot(pb.DeleteSnapshotRequest(snapshot_id=handle, secrets=secret))
        await patch_metadata(self._ctx.client, content, remove=(plan.CONTENT_BOUND,))

    async def _handle(self, content: VolumeSnapshotContent) -> str:
        """Return the handle of a driver's snapshot, "" if there is none."""
        known = (content.status.snapshotHandle if content.status is not None else None) or content.spec.source.snapshotHandle
        if known or plan.BEING_CREATED not in content.metadata.annotations:
            return known or ""
        try:
            return (await self._take(await self._request(content))).snapshot_id
        except Unfinished:
            raise
        except CsiError:
            return ""

    async def _show(self, content: VolumeSnapshotContent, error: Exception, *, deleting: bool) -> None:
        reason, act = ("SnapshotDeleteError", "delete") if deleting else ("SnapshotCreationFailed", "create")
        message = f"Failed to {act} snapshot: {error}"
        self._ctx.recorder.event(content, "Warning", reason, message)
        live = await self._ctx.client.get(VolumeSnapshotContent, content.metadata.name)
        status = live.status or ContentStatus()
        if status.error is None or status.error.message != message:
            problem = msgspec.structs.replace(plan.error_of(error, self._ctx.clock.now()), message=message)
            await patch_status(self._ctx.client, live, msgspec.structs.replace(status, error=problem, readyToUse=False))


def _matters(old: VolumeSnapshotContent | None, new: VolumeSnapshotContent | None) -> bool:
    """Return whether a change is a reason to look at content again; what this loop writes is none."""
    if old is None or new is None or old.metadata.uid != new.metadata.uid:
        return new is not None
    before, after = old.metadata, new.metadata
    released = plan.BEING_DELETED in after.annotations and plan.BEING_DELETED not in before.annotations
    return old.spec != new.spec or before.deletionTimestamp != after.deletionTimestamp or released
