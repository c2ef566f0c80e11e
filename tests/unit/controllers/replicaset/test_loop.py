"""The loop of ReplicaSets and ReplicationControllers: what their status reports when writes fail."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tiphys.api.apps import v1 as apps
from tiphys.api.core import v1 as core
from tiphys.api.machinery.errors import Forbidden
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.controllers.replicaset.controller import ReplicaSetController, ReplicationController
from tiphys.runtime import Controller
from tiphys.testing import eventually
from tiphys.testing.faults import Error
from tiphys.testing.loops import running_loops
from tiphys.testing.memory_api import MemoryApi
from tiphys.testing.samples import replica_set

pytestmark = pytest.mark.looptime

REPLICAS = 4


def replication_controller() -> core.ReplicationController:
    made = replica_set("web", REPLICAS)
    spec = core.ReplicationControllerSpec(replicas=REPLICAS, selector={"app": "web"}, template=made.spec.template)
    return core.ReplicationController(metadata=ObjectMeta(name="web", namespace="default"), spec=spec)


@pytest.mark.parametrize(
    ("loop", "made"),
    [(ReplicaSetController, replica_set("web", REPLICAS)), (ReplicationController, replication_controller())],
    ids=["ReplicaSet", "ReplicationController"],
)
@pytest.mark.parametrize("error", [Forbidden("not today"), ConnectionError("away")], ids=["refused", "unreachable"])
async def test_pods_that_could_not_be_deleted_count(
    api: MemoryApi, loop: Callable[[], Controller], made: apps.ReplicaSet | core.ReplicationController, error: Error
) -> None:
    """A rolling update takes the pods of an old ReplicaSet from its status: those that are left out would be replaced too early."""
    client = api.client()
    async with running_loops(api.client(), loop):
        await client.create(made)
        await eventually(lambda: api.get(type(made), "web", "default").status.replicas == REPLICAS)
        refusal = api.faults.fail("delete pods", error, times=None)
        shrunk = await client.patch(type(made), "web", "default", body={"spec": {"replicas": 1}})
        generation = shrunk.metadata.generation
        await eventually(lambda: api.get(type(made), "web", "default").status.observedGeneration == generation)
        assert refusal.count > 0
        assert len(api.list(core.Pod)) == REPLICAS
        status = api.get(type(made), "web", "default").status
        assert (status.replicas, status.fullyLabeledReplicas) == (REPLICAS, REPLICAS)
        refusal.stop()
        await eventually(lambda: api.get(type(made), "web", "default").status.replicas == 1, timeout=600.0)
        assert len(api.list(core.Pod)) == 1
