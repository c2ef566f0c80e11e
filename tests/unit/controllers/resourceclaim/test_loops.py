"""The loops of ResourceClaims on bad days: lagging caches, lost answers, crashes between writes, and faults by chance."""

from __future__ import annotations

import asyncio
import random
from functools import partial

import msgspec
import pytest

from tests.unit.controllers.make import NOW
from tests.unit.controllers.resourceclaim.make import RESULT, claim, consumer, template, whole_pod
from tiphys.api.core import v1 as core
from tiphys.api.machinery.errors import Forbidden, ServiceUnavailable
from tiphys.api.resource.v1 import (
    AllocationResult,
    DeviceAllocationResult,
    DeviceClaim,
    DeviceRequest,
    ExactDeviceRequest,
    ResourceClaim,
    ResourceClaimSpec,
    ResourceClaimTemplate,
)
from tiphys.client.client import Client
from tiphys.controllers.resourceclaim.controller import CREATES, ClaimReleaseController, ResourceClaimController
from tiphys.controllers.resourceclaim.plan import ENTRY
from tiphys.controllers.resourceclaim.release import FINALIZER
from tiphys.testing import eventually
from tiphys.testing.crashes import crash_between_writes
from tiphys.testing.faults import Faults
from tiphys.testing.loops import run_loops, running_loops
from tiphys.testing.memory_api import MemoryApi

pytestmark = pytest.mark.looptime

LOOPS = (ResourceClaimController, ClaimReleaseController)
ADMIN = ExactDeviceRequest(deviceClassName="gpu.example.com", adminAccess=True)
TWO = {"gpu": "gpus", "net": "gpus"}


def recorded(api: MemoryApi, name: str = "web") -> dict[str, str | None]:
    return {one.name: one.resourceClaimName for one in api.get(core.Pod, name, "default").status.resourceClaimStatuses}


def has_claims(api: MemoryApi) -> bool:
    """Return whether each entry has one claim, and the status names it."""
    claims = {one.metadata.annotations[ENTRY]: one.metadata.name for one in api.list(ResourceClaim)}
    return len(api.list(ResourceClaim)) == 2 and recorded(api) == claims


def count(api: MemoryApi, verb: str, resource: str) -> int:
    return len([call for call in api.writes() if (call.verb, call.resource) == (verb, resource)])


def allocate(one: ResourceClaim, *users: str) -> ResourceClaim:
    """The claim, allocated to pods as the scheduler does it."""
    one = msgspec.json.decode(msgspec.json.encode(one), type=ResourceClaim)
    one.metadata.finalizers = [FINALIZER]
    one.status.allocation = AllocationResult(devices=DeviceAllocationResult(results=[RESULT]))
    one.status.reservedFor = [consumer(name) for name in users]
    return one


async def touch(api: MemoryApi, name: str = "web") -> None:
    """Give the loop reasons to look at a pod again."""
    for number in range(5):
        await api.clock.sleep(20.0)
        await api.client().patch(core.Pod, name, "default", body={"metadata": {"labels": {"turn": str(number)}}})


@pytest.mark.parametrize("lagging", ["watch resourceclaims", "watch pods", "watch"])
async def test_a_lagging_cache_never_makes_claims_twice(api: MemoryApi, lagging: str) -> None:
    api.add(template(), whole_pod(templates=TWO, uid="uid-web"))
    with api.faults.hold_events(lagging):
        async with running_loops(api.client(), *LOOPS):
            await eventually(lambda: has_claims(api))
            await touch(api)
            assert has_claims(api)
    assert count(api, "create", "resourceclaims") == 2


async def test_a_claim_is_not_made_twice_when_its_status_could_not_be_written(api: MemoryApi) -> None:
    api.add(template(), whole_pod(templates=TWO, uid="uid-web"))
    api.faults.fail("patch pods/status", ServiceUnavailable("away"), times=2)
    hold = api.faults.hold_events("watch resourceclaims")
    async with running_loops(api.client(), *LOOPS):
        await touch(api)
        assert len(api.list(ResourceClaim)) == 2
        assert recorded(api) == {}
        hold.stop()
        await touch(api)
        assert has_claims(api)


