"""The loops of EndpointSlices against an API server in memory that loses answers; in virtual time."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from tests.unit.controllers.make import whole_pod
from tiphys.api.core import v1 as core
from tiphys.api.discovery import v1 as discovery
from tiphys.api.meta.v1 import KubeObject, ObjectMeta
from tiphys.controllers.endpoints.controller import EndpointsController
from tiphys.controllers.endpoints.mirror import MirrorController
from tiphys.runtime import Controller
from tiphys.testing.loops import running_loops
from tiphys.testing.memory_api import MemoryApi

pytestmark = pytest.mark.looptime

META = ObjectMeta(name="web", namespace="default")
PORT = core.ServicePort(name="http", port=80, targetPort=8080, protocol="TCP")
SELECTING = core.Service(metadata=META, spec=core.ServiceSpec(selector={"app": "web"}, ports=[PORT]))
BY_HAND = core.Endpoints(
    metadata=META,
    subsets=[core.EndpointSubset(addresses=[core.EndpointAddress(ip="10.42.0.5")], ports=[core.EndpointPort(name="http", port=8080)])],
)


def slices(api: MemoryApi) -> list[discovery.EndpointSlice]:
    return [found for found in api.list(discovery.EndpointSlice) if found.metadata.labels["kubernetes.io/service-name"] == "web"]


@pytest.mark.parametrize(
    ("loop", "made"),
    [(EndpointsController, [SELECTING]), (MirrorController, [core.Service(metadata=META, spec=core.ServiceSpec(ports=[PORT])), BY_HAND])],
    ids=["Service", "Endpoints"],
)
@pytest.mark.parametrize("seed", range(2))
async def test_slices_whose_answers_were_lost_are_not_made_again(
    api: MemoryApi, loop: Callable[[], Controller], made: list[KubeObject], seed: int
) -> None:
    rng, client = random.Random(seed), api.client()
    pod = whole_pod(ip="10.42.0.5")
    pod.metadata.uid = ""
    api.add(pod)
    async with running_loops(api.client(), loop):
        api.faults.lose_answers("create endpointslices", times=3)
        with api.faults.hold_events("watch endpointslices"):
            for obj in made:
                await client.create(obj)
            for number in range(8):
                await api.clock.sleep(rng.uniform(0.0, 6.0))
                await client.patch(type(made[-1]), "web", "default", body={"metadata": {"labels": {"turn": str(number)}}})
            assert len(slices(api)) == 1
        await api.clock.sleep(60.0)
        (found,) = slices(api)
        assert found.metadata.labels["turn"] == "7"
        # The cache has caught up, and is believed again.
        api.calls.clear()
        await client.patch(type(made[-1]), "web", "default", body={"metadata": {"labels": {"turn": "8"}}})
        await api.clock.sleep(60.0)
        assert slices(api)[0].metadata.labels["turn"] == "8"
        assert not [call for call in api.calls if (call.verb, call.resource) == ("list", "endpointslices")]
