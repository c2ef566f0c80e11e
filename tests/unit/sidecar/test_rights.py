"""The role of the example is enough for all that the sidecar does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from tests.unit.sidecar.driver import NAME, ScriptedDriver, facts
from tests.unit.sidecar.make import VOLUME, bound_claim, claim, storage_class, volume
from tests.unit.sidecar.test_capacity import SERVICES, add_node
from tests.unit.sidecar.test_snapshot import define
from tiphys.api.core import v1 as core
from tiphys.api.kinds import SCHEME
from tiphys.api.machinery.base import Quantity
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.api.storage.v1 import (
    CSIStorageCapacity,
    VolumeAttachment,
    VolumeAttachmentSource,
    VolumeAttachmentSpec,
    VolumeAttributesClass,
)
from tiphys.client.client import Client
from tiphys.csi.pb import csi_pb2 as pb
from tiphys.sidecar.parts import parts
from tiphys.sidecar.settings import CapacitySettings, SidecarSettings
from tiphys.sidecar.snapshot.kinds import (
    SnapshotSource,
    SnapshotSpec,
    VolumeSnapshot,
    VolumeSnapshotClass,
    VolumeSnapshotContent,
    with_snapshots,
)
from tiphys.testing import eventually
from tiphys.testing.loops import running_loops
from tiphys.testing.memory_api import MemoryApi

pytestmark = pytest.mark.looptime

RBAC = Path(__file__).parents[3] / "examples/csi-sidecar/rbac.yaml"


async def grant(client: Client) -> None:
    for document in yaml.safe_load_all(RBAC.read_text()):
        kind = SCHEME.by_gvk(document["apiVersion"], document["kind"])
        assert kind is not None
        await client.create(msgspec.json.decode(json.dumps(document), type=kind.type))


async def test_the_role_of_the_example_is_enough(api: MemoryApi) -> None:
    """The sidecar provisions, attaches, resizes, modifies and snapshots, keeps capacity, and undoes all of it, under that account."""
    driver = ScriptedDriver(topology=[{"topology.example.com/zone": "a"}])
    driver.volumes[f"id-{VOLUME}"] = pb.Volume(volume_id=f"id-{VOLUME}")
    admin = with_snapshots(api.client())
    api.add_namespace("kube-system")
    await grant(admin)
    await define(admin)
    add_node(api, "n1", "a")
    api.add(
        storage_class(
            late=True,
            parameters={
                "csi.storage.k8s.io/provisioner-secret-name": "key",
                "csi.storage.k8s.io/provisioner-secret-namespace": "${pvc.namespace}",
            },
        ),
        core.Secret(metadata=ObjectMeta(name="key", namespace="default"), data={"user": b"admin"}),
        volume(),
        bound_claim("2Gi", volumeAttributesClassName="gold"),
        claim("new", uid="new", node="n1"),
        volume("old", phase="Released", claim_uid="gone"),
        VolumeAttributesClass(metadata=ObjectMeta(name="gold"), driverName=NAME),
        VolumeAttachment(
            metadata=ObjectMeta(name="va"),
            spec=VolumeAttachmentSpec(attacher=NAME, nodeName="n1", source=VolumeAttachmentSource(persistentVolumeName=VOLUME)),
        ),
    )
    await admin.create(VolumeSnapshotClass(metadata=ObjectMeta(name="snaps"), driver=NAME, deletionPolicy="Delete"))
    source = SnapshotSource(persistentVolumeClaimName="data")
    spec = SnapshotSpec(source=source, volumeSnapshotClassName="snaps")
    await admin.create(VolumeSnapshot(metadata=ObjectMeta(name="s", namespace="default"), spec=spec))

    account = with_snapshots(api.client("system:serviceaccount:kube-system:csi-sidecar"))
    settings = SidecarSettings(capacity=CapacitySettings(enabled=True))
    loops: list[Any] = [loop for part in parts(driver, facts(services=SERVICES), settings, namespace="kube-system") for loop in part.loops]
    async with running_loops(account, *((lambda loop=loop: loop) for loop in loops)) as manager:
        await eventually(lambda: api.find(core.PersistentVolume, "pvc-new"))
        await eventually(lambda: api.find(core.PersistentVolume, "old") is None)
        await eventually(lambda: api.get(VolumeAttachment, "va").status.attached)
        await eventually(lambda: len(api.list(CSIStorageCapacity)) == 1)
        status = await eventually(lambda: _changed(api))
        assert status.capacity == {"storage": Quantity("2Gi")}

        async def is_ready() -> bool:
            return bool((await admin.get(VolumeSnapshot, "s", "default")).status.readyToUse)  # type: ignore[union-attr]

        await eventually(is_ready)
        await admin.delete(VolumeSnapshot, "s", "default")
        await admin.delete(VolumeAttachment, "va")

        async def is_undone() -> bool:
            return not (await admin.list(VolumeSnapshotContent)).items and not api.list(VolumeAttachment)

        await eventually(is_undone)
        for loop in manager.loops:
            await loop.ctx.recorder.flush()
    assert api.list(core.Event) != []
    assert {key: value for one in driver.of("CreateVolume") for key, value in one.secrets.items()} == {"user": "admin"}


def _changed(api: MemoryApi) -> core.PersistentVolumeClaimStatus | None:
    status = api.get(core.PersistentVolumeClaim, "data", "default").status
    return status if status.currentVolumeAttributesClassName == "gold" and "storage" not in status.allocatedResourceStatuses else None