async def test_a_claim_is_not_made_twice_when_the_answer_is_lost(api: MemoryApi) -> None:
    api.add(template(), whole_pod(templates=TWO, uid="uid-web"))
    api.faults.lose_answers("create resourceclaims", times=2)
    hold = api.faults.hold_events("watch resourceclaims")
    async with running_loops(api.client(), *LOOPS):
        await eventually(lambda: has_claims(api))
        hold.stop()
        await touch(api)
        assert has_claims(api)
    assert count(api, "create", "resourceclaims") == 2


async def test_after_a_lost_answer_the_claims_of_other_pods_are_theirs(api: MemoryApi) -> None:
    api.add(template(), whole_pod("other", recorded={"gpu": "theirs"}, uid="uid-other"), claim("theirs", owner="other"))
    api.add(whole_pod(uid="uid-web"))
    api.faults.lose_answers("create resourceclaims")
    hold = api.faults.hold_events("watch resourceclaims")
    async with running_loops(api.client(), *LOOPS):
        await eventually(lambda: recorded(api))
        assert recorded(api) != {"gpu": "theirs"}
        hold.stop()
        await touch(api)
    assert recorded(api, "other") == {"gpu": "theirs"}
    assert [one.metadata.name for one in api.list(ResourceClaim)] == ["theirs", recorded(api)["gpu"]]


async def test_the_server_is_not_asked_for_ever_after_a_lost_answer(api: MemoryApi) -> None:
    api.add(template(), whole_pod(templates=TWO, uid="uid-web"))
    api.faults.lose_answers("create resourceclaims")
    async with running_loops(api.client(), *LOOPS):
        await eventually(lambda: has_claims(api))
        await touch(api)
        assert lists_of_claims(api) <= 3


async def test_a_recorded_claim_that_the_cache_lacks_is_not_made_again(api: MemoryApi) -> None:
    """Another process made it and recorded it, and the watch of pods is faster than that of claims."""
    api.add(template(), whole_pod(uid="uid-web"))
    api.faults.fail("create resourceclaims", Forbidden("no"), times=None)
    async with running_loops(api.client(), *LOOPS):
        with api.faults.hold_events("watch resourceclaims"):
            api.add(claim("theirs", owner="web"))
            body = {"status": {"resourceClaimStatuses": [{"name": "gpu", "resourceClaimName": "theirs"}]}}
            await api.client().patch(core.Pod, "web", "default", body=body, subresource="status")
            tries = len(attempts(api))
            await touch(api)
            assert len(attempts(api)) == tries
    assert recorded(api) == {"gpu": "theirs"}


def attempts(api: MemoryApi) -> list[object]:
    """Requests to create claims, also those that failed."""
    return [call for call in api.faults.calls if (call.verb, call.resource) == ("create", "resourceclaims")]


async def test_a_crash_between_any_two_writes_makes_no_claims_twice() -> None:
    crashes = await crash_between_writes(
        prepare=lambda api: api.add(template(), whole_pod(templates=TWO, uid="uid-web")),
        run=lambda client: run_loops(client, *LOOPS),
        check=has_claims,
    )
    assert crashes == 3


def is_free(api: MemoryApi) -> bool:
    """Return whether the pod's own claim is gone, and the shared one is there for others."""
    claims = {one.metadata.name: one for one in api.list(ResourceClaim)}
    return claims.keys() == {"shared"} and not claims["shared"].status.reservedFor and claims["shared"].status.allocation is None


async def test_a_crash_between_any_two_writes_leaves_no_claim_behind() -> None:
    def prepare(api: MemoryApi) -> None:
        ended = whole_pod(shared={"s": "shared"}, recorded={"gpu": "own"}, node="n1", phase="Succeeded", uid="uid-web")
        api.add(template(), ended, allocate(claim("shared"), "web"), allocate(claim("own", owner="web"), "web"))

    crashes = await crash_between_writes(prepare=prepare, run=lambda client: run_loops(client, *LOOPS), check=is_free)
    assert crashes >= 4


