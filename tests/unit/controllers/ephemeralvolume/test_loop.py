"""Claims of generic ephemeral volumes: made once, for their own pod, and made again when somebody deletes them."""

from __future__ import annotations

import pytest

from tests.unit.controllers.ephemeralvolume.make import claim, pod
from tests.unit.controllers.make import slim_pod
from tiphys.api.core import v1 as core
from tiphys.api.machinery.errors import ServiceUnavailable
from tiphys.controllers.ephemeralvolume.controller import CREATES, FAILURES, EphemeralVolumeController
from tiphys.controllers.ephemeralvolume.plan import Plan, plan
from tiphys.testing import eventually
from tiphys.testing.crashes import crash_between_writes
from tiphys.testing.loops import run_loops, running_loops
from tiphys.testing.memory_api import MemoryApi

pytestmark = pytest.mark.looptime

FOREIGN = "PVC default/web-data was not created for pod default/web (pod is not owner)"


def claims(api: MemoryApi) -> list[str]:
    return [one.metadata.name for one in api.list(core.PersistentVolumeClaim)]


def messages(api: MemoryApi) -> list[str]:
    return [event.message for event in api.list(core.Event) if event.reason == "FailedBinding"]


def test_plans_claims_for_pods_that_can_use_them() -> None:
    assert plan(slim_pod(pod("web", "data", "logs")), lambda name: None) == Plan(create=["data", "logs"])
    assert plan(slim_pod(pod()), lambda name: claim("uid-web")) == Plan()
    assert plan(slim_pod(pod(deleting=True)), lambda name: None) == Plan()
    assert plan(slim_pod(pod(phase="Succeeded")), lambda name: None) == Plan()


@pytest.mark.parametrize("owner", ["", "uid-former"])
def test_a_claim_of_somebody_else_is_never_used(owner: str) -> None:
    assert plan(slim_pod(pod()), lambda name: claim(owner)) == Plan(foreign={"data": FOREIGN})


async def test_claims_are_made_from_the_template(api: MemoryApi) -> None:
    before = CREATES.labels().value
    api.add(pod("web", "data", "logs"))
    async with running_loops(api.client(), EphemeralVolumeController):
        await eventually(lambda: claims(api) == ["web-data", "web-logs"])
    made = api.get(core.PersistentVolumeClaim, "web-data", "default")
    assert (made.metadata.labels, made.metadata.annotations) == ({"team": "a"}, {"note": "b"})
    assert made.spec.storageClassName == "gold"
    (owner,) = made.metadata.ownerReferences
    assert (owner.kind, owner.name, owner.uid, owner.controller, owner.blockOwnerDeletion) == ("Pod", "web", "uid-web", True, True)
    assert CREATES.labels().value == before + 2


async def test_a_deleted_claim_is_made_again(api: MemoryApi) -> None:
    api.add(pod())
    async with running_loops(api.client(), EphemeralVolumeController):
        await eventually(lambda: claims(api) == ["web-data"])
        former = api.get(core.PersistentVolumeClaim, "web-data", "default").metadata.uid
        api.remove(core.PersistentVolumeClaim, "web-data", "default")
        await eventually(lambda: claims(api) == ["web-data"])
        assert api.get(core.PersistentVolumeClaim, "web-data", "default").metadata.uid != former


@pytest.mark.parametrize("behind", [False, True])
async def test_a_claim_of_somebody_else_is_told(api: MemoryApi, behind: bool) -> None:
    if not behind:
        api.add(claim())
    async with running_loops(api.client(), EphemeralVolumeController):
        with api.faults.hold_events("watch persistentvolumeclaims"):
            if behind:
                api.add(claim())
            api.add(pod())
            await eventually(lambda: messages(api) == [f"ephemeral volume data: {FOREIGN}"])
        api.remove(core.PersistentVolumeClaim, "web-data", "default")
        await eventually(lambda: any(one.metadata.ownerReferences for one in api.list(core.PersistentVolumeClaim)), timeout=2000.0)


async def test_a_failure_is_told_and_tried_again(api: MemoryApi) -> None:
    failures = FAILURES.labels().value
    api.add(pod("web", "data", "logs"))
    api.faults.fail("create persistentvolumeclaims", ServiceUnavailable("away"))
    async with running_loops(api.client(), EphemeralVolumeController):
        await eventually(lambda: claims(api) == ["web-data", "web-logs"])
        await eventually(lambda: messages(api))
    assert messages(api) == ["ephemeral volume data: create PVC web-data: away"]
    assert FAILURES.labels().value == failures + 1


async def test_a_pod_that_ends_gets_no_claim(api: MemoryApi) -> None:
    """The cache does not show yet that it is being deleted."""
    hold = api.faults.hold_events("watch pods")
    api.add(pod())
    async with running_loops(api.client(), EphemeralVolumeController):
        await eventually(lambda: claims(api) == ["web-data"])
        api.add(pod(deleting=True))
        api.remove(core.PersistentVolumeClaim, "web-data", "default")
        await api.clock.sleep(60.0)
        hold.stop()
        assert claims(api) == []


async def test_a_pod_that_is_gone_gets_no_claim(api: MemoryApi) -> None:
    """The cache still shows it, and later one of the same name."""
    hold = api.faults.hold_events("watch pods")
    api.add(pod())
    async with running_loops(api.client(), EphemeralVolumeController):
        await eventually(lambda: claims(api) == ["web-data"])
        api.remove(core.Pod, "web", "default")
        api.remove(core.PersistentVolumeClaim, "web-data", "default")
        await api.clock.sleep(60.0)
        assert claims(api) == []
        api.add(pod(uid="uid-next"))
        await api.clock.sleep(60.0)
        hold.stop()
        await eventually(lambda: claims(api) == ["web-data"])
    assert api.list(core.PersistentVolumeClaim)[0].metadata.ownerReferences[0].uid == "uid-next"


async def test_a_crash_between_any_two_writes_makes_each_claim() -> None:
    crashes = await crash_between_writes(
        prepare=lambda api: api.add(pod("web", "data", "logs")),
        run=lambda client: run_loops(client, EphemeralVolumeController),
        check=lambda api: claims(api) == ["web-data", "web-logs"],
    )
    assert crashes == 2
