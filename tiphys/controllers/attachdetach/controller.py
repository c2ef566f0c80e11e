"""Attaching of volumes ("Volume Attachment": CSI Volume Plugins in Kubernetes Design Doc)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tiphys.api.core import v1 as core
from tiphys.api.machinery.errors import AlreadyExists, NotFound
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.api.storage.v1 import CSIDriver, VolumeAttachment, VolumeAttachmentSource, VolumeAttachmentSpec
from tiphys.api.well_known import ATTACHED_BY_CONTROLLER
from tiphys.controllers.attachdetach.counts import Counts
from tiphys.controllers.attachdetach.plan import Attachment, Claimant, conflict, plan_attach
from tiphys.controllers.attachdetach.view import READS, View, Volume, health_of, name_of, volume_of
from tiphys.controllers.shared.doubts import is_unknown
from tiphys.controllers.shared.slim import SlimPod
from tiphys.runtime import DONE, ControllerContext, Declaration, Key, Result

ROLE = "attachdetach-controller"
PATIENCE = 120.0
"""Seconds that a driver's attacher has before the pods are told that nothing attaches their volume."""


class VolumeAttachController:
    """Creates VolumeAttachments for the nodes whose pods need a volume. Keys are volumes, by their names in nodes' statuses.

    All attachments of a volume are created under one key, so an exclusive volume never gets a second one: the loop waits until the cache
    shows what the last step created, and asks the server where the answer to a creation was lost.
    """

    declaration = Declaration(name="persistentvolume-attach-detach-controller", kind=VolumeAttachment, roles=(ROLE,), reads=READS)

    def __init__(self) -> None:
        self._doubts: dict[Key, dict[str, str]] = {}
        """Attachments whose creation had no answer: name to node."""
        self._remarks: dict[Key, set[tuple[str, str]]] = {}
        """Nodes that wait for a volume, with what their pods were told about it."""
        self._silent: dict[Key, dict[str, float]] = {}
        """Attachments on which nobody has acted, by their uids, with the time at which their pods are told (again)."""
        self._counts = Counts()

    def setup(self, ctx: ControllerContext) -> None:
        self._ctx = ctx
        self._view = view = View(ctx)
        self._counts.declare(view.attachments)
        ctx.watch(view.pods, self._keys_of_pod, when=changes_need)
        ctx.watch(view.claims, self._keys_of_claim, when=_binds)
        ctx.watch(view.persistent, lambda volume: _keys(name_of(volume)), when=_differs)
        ctx.watch(view.attachments, self._keys_of_attachment, when=_frees)
        ctx.watch(view.drivers, self._keys_of_driver, when=_is_attached_differently)
        ctx.watch(view.nodes, self._keys_of_node, when=_takes_volumes)
        view.attachments.subscribe(self._on_attachment)

    def _keys_of_pod(self, pod: SlimPod) -> Iterable[Key]:
        return [Key("", name) for name in self._view.volumes_of(pod)]

    def _keys_of_claim(self, claim: core.PersistentVolumeClaim) -> Iterable[Key]:
        volume = self._view.persistent.get(Key("", claim.spec.volumeName))
        return _keys(name_of(volume)) if volume is not None else ()

    def _keys_of_attachment(self, attachment: VolumeAttachment) -> Iterable[Key]:
        volume = self._view.persistent.get(Key("", volume_of(attachment)))
        if volume is not None:
            return _keys(name_of(volume))
        pods = self._view.pods_on(attachment.spec.nodeName)
        return [key for pod in pods for key in self._keys_of_pod(pod)]

    def _keys_of_driver(self, driver: CSIDriver) -> Iterable[Key]:
        csi = ((volume, volume.spec.csi) for volume in self._view.persistent.list())
        return [Key("", name_of(volume)) for volume, source in csi if source is not None and source.driver == driver.metadata.name]

    def _keys_of_node(self, node: core.Node) -> Iterable[Key]:
        return [key for pod in self._view.pods_on(node.metadata.name) if pod.spec.volumes for key in self._keys_of_pod(pod)]

    def _on_attachment(self, old: VolumeAttachment | None, new: VolumeAttachment | None) -> None:
        """Tell the pods that wait for an attachment how it went."""
        if old is None or new is None:
            return
        error, before = new.status.attachError, old.status.attachError
        if new.status.attached and not old.status.attached:
            self._tell_users(new, "Normal", "SuccessfulAttachVolume", "AttachVolume.Attach succeeded")
        elif error is not None and error != before and not new.status.attached:
            self._tell_users(new, "Warning", "FailedAttachVolume", "AttachVolume.Attach failed", f": {error.message}")

    def _tell_users(self, attachment: VolumeAttachment, type_: str, reason: str, result: str, details: str = "") -> None:
        volume, node = self._view.attached_volume(attachment), attachment.spec.nodeName
        for claimant in self._view.claimants(volume) if volume is not None else []:
            if claimant.node == node:
                self._tell(claimant, type_, reason, result, details)

    def _tell(self, claimant: Claimant, type_: str, reason: str, result: str, details: str) -> None:
        for pod in claimant.pods:
            self._ctx.recorder.event(pod, type_, reason, f'{result} for volume "{claimant.volume}" {details}')

    async def reconcile(self, key: Key) -> Result:
        volume = self._view.volume(key.name)
        claimants = self._view.claimants(volume) if volume is not None else []
        self._counts.note(key.name, claimants)
        if volume is None or not claimants:
            self._remarks.pop(key, None)
            self._silent.pop(key, None)
            return DONE
        attachments = [_seen(one) for one in self._view.attachments_of(volume)]
        takers = [one for one in claimants if self._takes_volumes(one.node)]
        step = plan_attach(takers, attachments, exclusive=volume.exclusive)
        if step.attach and volume.exclusive:
            uncertain = await self._uncertain(key)
            if uncertain:
                attachments, step = uncertain, plan_attach(takers, uncertain, exclusive=True)
        self._tell_blocked(key, step.blocked, claimants, attachments)
        errors = [await self._attach(key, volume, claimant) for claimant in step.attach]
        for error in errors:
            if error is not None:
                raise error
        return self._tell_silence(key, volume, claimants)

    def _tell_silence(self, key: Key, volume: Volume, claimants: Sequence[Claimant]) -> Result:
        """Tell the pods whose volumes no attacher attaches, each time that the patience ends; returns when to look again."""
        users, before, now = {one.node: one for one in claimants}, self._silent.pop(key, {}), self._ctx.clock.monotonic()
        silent: dict[str, float] = {}
        for one in self._view.attachments_of(volume):
            claimant = users.get(one.spec.nodeName)
            if claimant is None or one.status.attached or one.metadata.deletionTimestamp is not None:
                continue
            due = silent[one.metadata.uid] = before.get(one.metadata.uid, now + PATIENCE)
            if due <= now:
                silent[one.metadata.uid] = now + PATIENCE
                if one.status.attachError is None:
                    reason = f"timed out waiting for external-attacher of {volume.driver} CSI driver to attach volume {volume.handle}"
                    self._tell(claimant, "Warning", "FailedAttachVolume", "AttachVolume.Attach failed", f": {reason}")
        if not silent:
            return DONE
        self._silent[key] = silent
        return Result(after=min(silent.values()) - now)

    def _takes_volumes(self, node: str) -> bool:
        known = self._view.nodes.get(Key("", node))
        return known is not None and ATTACHED_BY_CONTROLLER in known.metadata.annotations

    async def _uncertain(self, key: Key) -> list[Attachment]:
        """Return the attachments that exist although their creations had no answer; their keys come again when the cache shows them."""
        doubts = self._doubts.get(key, {})
        for name in list(doubts):
            try:
                await self._ctx.client.get(VolumeAttachment, name)
            except NotFound:
                del doubts[name]
        return [Attachment(node) for node in doubts.values()]

    async def _attach(self, key: Key, volume: Volume, claimant: Claimant) -> Exception | None:
        """Create an attachment; returns the error, of which events tell."""
        name = volume.attachment(claimant.node)
        spec = VolumeAttachmentSpec(
            attacher=volume.driver, source=VolumeAttachmentSource(persistentVolumeName=claimant.volume), nodeName=claimant.node
        )
        try:
            await self._ctx.client.create(VolumeAttachment(metadata=ObjectMeta(name=name), spec=spec))
        except Exception as error:
            if is_unknown(error):
                self._doubts.setdefault(key, {})[name] = claimant.node
            if not isinstance(error, AlreadyExists):
                self._tell(claimant, "Warning", "FailedAttachVolume", "AttachVolume.Attach failed", f": {error}")
            return error
        return None

    def _tell_blocked(
        self, key: Key, blocked: Sequence[Claimant], claimants: Sequence[Claimant], attachments: Sequence[Attachment]
    ) -> None:
        """Tell the pods that wait for a volume which another node has, once, and again with each error that keeps it there."""
        remarks, before = set(), self._remarks.pop(key, set())
        elsewhere = {attachment.node for attachment in attachments}
        users = [pod for one in claimants if one.node in elsewhere for pod in one.pods]
        errors = sorted({attachment.error for attachment in attachments if attachment.error})
        for claimant in blocked:
            remarks |= {(claimant.node, text) for text in ("", *errors)}
            if (claimant.node, "") not in before:
                for pod in claimant.pods:
                    one = claimant._replace(pods=(pod,))
                    self._tell(one, "Warning", "FailedAttachVolume", "Multi-Attach error", conflict(pod, users))
            for error in errors:
                if (claimant.node, error) not in before:
                    self._tell(claimant, "Warning", "FailedDetachVolume", "DetachVolume.Detach failed", f": {error}")
        if remarks:
            self._remarks[key] = remarks


