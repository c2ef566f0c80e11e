"""Claims of StatefulSets against the real API server: created, retained, deleted with the set or with its pods."""

from __future__ import annotations

from tests.integration.controllers.conftest import Cluster, running_kubelet
from tests.integration.controllers.statefulset.statefulsets import change, pods_are, settle, stateful_set
from tiphys.api.apps import v1 as apps
from tiphys.api.core import v1 as core
from tiphys.client import Client
from tiphys.testing import eventually


async def claims(client: Client) -> dict[str, list[str]]:
    found = (await client.list(core.PersistentVolumeClaim, "default")).items
    return {
        claim.metadata.name: [ref.kind for ref in claim.metadata.ownerReferences] for claim in found if not claim.metadata.deletionTimestamp
    }


async def test_claims_are_made_and_kept(cluster: Cluster) -> None:
    async with cluster.controllers(), running_kubelet(cluster):
        await cluster.client.create(stateful_set(2, claims=("data", "log")))
        await settle(cluster, "1", 2)
        expected: dict[str, list[str]] = {f"{name}-web-{ordinal}": [] for name in ("data", "log") for ordinal in (0, 1)}
        assert await claims(cluster.client) == expected
        for pod in await cluster.pods():
            mounted = {volume.name: volume.persistentVolumeClaim for volume in pod.spec.volumes}
            assert mounted["data"] == core.PersistentVolumeClaimVolumeSource(claimName=f"data-{pod.metadata.name}")
        await change(cluster, replicas=0)
        await pods_are(cluster)
        assert await claims(cluster.client) == expected
        await cluster.client.delete(apps.StatefulSet, "web", "default")
        await cluster.client.create(stateful_set(1, claims=("data",)))
        await settle(cluster, "1", 1)
        assert await claims(cluster.client) == expected


async def test_claims_go_with_the_set(cluster: Cluster) -> None:
    async with cluster.controllers(), running_kubelet(cluster):
        await cluster.client.create(stateful_set(2, claims=("data",), retention=("Delete", "Retain")))
        await settle(cluster, "1", 2)
        assert await claims(cluster.client) == {"data-web-0": ["StatefulSet"], "data-web-1": ["StatefulSet"]}
        await change(cluster, replicas=1)
        await pods_are(cluster, "web-0")
        assert set(await claims(cluster.client)) == {"data-web-0", "data-web-1"}
        await cluster.client.delete(apps.StatefulSet, "web", "default")

        async def gone() -> bool:
            return not await claims(cluster.client)

        await eventually(gone)


async def test_claims_go_with_pods_that_are_scaled_down_and_come_back_new(cluster: Cluster) -> None:
    async with cluster.controllers(), running_kubelet(cluster):
        await cluster.client.create(stateful_set(2, claims=("data",), retention=("Retain", "Delete")))
        await settle(cluster, "1", 2)
        assert await claims(cluster.client) == {"data-web-0": [], "data-web-1": []}
        first = await cluster.client.get(core.PersistentVolumeClaim, "data-web-1", "default")
        await change(cluster, replicas=1)

        async def only_the_first() -> bool:
            return set(await claims(cluster.client)) == {"data-web-0"}

        await eventually(only_the_first)
        await change(cluster, replicas=2)
        await settle(cluster, "1", 2)
        again = await cluster.client.get(core.PersistentVolumeClaim, "data-web-1", "default")
        assert again.metadata.uid != first.metadata.uid
        # A pod that is only replaced keeps its claim.
        await cluster.client.delete(core.Pod, "web-1", "default")
        await settle(cluster, "1", 2)
        kept = await cluster.client.get(core.PersistentVolumeClaim, "data-web-1", "default")
        assert kept.metadata.uid == again.metadata.uid


async def test_policies_may_change(cluster: Cluster) -> None:
    async with cluster.controllers(), running_kubelet(cluster):
        await cluster.client.create(stateful_set(1, claims=("data",)))
        await settle(cluster, "1", 1)
        for policy, owners in (
            (("Delete", "Retain"), ["StatefulSet"]),
            (("Retain", "Retain"), []),
            (("Delete", "Delete"), ["StatefulSet"]),
        ):
            await change(cluster, persistentVolumeClaimRetentionPolicy={"whenDeleted": policy[0], "whenScaled": policy[1]})

            async def owned(expected: list[str] = owners) -> bool:
                return await claims(cluster.client) == {"data-web-0": expected}

            await eventually(owned)


async def test_a_missing_claim_of_a_pending_pod_is_made_anew(cluster: Cluster) -> None:
    async with cluster.controllers():
        await cluster.client.create(stateful_set(1, claims=("data",)))
        await pods_are(cluster, "web-0")
        claim = await cluster.client.get(core.PersistentVolumeClaim, "data-web-0", "default")
        body = {"metadata": {"finalizers": None}}
        await cluster.client.patch(core.PersistentVolumeClaim, "data-web-0", "default", body=body)
        await cluster.client.delete(core.PersistentVolumeClaim, "data-web-0", "default")

        async def anew() -> bool:
            found = (await cluster.client.list(core.PersistentVolumeClaim, "default")).items
            return [one.metadata.uid != claim.metadata.uid for one in found] == [True]

        await eventually(anew)