async def test_a_pod_that_ended_gets_nothing_back(api: MemoryApi) -> None:
    """Both loops together come to rest (kubernetes/kubernetes#141274)."""
    ended = whole_pod(shared={"s": "shared"}, recorded={"gpu": "own"}, node="n1", phase="Failed", uid="uid-web")
    other = whole_pod("other", templates={}, shared={"s": "shared"}, node="n1", phase="Running", uid="uid-other")
    api.add(template(), ended, other, allocate(claim("shared"), "web", "other"), allocate(claim("own", owner="web"), "web"))
    async with running_loops(api.client(), *LOOPS):
        await eventually(lambda: len(api.list(ResourceClaim)) == 1)
        await api.clock.sleep(3600.0)
        assert api.get(ResourceClaim, "shared", "default").status.reservedFor == [consumer("other")]
    assert count(api, "create", "resourceclaims") == 0
    assert sorted(map(str, api.writes())) == [
        "delete resourceclaims default/own",
        "update resourceclaims default/own",
        "update resourceclaims/status default/own",
        "update resourceclaims/status default/shared",
    ]


async def test_two_claims_of_a_pod_come_to_rest(api: MemoryApi) -> None:
    """One that is made again later leaves the other in the status (kubernetes/kubernetes#138407)."""
    api.add(template(), whole_pod(templates=TWO, uid="uid-web"))
    async with running_loops(api.client(), *LOOPS):
        await eventually(lambda: has_claims(api))
        lost = recorded(api)["net"]
        assert lost is not None
        await api.client().delete(ResourceClaim, lost, "default")
        await eventually(lambda: has_claims(api))
        assert recorded(api)["net"] != lost
        writes = len(api.writes())
        await api.clock.sleep(3600.0)
        assert len(api.writes()) == writes


async def test_a_missing_template_is_tried_again_ever_more_rarely(api: MemoryApi) -> None:
    api.add(whole_pod(uid="uid-web"))
    async with running_loops(api.client(), *LOOPS):
        await api.clock.sleep(1800.0)
        (event,) = [one for one in api.list(core.Event) if one.reason == "FailedResourceClaimCreation"]
        assert (event.type, event.involvedObject.name) == ("Warning", "web")
        assert event.message == (
            'PodResourceClaim gpu: resource claim template "gpus": resourceclaimtemplates.resource.k8s.io "gpus" not found'
        )
        assert 5 <= event.count <= 20
        api.add(template())
        await eventually(lambda: len(recorded(api)) == 1, timeout=5.0)


async def test_a_refused_claim_is_told_and_tried_again(api: MemoryApi) -> None:
    admin = template()
    admin.spec.spec = ResourceClaimSpec(devices=DeviceClaim(requests=[DeviceRequest(name="gpu", exactly=ADMIN)]))
    api.add(admin, template("other"), whole_pod(templates={"gpu": "gpus", "net": "other"}, uid="uid-web"))
    async with running_loops(api.client(), *LOOPS):
        await eventually(lambda: any("admin access" in event.message for event in api.list(core.Event)))
        assert recorded(api).keys() == {"net"}
        body = {"metadata": {"labels": {"resource.kubernetes.io/admin-access": "true"}}}
        await api.client().patch(core.Namespace, "default", body=body)
        await eventually(lambda: recorded(api).keys() == {"gpu", "net"}, timeout=2000.0)


async def test_a_reservation_of_a_pod_that_the_cache_lacks_stays(api: MemoryApi) -> None:
    """The scheduler is faster than the watch of pods."""
    api.add(template())
    async with running_loops(api.client(), *LOOPS):
        with api.faults.hold_events("watch pods"):
            api.add(whole_pod(templates={}, shared={"s": "shared"}, node="n1", uid="uid-web"), allocate(claim("shared"), "web"))
            await api.clock.sleep(60.0)
            assert api.get(ResourceClaim, "shared", "default").status.reservedFor == [consumer("web")]


async def test_a_pod_that_the_cache_has_under_an_older_uid_keeps_its_claim(api: MemoryApi) -> None:
    """A pod of the same name came, and its claim is its own; the cache still shows the former."""
    api.add(template(), whole_pod(uid="uid-former", node="n1"))
    async with running_loops(api.client(), *LOOPS):
        with api.faults.hold_events("watch pods"):
            api.remove(core.Pod, "web", "default")
            api.add(whole_pod(uid="uid-web", node="n1", recorded={"gpu": "own"}), allocate(claim("own", owner="web"), "web"))
            await api.clock.sleep(60.0)
            assert api.get(ResourceClaim, "own", "default").status.reservedFor == [consumer("web")]


