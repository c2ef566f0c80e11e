"""The loop that is common to all drivers: content for snapshots, binding, and the end of both (upstream's snapshot-controller)."""

from __future__ import annotations

from collections.abc import Iterable

from tiphys.api.core import v1 as core
from tiphys.api.machinery.errors import AlreadyExists, NotFound
from tiphys.runtime import DONE, ControllerContext, Declaration, Key, Result, Whole, delete_exact
from tiphys.sidecar.secrets import BadParameters
from tiphys.sidecar.snapshot import plan
from tiphys.sidecar.snapshot.kinds import CONTENTS, GROUP, SnapshotStatus, VolumeSnapshot, VolumeSnapshotClass, VolumeSnapshotContent
from tiphys.sidecar.snapshot.plan import NotPossible
from tiphys.sidecar.snapshot.writes import patch_metadata, patch_status
from tiphys.sidecar.writes import add_finalizer, remove_finalizer

SOURCE = "snapshots by claim"
USED = "claims by snapshot"


class SnapshotController:
    """Gives each snapshot its content, and shows the state of the content in its status. Keys are VolumeSnapshots.

    The client must know the kinds of snapshots (`with_snapshots`).
    """

    declaration = Declaration(
        name="snapshot-controller",
        kind=VolumeSnapshot,
        reads=(Whole(VolumeSnapshot), Whole(VolumeSnapshotContent), Whole(VolumeSnapshotClass), Whole(core.PersistentVolumeClaim)),
    )

    def setup(self, ctx: ControllerContext) -> None:
        self._ctx = ctx
        self._snapshots = ctx.read(VolumeSnapshot)
        self._contents = ctx.read(VolumeSnapshotContent)
        self._classes = ctx.read(VolumeSnapshotClass)
        self._claims = ctx.read(core.PersistentVolumeClaim)
        self._snapshots.add_index(SOURCE, _source_index)
        self._claims.add_index(USED, _used_snapshot)
        ctx.watch(self._snapshots)
        ctx.watch(self._contents, _snapshot_of)
        ctx.watch(self._claims, self._users)

    def _users(self, claim: core.PersistentVolumeClaim) -> Iterable[Key]:
        """Return the snapshots of a claim, and the one that it is made from."""
        namespace = claim.metadata.namespace
        for one in self._snapshots.by_index(SOURCE, f"{namespace}/{claim.metadata.name}"):
            if one.status is None or not one.status.readyToUse:
                yield Key.of(one)
        for used in _used_snapshot(claim):
            yield Key(namespace, used.partition("/")[2])

    async def reconcile(self, key: Key) -> Result:
        snapshot = self._snapshots.get(key)
        if snapshot is None:
            return DONE
        if snapshot.metadata.deletionTimestamp is not None:
            await self._delete(snapshot)
            return DONE
        protected = await patch_metadata(self._ctx.client, snapshot, add=plan.OF_SNAPSHOT)
        if protected is None or protected.metadata.deletionTimestamp is not None:
            return DONE
        try:
            content = await self._content(protected)
        except (NotPossible, BadParameters, NotFound) as error:
            reason = "SnapshotContentMissing" if protected.spec.source.volumeSnapshotContentName else "SnapshotContentCreationFailed"
            await self._fail(protected, reason, f"Failed to create snapshot content with error {error}", error)
            raise
        if content is not None:
            await self._show(protected, content)
        return DONE

    async def _fail(self, snapshot: VolumeSnapshot, reason: str, message: str, error: Exception) -> None:
        """Show an error; its time stays as long as it is the same one, so that the status does not change with every attempt."""
        self._ctx.recorder.event(snapshot, "Warning", reason, message)
        status = snapshot.status or SnapshotStatus()
        if status.error is None or status.error.message != str(error):
            new = SnapshotStatus(
                boundVolumeSnapshotContentName=status.boundVolumeSnapshotContentName,
                creationTime=status.creationTime,
                readyToUse=False,
                restoreSize=status.restoreSize,
                error=plan.error_of(error, self._ctx.clock.now()),
            )
            await patch_status(self._ctx.client, snapshot, new)

    # -- binding

    async def _content(self, snapshot: VolumeSnapshot) -> VolumeSnapshotContent | None:
        """Return the content of a snapshot, which is made if need be. Raises NotPossible, BadParameters and StatusError."""
        name = plan.content_name(snapshot)
        content = self._contents.get(Key("", name)) or await self._find(name)
        if snapshot.spec.source.volumeSnapshotContentName:
            return await self._adopt(snapshot, content)
        if content is not None:
            if not plan.is_bound(snapshot, content):
                raise NotPossible(f"VolumeSnapshotContent {name} is bound to another snapshot")
            return content
        if snapshot.status is not None and snapshot.status.readyToUse:
            raise NotPossible(f"VolumeSnapshotContent {name} is missing")
        return await self._create(snapshot)

    async def _find(self, name: str) -> VolumeSnapshotContent | None:
        try:
            return await self._ctx.client.get(CONTENTS, name)
        except NotFound:
            return None

    async def _adopt(self, snapshot: VolumeSnapshot, content: VolumeSnapshotContent | None) -> VolumeSnapshotContent | None:
        """Bind a snapshot to the content that it names. Raises NotPossible."""
        if content is None:
            raise NotPossible("VolumeSnapshotContent is missing")
        if not plan.may_bind(snapshot, content):
            raise NotPossible(f"VolumeSnapshotContent {content.metadata.name} is bound to a different snapshot")
        spec = {} if plan.is_bound(snapshot, content) else {"volumeSnapshotRef": {"uid": snapshot.metadata.uid}}
        return await patch_metadata(self._ctx.client, content, add=(plan.CONTENT_BOUND,), spec=spec)

    async def _create(self, snapshot: VolumeSnapshot) -> VolumeSnapshotContent:
        client, source = self._ctx.client, snapshot.spec.source.persistentVolumeClaimName or ""
        claim = await client.get(core.PersistentVolumeClaim, source, snapshot.metadata.namespace)
        if claim.status.phase != "Bound" or not claim.spec.volumeName:
            raise NotPossible(f"the PVC {source} is not yet bound to a PV")
        volume = await client.get(core.PersistentVolume, claim.spec.volumeName)
        class_ = await self._class(snapshot, volume)
        content = plan.new_content(snapshot, class_, volume)
        if claim.metadata.deletionTimestamp is None and plan.CLAIM_AS_SOURCE not in claim.metadata.finalizers:
            await add_finalizer(client, claim, plan.CLAIM_AS_SOURCE)
        try:
            content = await client.create(content)
        except AlreadyExists:
            content = await client.get(CONTENTS, content.metadata.name)
        name = f"{snapshot.metadata.namespace}/{snapshot.metadata.name}"
        message = f"Waiting for a snapshot {name} to be created by the CSI driver."
        self._ctx.recorder.event(snapshot, "Normal", "CreatingSnapshot", message)
        return content

    async def _class(self, snapshot: VolumeSnapshot, volume: core.PersistentVolume) -> VolumeSnapshotClass:
        """Return the class of a snapshot; the default one is entered in the snapshot."""
        name = snapshot.spec.volumeSnapshotClassName
        if name:
            class_ = self._classes.get(Key("", name))
            if class_ is None:
                raise NotPossible(f'Failed to get snapshot class with error volumesnapshotclass.{GROUP} "{name}" not found')
            return class_
        driver = volume.spec.csi.driver if volume.spec.csi is not None else ""
        class_ = plan.default_class(self._classes.list(), driver)
        await patch_metadata(self._ctx.client, snapshot, spec={"volumeSnapshotClassName": class_.metadata.name})
        return class_

    async def _show(self, snapshot: VolumeSnapshot, content: VolumeSnapshotContent) -> None:
        """Write the status of a snapshot, and let its source go once it is taken."""
        client, before = self._ctx.client, snapshot.status or SnapshotStatus()
        after = plan.snapshot_status(snapshot, content)
        # A default class was entered after this version was read; the status may be written over that.
        current = await client.get(VolumeSnapshot, snapshot.metadata.name, snapshot.metadata.namespace) if before != after else snapshot
        if current.metadata.uid != snapshot.metadata.uid:
            return
        await patch_status(client, current, after)
        name = f"{snapshot.metadata.namespace}/{snapshot.metadata.name}"
        if after.creationTime is not None and before.creationTime is None:
            message = f"Snapshot {name} was successfully created by the CSI driver."
            self._ctx.recorder.event(snapshot, "Normal", "SnapshotCreated", message)
        if after.readyToUse and not before.readyToUse:
            self._ctx.recorder.event(snapshot, "Normal", "SnapshotReady", f"Snapshot {name} is ready to use.")
        if after.readyToUse:
            await self._release_claim(snapshot)

    async def _release_claim(self, snapshot: VolumeSnapshot) -> None:
        """Remove the finalizer of a snapshot's source, unless another snapshot of it is being taken."""
        name = snapshot.spec.source.persistentVolumeClaimName
        claim = self._claims.get(Key(snapshot.metadata.namespace, name)) if name else None
        if claim is None or plan.CLAIM_AS_SOURCE not in claim.metadata.finalizers:
            return
        others = self._snapshots.by_index(SOURCE, f"{snapshot.metadata.namespace}/{name}")
        if not any(one is not snapshot and one.metadata.uid != snapshot.metadata.uid and _is_being_taken(one) for one in others):
            await remove_finalizer(self._ctx.client, claim, plan.CLAIM_AS_SOURCE)

    # -- the end

    async def _delete(self, snapshot: VolumeSnapshot) -> None:
        """Take the next step toward the end of a snapshot: first its content, then its finalizers."""
        client = self._ctx.client
        if not any(one in snapshot.metadata.finalizers for one in plan.OF_SNAPSHOT):
            return
        waiting = self._claims.by_index(USED, f"{snapshot.metadata.namespace}/{snapshot.metadata.name}")
        if any(one.status.phase == "Pending" and one.metadata.deletionTimestamp is None for one in waiting):
            self._ctx.recorder.event(snapshot, "Warning", "SnapshotDeletePending", "Snapshot is being used to restore a PVC")
            return
        content = await self._find(plan.content_name(snapshot))
        if content is not None and plan.is_bound(snapshot, content):
            content = await patch_metadata(client, content, annotations={plan.BEING_DELETED: "yes"})
            if content is not None and content.spec.deletionPolicy == "Delete":
                if content.metadata.deletionTimestamp is None:
                    await delete_exact(client, CONTENTS, content.metadata)
                return
        await self._release_claim(snapshot)
        await patch_metadata(client, snapshot, remove=plan.OF_SNAPSHOT)


def _source_index(snapshot: VolumeSnapshot) -> Iterable[str]:
    return [f"{snapshot.metadata.namespace}/{snapshot.spec.source.persistentVolumeClaimName or ''}"]


def _is_being_taken(snapshot: VolumeSnapshot) -> bool:
    return snapshot.metadata.deletionTimestamp is None and (snapshot.status is None or not snapshot.status.readyToUse)


def _snapshot_of(content: VolumeSnapshotContent) -> Iterable[Key]:
    of = content.spec.volumeSnapshotRef
    return [Key(of.namespace, of.name)] if of.name else []


def _used_snapshot(claim: core.PersistentVolumeClaim) -> Iterable[str]:
    of = claim.spec.dataSourceRef or claim.spec.dataSource
    return [f"{claim.metadata.namespace}/{of.name}"] if of is not None and (of.apiGroup, of.kind) == (GROUP, "VolumeSnapshot") else []
