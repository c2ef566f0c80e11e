"""The storage that a pod's volumes mean, and why it may not be known."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.unit.node.make import pod
from tests.unit.node.volumes.disks import add_claim, claiming
from tiphys.api.core import v1 as core
from tiphys.api.helpers.volume_plugins import ADVICE, DRIVERS
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.node.volumes.legacy import advice, is_legacy
from tiphys.node.volumes.resolve import UnresolvedError, group_of, resolve
from tiphys.testing.memory_api import MemoryApi

NODE = "system:node:n1"


async def reason(api: MemoryApi, of: core.Pod) -> str:
    with pytest.raises(UnresolvedError) as caught:
        await resolve(api.client(), of, of.spec.volumes[0])
    return str(caught.value)


async def test_a_bound_claim(api: MemoryApi) -> None:
    add_claim(api, mountOptions=["hard", "nfsvers=4.1"])
    it = claiming()
    it.spec.volumes[0].persistentVolumeClaim.readOnly = True  # type: ignore[union-attr]
    spec = await resolve(api.client(), it, it.spec.volumes[0])
    assert (spec.name, spec.block, spec.read_only, spec.mount_options) == ("pv-c", False, True, ("hard", "nfsvers=4.1"))


@pytest.mark.parametrize(
    ("claim", "pv", "text"),
    [
        ({"status": {"phase": "Pending"}}, {}, "PVC is not bound"),
        ({"spec": {"volumeName": ""}}, {}, "PVC has empty pvc.Spec.VolumeName"),
        ({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["x/y"]}}, {}, "PVC is being deleted"),
        ({"spec": {"volumeName": "gone"}}, {}, "failed to fetch PV gone from API server: "),
        ({}, {"claimRef": None}, "found PV object pv-c but it has a nil pv.Spec.ClaimRef indicating it is not yet bound to the claim"),
        (
            {},
            {"claimRef": {"uid": "other"}},
            "found PV object pv-c but its pv.Spec.ClaimRef.UID other does not point to claim.UID uid-c",
        ),
    ],
)
async def test_claims_that_are_not_settled(api: MemoryApi, claim: dict[str, Any], pv: dict[str, Any], text: str) -> None:
    add_claim(api, claim=claim, **pv)
    assert (await reason(api, claiming())).startswith(f"error processing PVC default/c: {text}")


async def test_a_claim_that_is_protected_is_used_until_the_end(api: MemoryApi) -> None:
    add_claim(api, claim={"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}})
    it = claiming()
    assert (await resolve(api.client(), it, it.spec.volumes[0])).name == "pv-c"


async def test_a_mode_that_containers_do_not_expect(api: MemoryApi) -> None:
    add_claim(api, volumeMode="Block")
    assert await reason(api, claiming()) == "volume data has volumeMode Block, but is specified in volumeMounts"
    device = {"name": "a", "volumeDevices": [{"name": "data", "devicePath": "/dev/x"}]}
    it = pod(device, volumes=[{"name": "data", "persistentVolumeClaim": {"claimName": "c"}}])
    assert (await resolve(api.client(), it, it.spec.volumes[0])).block
    add_claim(api)
    assert await reason(api, it) == "volume data has volumeMode Filesystem, but is specified in volumeDevices"


async def test_a_generic_ephemeral_volume_is_the_pods_own(api: MemoryApi) -> None:
    it = pod({"name": "a"}, volumes=[{"name": "data", "ephemeral": {}}])
    add_claim(api, "web-data")
    assert await reason(api, it) == (
        "error processing PVC default/web-data: PVC default/web-data was not created for pod default/web (pod is not owner)"
    )
    owner = {"apiVersion": "v1", "kind": "Pod", "name": "web", "uid": "u1", "controller": True}
    add_claim(api, "web-data", claim={"metadata": {"ownerReferences": [owner]}})
    assert (await resolve(api.client(), it, it.spec.volumes[0])).name == "pv-web-data"


async def test_a_node_may_read_what_its_pods_use(api: MemoryApi) -> None:
    """The rights are those of the Node authorizer."""
    add_claim(api)
    add_claim(api, "other")
    api.add(core.Node(metadata=ObjectMeta(name="n1")), claiming())
    client, it, other = api.client(NODE, "system:nodes"), claiming(), claiming("other")
    assert (await resolve(client, it, it.spec.volumes[0])).name == "pv-c"
    with pytest.raises(UnresolvedError, match="no relationship found"):
        await resolve(client, other, other.spec.volumes[0])


def test_the_group_of_a_volume() -> None:
    def named(text: str) -> core.PersistentVolume:
        return core.PersistentVolume(metadata=ObjectMeta(name="v", annotations={"pv.beta.kubernetes.io/gid": text}))

    assert [group_of(one) for one in (None, named("77"), named("-1"), named("x"), named("\u0663"))] == [None, 77, None, None, None]


@pytest.mark.parametrize("kind", [*ADVICE])
def test_old_kinds_are_explained(kind: str) -> None:
    type_ = next(field.type for field in msgspec.structs.fields(core.Volume) if field.encode_name == kind)
    source = type_.__args__[0]()
    volume = msgspec.structs.replace(core.Volume(name="v"), **{kind: source})
    assert is_legacy(volume)
    text = advice(volume, None)
    assert text.startswith(f"no volume plugin matched: volumes of the kind {kind} are not mounted by the node; ")
    assert "use" in text
    assert DRIVERS.get(kind, "") in text