async def test_a_pod_that_was_replaced_while_nobody_watched_keeps_nothing(api: MemoryApi) -> None:
    """After a new list, the cache goes from one to the other in one step."""
    api.add(template(), whole_pod(templates={}, shared={"s": "shared"}, uid="uid-former"), allocate(claim("shared")))
    await set_users(api, "uid-former")
    hold = api.faults.hold_events("watch pods")
    async with running_loops(api.client(), *LOOPS):
        api.remove(core.Pod, "web", "default")
        api.add(whole_pod(templates={}, shared={"s": "shared"}, uid="uid-web"))
        await api.clock.sleep(60.0)
        assert api.get(ResourceClaim, "shared", "default").status.reservedFor
        await api.compact()
        api.faults.end_watches("watch pods")
        hold.stop()
        await eventually(lambda: not api.get(ResourceClaim, "shared", "default").status.reservedFor)


async def set_users(api: MemoryApi, uid: str) -> None:
    one = api.get(ResourceClaim, "shared", "default")
    one.status.reservedFor = [consumer("web", uid)]
    await api.client().update_status(one)


async def test_a_claim_of_a_pod_that_ended_before_it_was_recorded_is_deleted(api: MemoryApi) -> None:
    api.add(whole_pod(uid="uid-web", node="n1"), claim("own", owner="web"))
    async with running_loops(api.client(), ClaimReleaseController):
        await api.clock.sleep(60.0)
        assert api.list(ResourceClaim)
        await end_pod(api.client(), "web")
        await eventually(lambda: not api.list(ResourceClaim))


async def test_an_allocated_claim_that_nobody_uses_is_deleted_with_its_finalizer(api: MemoryApi) -> None:
    api.add(whole_pod(uid="uid-web", node="n1", phase="Failed"), allocate(claim("own", owner="web")))
    async with running_loops(api.client(), *LOOPS):
        await eventually(lambda: not api.list(ResourceClaim))


async def test_a_claim_of_a_pod_that_is_gone_is_left_to_the_garbage_collector(api: MemoryApi) -> None:
    api.add(claim("own", owner="web"))
    async with running_loops(api.client(), *LOOPS):
        await api.clock.sleep(60.0)
        assert api.list(ResourceClaim)


async def test_a_claim_that_is_reserved_at_the_last_moment_stays(api: MemoryApi) -> None:
    """Another pod names it; the scheduler is faster than the loop, whose look is out of date."""
    ended = whole_pod(uid="uid-web", node="n1", phase="Succeeded")
    other = whole_pod("other", templates={}, shared={"s": "own"}, node="n1", uid="uid-other")
    api.add(ended, other, claim("own", owner="web"))

    async def reserve() -> None:
        await api.client("scheduler", "system:masters").update_status(allocate(api.get(ResourceClaim, "own", "default"), "other"))

    api.faults.before("delete resourceclaims", reserve)
    async with running_loops(api.client(), *LOOPS):
        await api.clock.sleep(60.0)
        one = api.get(ResourceClaim, "own", "default")
        assert (one.metadata.deletionTimestamp, one.status.reservedFor) == (None, [consumer("other")])


async def test_another_claim_of_the_name_is_looked_at(api: MemoryApi) -> None:
    """The deletion that the loop remembers was that of the former; a new list shows the one in place of the other."""
    api.add(whole_pod(uid="uid-web", node="n1", phase="Succeeded"), claim("own", owner="web"))
    hold = api.faults.hold_events("watch resourceclaims")
    async with running_loops(api.client(), *LOOPS):
        await eventually(lambda: not api.list(ResourceClaim))
        api.add(claim("own", owner="web"))
        await api.compact()
        api.faults.end_watches("watch resourceclaims")
        hold.stop()
        await eventually(lambda: not api.list(ResourceClaim))


