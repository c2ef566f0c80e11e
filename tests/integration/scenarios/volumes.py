"""Parts that a driver's sidecars and kubelets play in scenarios with volumes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from typing import TypeVar

from tiphys.api.core import v1 as core
from tiphys.api.helpers.attachments import unique_name
from tiphys.api.machinery.errors import Conflict, NotFound
from tiphys.api.meta.v1 import KubeObject, ObjectMeta
from tiphys.api.storage.v1 import VolumeAttachment
from tiphys.client.client import Client
from tiphys.node.hollow.behavior import LOST

T = TypeVar("T", bound=KubeObject)

FINALIZER = "external-attacher/scenario"


async def provision(client: Client, driver: str) -> None:
    """Make a volume for each new claim, as a driver's provisioner does."""
    async for seen in _changed(client, core.PersistentVolumeClaim):
        claim = await client.get(core.PersistentVolumeClaim, seen.metadata.name, seen.metadata.namespace)
        if claim.spec.volumeName:
            continue
        meta = claim.metadata
        ref = core.ObjectReference(apiVersion="v1", kind="PersistentVolumeClaim", namespace=meta.namespace, name=meta.name, uid=meta.uid)
        spec = core.PersistentVolumeSpec(
            capacity=claim.spec.resources.requests,
            accessModes=claim.spec.accessModes,
            claimRef=ref,
            persistentVolumeReclaimPolicy="Delete",
            storageClassName=claim.spec.storageClassName or "",
            csi=core.CSIPersistentVolumeSource(driver=driver, volumeHandle=meta.name),
        )
        await client.create(core.PersistentVolume(metadata=ObjectMeta(name=f"pv-{meta.name}"), spec=spec))


async def attach_volumes(client: Client, seconds: str) -> None:
    """Attach and detach volumes, each of which takes some seconds, as a driver's attacher does."""
    async for seen in _changed(client, VolumeAttachment):
        with suppress(NotFound, Conflict):
            attachment = await client.get(VolumeAttachment, seen.metadata.name)
            if attachment.metadata.deletionTimestamp is not None:
                await client.clock.sleep(float(seconds))
                attachment.metadata.finalizers = []
                await client.update(attachment)
            elif not attachment.metadata.finalizers:
                attachment.metadata.finalizers = [FINALIZER]
                attachment = await client.update(attachment)
                await client.clock.sleep(float(seconds))
                attachment.status.attached = True
                await client.update_status(attachment)


async def mount_volumes(client: Client) -> None:
    """Report the volumes of the pods of each node as in use, unless the node is lost."""
    async for pod in _changed(client, core.Pod):
        if not pod.spec.nodeName:
            continue
        node = await client.get(core.Node, pod.spec.nodeName)
        if node.metadata.annotations.get(LOST) == "true":
            continue
        pods = (await client.list(core.Pod, fields=f"spec.nodeName={node.metadata.name}")).items
        used = [name for one in pods for name in await _volumes(client, one)]
        if used != node.status.volumesInUse:
            body = {"status": {"volumesInUse": used}}
            await client.patch(core.Node, node.metadata.name, body=body, kind="strategic", subresource="status")


async def _volumes(client: Client, pod: core.Pod) -> list[str]:
    """Return the names of the CSI volumes of a pod."""
    names = []
    for source in (volume.persistentVolumeClaim for volume in pod.spec.volumes):
        if source is not None:
            claim = await client.get(core.PersistentVolumeClaim, source.claimName, pod.metadata.namespace)
            volume = await client.get(core.PersistentVolume, claim.spec.volumeName)
            assert volume.spec.csi is not None
            names.append(unique_name(volume.spec.csi.driver, volume.spec.csi.volumeHandle))
    return names


async def _changed(client: Client, type_: type[T]) -> AsyncIterator[T]:
    """Yield objects whenever they change, also after they are gone."""
    version = (await client.list(type_)).resourceVersion
    while True:  # A watch ends now and then.
        async for event in client.watch(type_, resource_version=version, bookmarks=False):
            version = event.object.metadata.resourceVersion
            yield event.object
