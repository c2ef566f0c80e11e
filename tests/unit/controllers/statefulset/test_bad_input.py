"""StatefulSets that cannot be made true: an event says why, and the server is left in peace."""

from __future__ import annotations

import asyncio

import pytest

from tests.unit.controllers.shared.test_revisions import revision
from tiphys.api.apps import v1 as apps
from tiphys.api.core import v1 as core
from tiphys.api.machinery.errors import Forbidden
from tiphys.api.meta.v1 import LabelSelector, ObjectMeta
from tiphys.controllers.shared.claim import reference
from tiphys.testing import eventually

from .world import World

pytestmark = pytest.mark.looptime

A_WHILE = 1800.0
"""Seconds. Events are forgotten after an hour."""


async def lived(world: World) -> str:
    """Let the loop run for a while; returns the warnings that it gave."""
    async with world.loop():
        await asyncio.sleep(A_WHILE)
    # A loop that failed every second would need thousands.
    assert len(world.faults.calls) < 200
    events = world.api.list(core.Event, "default")
    return "\n".join(f"{event.reason}: {event.message}" for event in events if event.type == "Warning")


async def test_a_name_that_leaves_no_room_for_ordinals() -> None:
    async with World.living(1) as world:
        world.create(replicas=2)
        owner = world.owner
        world.api.remove(apps.StatefulSet, "web", "default")
        owner.metadata = ObjectMeta(name="n" * 63, namespace="default")
        world.api.add(owner)
        assert "FailedCreate: Create Pod nnn" in await lived(world)
        assert world.pods() == []


async def test_a_name_that_somebody_else_has() -> None:
    async with World.living(1) as world:
        world.create(replicas=2)
        containers = [core.Container(name="main", image="x")]
        world.api.add(core.Pod(metadata=ObjectMeta(name="web-0", namespace="default"), spec=core.PodSpec(containers=containers)))
        assert 'FailedCreate: Create Pod web-0 in StatefulSet web failed error: pods "web-0" already exists' in await lived(world)
        (pod,) = world.pods()
        assert pod.metadata.ownerReferences == []


async def test_a_selector_that_does_not_match_the_template() -> None:
    """Validation lets none in. Pods and revisions that the set would not know again are not created without end."""
    async with World.living(1) as world:
        world.create(replicas=2)
        owner = world.owner
        owner.spec.selector = LabelSelector(matchLabels={"app": "other"})
        world.api.add(owner)
        await lived(world)
        assert world.pods() == []
        assert world.api.list(apps.ControllerRevision) == []


async def test_a_revision_that_cannot_be_applied() -> None:
    async with World.living(1) as world:
        world.create(replicas=2, partition=9)
        owner = world.owner
        broken = revision("web-broken", 1)
        broken.data = {"spec": {"template": 7}}
        broken.metadata.ownerReferences = [reference(owner)]
        owner.status.currentRevision = "web-broken"
        world.api.add(owner, broken)
        assert "ControllerRevision web-broken cannot be applied" in await lived(world)
        assert world.pods() == []


async def test_claims_that_are_refused() -> None:
    async with World.living(1) as world:
        world.create(replicas=2, claims=("data",))
        owner = world.owner
        owner.spec.volumeClaimTemplates[0].spec.accessModes = []
        world.api.add(owner)
        said = await lived(world)
        assert "FailedCreate: Create Claim data-web-0 for Pod web-0 in StatefulSet web failed error:" in said
        assert "accessModes" in said
        assert world.pods() == []


async def test_a_terminating_claim_that_never_goes() -> None:
    async with World.living(1) as world:
        world.create(replicas=1, claims=("data",))
        async with world.loop():
            await asyncio.sleep(60)
        (claim,) = world.api.list(core.PersistentVolumeClaim, "default")
        claim.metadata.deletionTimestamp = claim.metadata.creationTimestamp
        claim.metadata.finalizers = ["example.com/never"]
        world.api.add(claim)
        world.api.remove(core.Pod, "web-0", "default")
        assert "FailedCreate: Create Pod web-0 in StatefulSet web failed error: pvc data-web-0 is being deleted" in await lived(world)
        # As soon as it is gone, the pod is there: nobody has to wait for a next try.
        async with world.loop():
            await asyncio.sleep(60)
            world.api.remove(core.PersistentVolumeClaim, "data-web-0", "default")
            await asyncio.sleep(60)
            assert [pod.metadata.name for pod in world.pods()] == ["web-0"]


async def test_a_quota_that_leaves_no_room_for_the_new_beside_the_old() -> None:
    async with World.living(1) as world:
        world.create(replicas=2, parallel=True)
        async with world.loop():
            await eventually(world.is_settled, timeout=A_WHILE)
            refusal = Forbidden("exceeded quota")
            world.faults.fail(lambda call: str(call) == "create pods default" and len(world.pods()) >= 2, refusal, times=None)
            owner = world.owner
            owner.spec.ordinals = apps.StatefulSetOrdinals(start=2)
            world.api.add(owner)
            await eventually(lambda: [pod.metadata.name for pod in world.pods()] == ["web-2", "web-3"], timeout=A_WHILE)