async def test_a_claim_that_vanishes_meanwhile_is_no_error(api: MemoryApi, caplog: pytest.LogCaptureFixture) -> None:
    ended = whole_pod(uid="uid-web", node="n1", phase="Succeeded")
    for subresource in ("/status", ""):
        api.add(ended, allocate(claim("own", owner="web"), "web"))
        fault = api.faults.before(f"update resourceclaims{subresource}", lambda: api.remove(ResourceClaim, "own", "default"))
        async with running_loops(api.client(), *LOOPS):
            await api.clock.sleep(60.0)
        assert fault.count == 1
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_nobody_hears_of_claims_for_a_namespace_that_ends(api: MemoryApi) -> None:
    api.add(template(), whole_pod(uid="uid-web"))
    ending = api.get(core.Namespace, "default")
    ending.metadata.deletionTimestamp, ending.status.phase = NOW, "Terminating"
    api.add(ending)
    async with running_loops(api.client(), *LOOPS):
        await api.clock.sleep(600.0)
        assert len(attempts(api)) == 1
        assert not api.list(core.Event)


async def test_creations_are_counted(api: MemoryApi) -> None:
    before = {labels: CREATES.labels(*labels).value for labels in (("success", "false"), ("failure", "false"), ("failure", "true"))}
    admin = template("admin")
    admin.spec.spec = ResourceClaimSpec(devices=DeviceClaim(requests=[DeviceRequest(name="gpu", exactly=ADMIN)]))
    api.add(template(), admin, whole_pod(templates=TWO, uid="uid-web"), whole_pod("root", templates={"gpu": "admin"}, uid="uid-root"))
    api.faults.fail("create resourceclaims", ServiceUnavailable("away"))
    async with running_loops(api.client(), *LOOPS):
        await eventually(lambda: recorded(api).keys() == TWO.keys())
    counts = {labels: CREATES.labels(*labels).value - value for labels, value in before.items()}
    assert counts[("success", "false")] == 2
    assert counts[("failure", "false")] + counts[("failure", "true")] >= 2
    assert counts[("failure", "true")] >= 1


async def test_a_doubt_ends_with_the_pod(api: MemoryApi) -> None:
    api.add(template(), whole_pod(uid="uid-web"))
    fault = api.faults.fail("create resourceclaims", ServiceUnavailable("away"), times=None)
    async with running_loops(api.client(), *LOOPS):
        await eventually(lambda: fault.count > 1)
        api.remove(core.Pod, "web", "default")
        await api.clock.sleep(60.0)
        lists = lists_of_claims(api)
        fault.stop()
        api.add(whole_pod(uid="uid-next"))
        await eventually(lambda: len(recorded(api)) == 1)
        assert lists_of_claims(api) == lists


def lists_of_claims(api: MemoryApi) -> int:
    return len([call for call in api.faults.calls if (call.verb, call.resource) == ("list", "resourceclaims")])


@pytest.mark.parametrize("seed", range(5))
async def test_the_end_is_the_same_whatever_fails_on_the_way(api: MemoryApi, seed: int) -> None:
    faults = Faults(clock=api.clock)
    faults.randomly(random.Random(seed))
    async with running_loops(api.client(faults=faults), *LOOPS):
        api.add(template(), whole_pod(templates=TWO, uid="uid-web"))
        ended = whole_pod("ended", shared={"s": "shared"}, recorded={"gpu": "own"}, node="n1", uid="uid-ended")
        api.add(ended, allocate(claim("shared"), "ended"), allocate(claim("own", owner="ended"), "ended"))
        await asyncio.sleep(30)
        await end_pod(api.client(), "ended")
        await asyncio.sleep(30)
        faults.clear()
        await eventually(partial(_settled, api), timeout=2000.0)


async def end_pod(client: Client, name: str) -> None:
    await client.patch(core.Pod, name, "default", body={"status": {"phase": "Succeeded"}}, subresource="status")


def _settled(api: MemoryApi) -> bool:
    claims = [one for one in api.list(ResourceClaim) if one.metadata.name != "shared"]
    by_entry = {one.metadata.annotations[ENTRY]: one.metadata.name for one in claims}
    shared = api.get(ResourceClaim, "shared", "default")
    return len(claims) == 2 and recorded(api) == by_entry and not shared.status.reservedFor and shared.status.allocation is None


def test_templates_are_no_longer_without_a_loop() -> None:
    assert ResourceClaimController.declaration.kind is ResourceClaimTemplate