def _keys(name: str) -> list[Key]:
    return [Key("", name)] if name else []


def _seen(attachment: VolumeAttachment) -> Attachment:
    error = attachment.status.detachError
    return Attachment(attachment.spec.nodeName, error.message if error is not None else "")


def changes_need(old: SlimPod | None, new: SlimPod | None) -> bool:
    """Return whether a change of a pod can begin or end its need of volumes."""
    pod = new or old
    if pod is None or not pod.spec.volumes or not pod.spec.nodeName:
        return False
    return old is None or new is None or _fate(old) != _fate(new)


def _fate(pod: SlimPod) -> object:
    return pod.metadata.uid, pod.spec.nodeName, pod.status.phase, pod.metadata.deletionTimestamp


def _binds(old: core.PersistentVolumeClaim | None, new: core.PersistentVolumeClaim | None) -> bool:
    """Return whether a change of a claim can bind it or end that."""
    if old is None or new is None:
        return True
    return (old.spec.volumeName, old.status.phase, old.metadata.uid) != (new.spec.volumeName, new.status.phase, new.metadata.uid)


def _differs(old: core.PersistentVolume | None, new: core.PersistentVolume | None) -> bool:
    return old is None or new is None or old.spec != new.spec


def _frees(old: VolumeAttachment | None, new: VolumeAttachment | None) -> bool:
    """Return whether pods that wait for a volume have a reason to look again."""
    return old is None or new is None or old.status.detachError != new.status.detachError


def _is_attached_differently(old: CSIDriver | None, new: CSIDriver | None) -> bool:
    before, after = (one is None or one.spec.attachRequired is not False for one in (old, new))
    return before != after


def _takes_volumes(old: core.Node | None, new: core.Node | None) -> bool:
    """Return whether a node begins to take volumes, or whether its pods that are being deleted have ended."""
    if new is None:
        return False
    managed, health = (ATTACHED_BY_CONTROLLER in new.metadata.annotations, health_of(new) == "out-of-service")
    if old is None:
        return managed
    return managed != (ATTACHED_BY_CONTROLLER in old.metadata.annotations) or health != (health_of(old) == "out-of-service")
