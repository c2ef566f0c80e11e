"""Detaching of volumes, and the volumes that nodes report as attached."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping

from tiphys.api.core import v1 as core
from tiphys.api.helpers.attachments import attachment_name, parse_unique_name
from tiphys.api.machinery.errors import NotFound
from tiphys.api.storage.v1 import CSIDriver, VolumeAttachment
from tiphys.controllers.attachdetach.controller import ROLE, changes_need
from tiphys.controllers.attachdetach.plan import Detach, Held, plan_node
from tiphys.controllers.attachdetach.settings import AttachDetachSettings
from tiphys.controllers.attachdetach.view import AT_NODE, PERSISTENT, READS, View, health_of, volume_of
from tiphys.obs import metrics
from tiphys.runtime import DONE, ControllerContext, Declaration, Key, Result, delete_exact, patch_status

log = logging.getLogger(__name__)

FORCED = metrics.counter(
    "attach_detach_controller_attachdetach_controller_forced_detaches", "Volumes that were detached by force, by reason.", "reason"
)
SOON = 1.0
"""Seconds until the next look when the caches are behind the server."""


class VolumeDetachController:
    """Deletes VolumeAttachments that no pod needs once the node has unmounted the volume, and keeps `volumesAttached`. Keys are nodes.

    A volume leaves `volumesAttached` first. A kubelet reports a volume in `volumesInUse` before it looks for it there, so once the server
    shows it in neither, nobody can begin to use it, and it is detached. Both steps are made under one key.
    """

    declaration = Declaration(name="volume-detach", kind=VolumeAttachment, roles=(ROLE,), reads=READS, settings=AttachDetachSettings)

    def __init__(self, settings: AttachDetachSettings) -> None:
        self._patience = None if settings.no_force_on_timeout else settings.patience
        self._resync = None if settings.no_resync else settings.resync
        self._since: dict[str, dict[str, float]] = {}
        """Time at which it was first seen that nothing needs an attachment, by node and UID."""
        self._deleted: dict[str, bool] = {}
        """Attachments that were deleted, by UID, until the cache shows it; False where the answer was an error."""
        self._last_use: dict[str, list[str]] = {}
        """Volumes that nodes had in use when they were deleted."""

    def setup(self, ctx: ControllerContext) -> None:
        self._ctx = ctx
        self._view = view = View(ctx)
        view.attachments.subscribe(self._on_attachment)
        view.nodes.subscribe(self._on_node)
        ctx.watch(view.attachments, lambda attachment: [Key("", attachment.spec.nodeName)])
        ctx.watch(view.pods, lambda pod: [Key("", pod.spec.nodeName)], when=changes_need)
        ctx.watch(view.persistent, self._keys_of_volume, when=_is_released)
        ctx.watch(view.drivers, self._keys_of_driver)
        ctx.watch(view.nodes, when=_matters)

    def _on_attachment(self, old: VolumeAttachment | None, new: VolumeAttachment | None) -> None:
        if old is not None and (new is None or new.metadata.uid != old.metadata.uid or new.metadata.deletionTimestamp is not None):
            self._deleted.pop(old.metadata.uid, None)

    def _on_node(self, old: core.Node | None, new: core.Node | None) -> None:
        if new is not None:
            self._last_use.pop(new.metadata.name, None)
        elif old is not None and any(True for _ in self._view.attachments.by_index(AT_NODE, old.metadata.name)):
            self._last_use[old.metadata.name] = old.status.volumesInUse

    def _keys_of_volume(self, volume: core.PersistentVolume) -> Iterable[Key]:
        return [Key("", one.spec.nodeName) for one in self._view.attachments.by_index(PERSISTENT, volume.metadata.name)]

    def _keys_of_driver(self, driver: CSIDriver) -> Iterable[Key]:
        name = driver.metadata.name
        return {Key("", one.spec.nodeName) for one in self._view.attachments.list() if one.spec.attacher == name}

    async def reconcile(self, key: Key) -> Result:
        view, node = self._view, self._view.nodes.get(key)
        attachments = {one.metadata.name: one for one in view.attachments.by_index(AT_NODE, key.name) if view.is_ours(one)}
        if not attachments:
            self._since.pop(key.name, None)
            self._last_use.pop(key.name, None)
            if node is None or not node.status.volumesAttached:
                return DONE
        now = self._ctx.clock.monotonic()
        held = await self._held(key.name, node, attachments, now)
        reported = node.status.volumesAttached if node is not None else None
        step = plan_node(held, reported, health_of(node), now=now, patience=self._patience)
        if step.report is not None and node is not None:
            await patch_status(self._ctx.client, core.Node, node.metadata, {"volumesAttached": step.report})
        waits = [step.recheck, self._resync if attachments else None]
        if step.detach and not await self._detach_all(key.name, step.detach, attachments):
            waits.append(SOON)
        return Result(min((wait for wait in waits if wait is not None), default=None))

    async def _held(self, name: str, node: core.Node | None, attachments: Mapping[str, VolumeAttachment], now: float) -> list[Held]:
        in_use = node.status.volumesInUse if node is not None else self._last_use.get(name)
        volumes = _by_attachment(name, [*(in_use or ()), *(one.name for one in (node.status.volumesAttached if node else ()))])
        used = set(_by_attachment(name, in_use)) if in_use is not None else set(attachments)
        pods = self._view.pods_on(name)
        before = self._since.pop(name, {})
        since: dict[str, float] = {}
        held = []
        for attachment in attachments.values():
            uid, volume = attachment.metadata.uid, self._view.attached_volume(attachment)
            needed = self._view.may_need(attachment, pods)
            if not needed:
                since[uid] = before.get(uid, now)
            held.append(
                Held(
                    name=attachment.metadata.name,
                    volume=volume.name if volume is not None else volumes.get(attachment.metadata.name, ""),
                    attached=attachment.status.attached,
                    leaving=await self._is_leaving(attachment, needed=needed),
                    needed=needed,
                    in_use=attachment.metadata.name in used,
                    since=since.get(uid, now),
                )
            )
        if since:
            self._since[name] = since
        return held

    async def _is_leaving(self, attachment: VolumeAttachment, *, needed: bool) -> bool:
        """Return whether an attachment is being detached; the server is asked where a deletion was answered with an error."""
        if attachment.metadata.deletionTimestamp is not None:
            return True
        is_sure = self._deleted.get(attachment.metadata.uid)
        if is_sure is None or (not is_sure and not needed):
            return False
        if is_sure:
            return True
        try:
            live = await self._ctx.client.get(VolumeAttachment, attachment.metadata.name)
        except NotFound:
            return True
        if live.metadata.uid != attachment.metadata.uid or live.metadata.deletionTimestamp is not None:
            return True
        del self._deleted[attachment.metadata.uid]
        return False

    async def _detach_all(self, node: str, detach: Iterable[Detach], attachments: Mapping[str, VolumeAttachment]) -> bool:
        """Detach volumes that nothing needs by the server's account either; returns False when the caches turn out to be behind."""
        client, view = self._ctx.client, self._view
        pods = (await client.list(view.pods.kind, fields=f"spec.nodeName={node}")).items
        try:
            status = (await client.get(core.Node, node)).status
        except NotFound:
            status = core.NodeStatus()
        listed = {one.name for one in status.volumesAttached}
        used = _by_attachment(node, status.volumesInUse)
        current = True
        for held, force in detach:
            attachment = attachments[held.name]
            is_safe = force is not None or held.name not in used
            if held.volume in listed or not is_safe or view.may_need(attachment, pods) or not await self._is_orphan_indeed(attachment):
                current = False
                continue
            await self._detach(attachment, force)
        return current

    async def _is_orphan_indeed(self, attachment: VolumeAttachment) -> bool:
        """Return False when the PersistentVolume of an attachment exists and the cache has yet to show it."""
        if self._view.attached_volume(attachment) is not None:
            return True
        # The role may list volumes, not get one.
        listed = await self._ctx.client.list(core.PersistentVolume, fields=f"metadata.name={volume_of(attachment)}")
        return not listed.items

    async def _detach(self, attachment: VolumeAttachment, force: str | None) -> None:
        uid = attachment.metadata.uid
        self._deleted[uid] = False
        if await delete_exact(self._ctx.client, VolumeAttachment, attachment.metadata):
            fields = {"attachment": attachment.metadata.name, "node": attachment.spec.nodeName, "volume": volume_of(attachment)}
            log.info("volume is detached", extra={**fields, "force": force or "no"})
            if force is not None:
                FORCED.labels(force).inc()
        self._deleted[uid] = True


def _by_attachment(node: str, names: Iterable[str]) -> dict[str, str]:
    """Return volumes of a node's status by the names of their attachments."""
    parsed = ((name, parse_unique_name(name)) for name in names)
    return {attachment_name(*parts, node): name for name, parts in parsed if parts is not None}


def _is_released(old: core.PersistentVolume | None, new: core.PersistentVolume | None) -> bool:
    return old is None or new is None or old.spec != new.spec or old.status.phase != new.status.phase


def _matters(old: core.Node | None, new: core.Node | None) -> bool:
    """Return whether anything changed that volumes of a node depend on; heartbeats are not."""
    if old is None or new is None:
        return True
    volumes = old.status.volumesAttached != new.status.volumesAttached or old.status.volumesInUse != new.status.volumesInUse
    return volumes or health_of(old) != health_of(new) or old.metadata.uid != new.metadata.uid
