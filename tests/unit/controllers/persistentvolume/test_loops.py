"""The loops of claims and volumes against the server: binding, release, events, and bad days."""

from __future__ import annotations

import pytest

from tests.unit.controllers.make import whole_pod
from tests.unit.controllers.persistentvolume.make import claim, reserved, storage_class, volume
from tiphys.api.core import v1 as core
from tiphys.api.machinery.errors import Forbidden, ServiceUnavailable
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.api.well_known import (
    BIND_COMPLETED,
    BOUND_BY_CONTROLLER,
    DEFAULT_STORAGE_CLASS,
    PROVISIONED_BY,
    SELECTED_NODE,
    STORAGE_PROVISIONER,
    STORAGE_PROVISIONER_BETA,
)
from tiphys.controllers.persistentvolume.controller import ClaimBindingController
from tiphys.controllers.persistentvolume.metrics import ASSIGNMENT_ERRORS, ASSIGNMENTS, ERRORS, SECONDS
from tiphys.controllers.persistentvolume.volumes import VolumeReleaseController
from tiphys.obs.metrics import REGISTRY
from tiphys.testing import eventually
from tiphys.testing.crashes import crash_between_writes
from tiphys.testing.loops import run_loops, running_loops
from tiphys.testing.memory_api import MemoryApi

pytestmark = pytest.mark.looptime

LOOPS = (ClaimBindingController, VolumeReleaseController)


def the_claim(api: MemoryApi, name: str = "data") -> core.PersistentVolumeClaim:
    return api.get(core.PersistentVolumeClaim, name, "default")


def the_volume(api: MemoryApi, name: str = "v") -> core.PersistentVolume:
    return api.get(core.PersistentVolume, name)


def is_bound(api: MemoryApi, name: str = "data", to: str = "v") -> bool:
    """Return whether a claim and a volume name each other and say so."""
    owner, its = the_claim(api, name), the_volume(api, to)
    reference = its.spec.claimRef
    names = owner.spec.volumeName == to and reference is not None and reference.uid == owner.metadata.uid
    return names and owner.status.phase == its.status.phase == "Bound" and BIND_COMPLETED in owner.metadata.annotations


def messages(api: MemoryApi, reason: str) -> list[str]:
    return [event.message for event in api.list(core.Event) if event.reason == reason]


async def rest(api: MemoryApi) -> None:
    """Let the loops settle, and see that they then write nothing."""
    await api.clock.sleep(60.0)
    before = len(api.writes())
    await api.clock.sleep(600.0)
    assert [str(call) for call in api.writes()[before:]] == []


async def test_a_claim_and_a_volume_are_bound(api: MemoryApi) -> None:
    api.add(volume(phase=""), claim())
    async with running_loops(api.client(), *LOOPS):
        await eventually(lambda: is_bound(api))
        await rest(api)
    owner, its = the_claim(api), the_volume(api)
    assert (owner.status.capacity, owner.status.accessModes) == ({"storage": "5Gi"}, ["ReadWriteOnce"])
    assert BOUND_BY_CONTROLLER in owner.metadata.annotations
    assert BOUND_BY_CONTROLLER in its.metadata.annotations
    assert its.status.lastPhaseTransitionTime is not None


async def test_claims_wait_for_volumes_that_come_later(api: MemoryApi) -> None:
    api.add(claim(), claim("other", volume="v2", uid="uid-other"))
    async with running_loops(api.client(), *LOOPS):
        await eventually(lambda: messages(api, "FailedBinding"))
        await rest(api)
        api.add(volume(phase=""), volume("v2", phase=""))
        await eventually(lambda: is_bound(api) and is_bound(api, "other", "v2"), timeout=10.0)
    assert BOUND_BY_CONTROLLER not in the_claim(api, "other").metadata.annotations


async def test_many_claims_get_a_volume_each(api: MemoryApi) -> None:
    api.add(*(volume(f"v{number}", phase="") for number in range(20)))
    api.add(*(claim(f"c{number}", uid=f"uid-{number}") for number in range(20)))
    async with running_loops(api.client(), *LOOPS):
        await eventually(lambda: all(one.status.phase == "Bound" for one in api.list(core.PersistentVolumeClaim)))
        await rest(api)
    pairs = {(one.spec.volumeName, one.metadata.uid) for one in api.list(core.PersistentVolumeClaim)}
    assert pairs == {(one.metadata.name, one.spec.claimRef.uid) for one in api.list(core.PersistentVolume) if one.spec.claimRef}
    assert len({name for name, _ in pairs}) == 20


async def test_claims_are_not_offered_a_volume_that_was_just_given_away(api: MemoryApi) -> None:
    api.add(volume("v1"), volume("v2", "6Gi"))
    async with running_loops(api.client(), *LOOPS):
        with api.faults.hold_events("watch persistentvolumes"):
            api.add(claim("c1", uid="u1"))
            await eventually(lambda: the_claim(api, "c1").status.phase == "Bound")
            api.add(claim("c2", uid="u2"))
            await eventually(lambda: is_bound(api, "c2", "v2"))
    given = [call for call in api.faults.calls if (call.verb, call.resource, call.name) == ("update", "persistentvolumes", "v1")]
    assert len([call for call in given if not call.subresource]) == 1


async def test_reservations_from_both_sides(api: MemoryApi) -> None:
    api.add(volume("small"), volume("mine", "50Gi", claim=reserved()), claim())
    api.add(volume("asked", claim=reserved("asking")), claim("asking", uid="uid-asking", volume="asked"))
    async with running_loops(api.client(), *LOOPS):
        await eventually(lambda: is_bound(api, to="mine") and is_bound(api, "asking", "asked"))
        await rest(api)
    assert BOUND_BY_CONTROLLER not in the_volume(api, "mine").metadata.annotations
    assert the_volume(api, "small").status.phase == "Available"


async def test_a_mismatch_is_told_and_heals(api: MemoryApi) -> None:
    api.add(volume(size="1Gi"), claim(volume="v"))
    async with running_loops(api.client(), *LOOPS):
        await eventually(lambda: messages(api, "VolumeMismatch") == ['Cannot bind to requested volume "v": requested PV is too small'])
        await api.client().patch(core.PersistentVolume, "v", body={"spec": {"capacity": {"storage": "5Gi"}}})
        await eventually(lambda: is_bound(api))


async def test_volume_modes_that_differ_are_told_to_both(api: MemoryApi) -> None:
    api.add(volume(mode="Block", claim=reserved(uid="uid-data"), annotations={BOUND_BY_CONTROLLER: "yes"}), claim())
    async with running_loops(api.client(), *LOOPS):
        await eventually(lambda: len(messages(api, "VolumeMismatch")) == 2)
        await rest(api)
    assert the_claim(api).spec.volumeName == ""


async def test_a_class_that_waits_leaves_the_choice_to_the_scheduler(api: MemoryApi) -> None:
    api.add(storage_class(delayed=True), volume(storageClassName="gold"), claim(storage_class="gold"))
    async with running_loops(api.client(), *LOOPS):
        await eventually(lambda: messages(api, "WaitForFirstConsumer"))
        pod = whole_pod("web", node="", phase="Pending")
        pod.spec.volumes = [core.Volume(name="d", persistentVolumeClaim=core.PersistentVolumeClaimVolumeSource(claimName="data"))]
        api.add(pod)
        await eventually(lambda: messages(api, "WaitForPodScheduled") == ["waiting for pod web to be scheduled"])
        await rest(api)
        writes = len(api.writes())
        api.add(volume("next", storageClassName="gold"))
        await api.clock.sleep(60.0)
        assert len(api.writes()) == writes, "free volumes are nothing new to a claim that waits"
        assert the_claim(api).spec.volumeName == ""
        body = {"spec": {"claimRef": {"kind": "PersistentVolumeClaim", "namespace": "default", "name": "data", "uid": "uid-data"}}}
        await api.client().patch(core.PersistentVolume, "v", body=body)
        await eventually(lambda: is_bound(api))


async def test_provisioners_are_asked_and_their_volume_is_bound(api: MemoryApi) -> None:
    seconds = SECONDS.labels("disk.example.com", "provision")
    observed = sum(seconds.counts)
    api.add(storage_class(delayed=True), claim(storage_class="gold"))
    async with running_loops(api.client(), *LOOPS):
        await api.clock.sleep(10.0)
        await api.client().patch(core.PersistentVolumeClaim, "data", "default", body={"metadata": {"annotations": {SELECTED_NODE: "n1"}}})
        await eventually(lambda: messages(api, "ExternalProvisioning"))
        annotations = the_claim(api).metadata.annotations
        assert annotations[STORAGE_PROVISIONER] == annotations[STORAGE_PROVISIONER_BETA] == "disk.example.com"
        made = volume("pvc-1", claim=reserved(uid="uid-data"), phase="", policy="Delete", csi=True, storageClassName="gold")
        made.metadata.annotations = {PROVISIONED_BY: "disk.example.com"}
        api.add(made)
        await eventually(lambda: is_bound(api, to="pvc-1"))
        await rest(api)
    assert sum(seconds.counts) == observed + 1


async def test_a_class_that_comes_later_starts_provisioning(api: MemoryApi) -> None:
    api.add(claim(storage_class="gold"))
    async with running_loops(api.client(), *LOOPS):
        await eventually(lambda: messages(api, "ProvisioningFailed") == ['storageclass.storage.k8s.io "gold" not found'])
        await rest(api)
        api.add(storage_class())
        await eventually(lambda: STORAGE_PROVISIONER in the_claim(api).metadata.annotations, timeout=10.0)


async def test_the_newest_default_class_goes_to_claims_without_one(api: MemoryApi) -> None:
    assigned, failed = ASSIGNMENTS.labels().value, ASSIGNMENT_ERRORS.labels().value
    api.add(claim(storage_class=None), claim("none", uid="uid-none"), storage_class("older"))
    async with running_loops(api.client(), *LOOPS):
        await api.clock.sleep(10.0)
        api.add(storage_class("newer", default=True))
        api.faults.fail("update persistentvolumeclaims", ServiceUnavailable("away"))
        await eventually(lambda: the_claim(api).spec.storageClassName == "newer")
        body = {"metadata": {"annotations": {DEFAULT_STORAGE_CLASS: "true"}}}
        await api.client().patch(type(storage_class()), "older", body=body)
        await rest(api)
    assert the_claim(api).spec.storageClassName == "newer"
    assert the_claim(api, "none").spec.storageClassName == ""
    assert ASSIGNMENTS.labels().value - assigned >= 2
    assert ASSIGNMENT_ERRORS.labels().value - failed == 1


async def test_a_claim_that_cannot_be_saved_is_told(api: MemoryApi) -> None:
    errors = ERRORS.labels("disk.example.com", "provision")
    before = errors.value
    api.add(storage_class(), claim(storage_class="gold"))
    api.faults.fail("update persistentvolumeclaims", Forbidden("no"))
    async with running_loops(api.client(), *LOOPS):
        await eventually(lambda: STORAGE_PROVISIONER in the_claim(api).metadata.annotations)
    assert [one for one in messages(api, "ProvisioningFailed") if one.startswith("Error saving claim: ")]
    assert errors.value == before + 1


@pytest.mark.parametrize("policy", ["Retain", "Delete", "Recycle"])
async def test_volumes_are_released_when_their_claim_is_gone(api: MemoryApi, policy: str) -> None:
    api.add(volume(policy=policy), claim())
    async with running_loops(api.client(), *LOOPS):
        await eventually(lambda: is_bound(api))
        api.remove(core.PersistentVolumeClaim, "data", "default")
        final = "Released" if policy == "Retain" else "Failed"
        await eventually(lambda: the_volume(api).status.phase == final)
        await rest(api)
        assert the_volume(api).spec.claimRef is not None
        if policy != "Retain":
            (message,) = messages(api, f"VolumeFailed{policy}")
            assert the_volume(api).status.message == message


async def test_released_volumes_of_drivers_are_left_to_them(api: MemoryApi) -> None:
    seconds = SECONDS.labels("disk.example.com", "delete")
    observed = sum(seconds.counts)
    api.add(storage_class(), volume(policy="Delete", csi=True, storageClassName="gold"), claim(storage_class="gold"))
    async with running_loops(api.client(), *LOOPS):
        await eventually(lambda: is_bound(api))
        api.remove(core.PersistentVolumeClaim, "data", "default")
        await eventually(lambda: the_volume(api).status.phase == "Released")
        await rest(api)
        api.remove(core.PersistentVolume, "v")
        await eventually(lambda: sum(seconds.counts) == observed + 1)


async def test_a_new_claim_of_the_same_name_does_not_get_the_former_data(api: MemoryApi) -> None:
    api.add(volume(), claim())
    async with running_loops(api.client(), *LOOPS):
        await eventually(lambda: is_bound(api))
        with api.faults.hold_events("watch persistentvolumeclaims"):
            api.remove(core.PersistentVolumeClaim, "data", "default")
            api.add(claim(uid="uid-next"))
        await eventually(lambda: the_volume(api).status.phase == "Released")
        await rest(api)
        assert the_claim(api).status.phase == "Pending"
        await api.client().patch(core.PersistentVolume, "v", body={"spec": {"claimRef": None}})
        await eventually(lambda: is_bound(api))


async def test_a_volume_is_not_released_on_the_word_of_a_cache_that_is_behind(api: MemoryApi) -> None:
    """Its claim is new, or has the UID of the former one in the cache, and the volume is there already."""
    api.add(claim(uid="uid-former"))
    async with running_loops(api.client(), *LOOPS):
        await api.clock.sleep(10.0)
        with api.faults.hold_events("watch persistentvolumeclaims"):
            api.remove(core.PersistentVolumeClaim, "data", "default")
            api.add(claim(), claim("new", uid="uid-new"))
            mine, other = reserved(uid="uid-data"), reserved("new", uid="uid-new")
            annotations = {PROVISIONED_BY: "disk.example.com"}
            api.add(volume(claim=mine, phase="", policy="Delete", csi=True, annotations=annotations))
            api.add(volume("v2", claim=other, phase="", policy="Delete", csi=True, annotations=annotations))
            await api.clock.sleep(60.0)
        await eventually(lambda: is_bound(api) and is_bound(api, "new", "v2"))
    phases = {change.object.status.phase for change in api.changes(core.PersistentVolume, "")}
    assert "Released" not in phases


async def test_of_two_volumes_for_a_claim_one_is_let_go(api: MemoryApi) -> None:
    mine = reserved(uid="uid-data")
    api.add(volume("chosen", claim=mine, annotations={BOUND_BY_CONTROLLER: "yes"}), volume("reserved", "6Gi", claim=mine))
    api.add(volume("made", "7Gi", claim=mine, csi=True, policy="Delete", annotations={PROVISIONED_BY: "disk.example.com"}), claim())
    async with running_loops(api.client(), *LOOPS):
        await eventually(lambda: is_bound(api, to="chosen"))
        await eventually(lambda: the_volume(api, "reserved").spec.claimRef == reserved())
        await eventually(lambda: the_volume(api, "made").status.phase == "Released")
        await rest(api)
    assert the_volume(api, "reserved").status.phase == "Available"


async def test_a_claim_whose_volume_is_gone_is_lost_until_it_returns(api: MemoryApi) -> None:
    api.add(volume(), claim())
    async with running_loops(api.client(), *LOOPS):
        await eventually(lambda: is_bound(api))
        kept = the_volume(api)
        api.remove(core.PersistentVolume, "v")
        await eventually(lambda: the_claim(api).status.phase == "Lost")
        await rest(api)
        assert messages(api, "ClaimLost") == ["Bound claim has lost its PersistentVolume. Data on the volume is lost!"]
        assert the_claim(api).status.capacity == {}
        kept.metadata = ObjectMeta(name="v")
        api.add(kept)
        await eventually(lambda: is_bound(api))
    assert the_claim(api).status.capacity == {"storage": "5Gi"}


async def test_a_claim_is_not_lost_on_the_word_of_a_cache_that_is_behind(api: MemoryApi) -> None:
    async with running_loops(api.client(), *LOOPS):
        with api.faults.hold_events("watch persistentvolumes"):
            api.add(volume(claim=reserved(uid="uid-data"), phase="Bound"))
            api.add(claim(volume="v", phase="Bound", annotations={BIND_COMPLETED: "yes"}))
            await api.clock.sleep(60.0)
            assert the_claim(api).status.phase == "Bound"


async def test_a_claim_beside_another_one_is_misbound(api: MemoryApi) -> None:
    api.add(volume(claim=reserved("first", uid="uid-first"), phase="Bound"))
    api.add(claim("first", uid="uid-first", volume="v", phase="Bound", annotations={BIND_COMPLETED: "yes"}))
    api.add(claim(volume="v", phase="Bound", annotations={BIND_COMPLETED: "yes"}))
    async with running_loops(api.client(), *LOOPS):
        await eventually(lambda: the_claim(api).status.phase == "Lost")
        await rest(api)
    assert messages(api, "ClaimMisbound") == ["Two claims are bound to the same volume, this one is bound incorrectly"]
    assert is_bound(api, "first")


async def test_a_volume_that_came_unbound_is_bound_again(api: MemoryApi) -> None:
    api.add(volume(), claim())
    async with running_loops(api.client(), *LOOPS):
        await eventually(lambda: is_bound(api))
        await api.client().patch(core.PersistentVolume, "v", body={"spec": {"claimRef": None}})
        await eventually(lambda: is_bound(api))
        await rest(api)


async def test_a_race_for_a_volume_has_one_winner(api: MemoryApi) -> None:
    """Somebody binds the volume at the last moment."""
    api.add(volume("v"), volume("next", "6Gi"), claim())

    async def bind() -> None:
        taken = the_volume(api)
        taken.spec.claimRef = reserved("other", uid="uid-other")
        await api.client().update(taken)
        api.add(claim("other", uid="uid-other", volume="v"))

    api.faults.before("update persistentvolumes", bind)
    async with running_loops(api.client(), *LOOPS):
        await eventually(lambda: is_bound(api, to="next") and is_bound(api, "other"))
        await rest(api)


def owners(api: MemoryApi, name: str) -> set[str]:
    """Return the UIDs of all claims that a volume ever named."""
    states = [change.object for change in api.changes(core.PersistentVolume, "") if change.object.metadata.name == name]
    return {one.spec.claimRef.uid for one in states if one.spec.claimRef is not None}


async def test_a_crash_between_any_two_writes_binds_nothing_twice() -> None:
    def prepare(api: MemoryApi) -> None:
        api.add(volume("v1", phase=""), volume("v2", phase=""), claim("c1", uid="u1"), claim("c2", uid="u2"))

    def check(api: MemoryApi) -> bool:
        claims = api.list(core.PersistentVolumeClaim)
        names = {one.spec.volumeName for one in claims}
        bound = "" not in names and len(names) == 2 and all(is_bound(api, one.metadata.name, one.spec.volumeName) for one in claims)
        return bound and all(len(owners(api, name)) == 1 for name in ("v1", "v2"))

    assert await crash_between_writes(prepare=prepare, run=lambda client: run_loops(client, *LOOPS), check=check) >= 8


async def test_volumes_and_claims_are_counted(api: MemoryApi) -> None:
    api.add(volume(), claim(), volume("free", storageClassName="gold", csi=True), claim("waiting", size="1Ti", uid="uid-waiting"))
    async with running_loops(api.client(), *LOOPS):
        await eventually(lambda: is_bound(api))
        await rest(api)
        lines = set(REGISTRY.lines())
    assert {
        'pv_collector_total_pv_count{plugin_name="kubernetes.io/host-path",volume_mode="Filesystem"} 1',
        'pv_collector_total_pv_count{plugin_name="kubernetes.io/csi:disk.example.com",volume_mode="Filesystem"} 1',
        'pv_collector_bound_pv_count{storage_class=""} 1',
        'pv_collector_unbound_pv_count{storage_class="gold"} 1',
        'pv_collector_bound_pvc_count{namespace="default",storage_class="",volume_attributes_class=""} 1',
        'pv_collector_unbound_pvc_count{namespace="default",storage_class="",volume_attributes_class=""} 1',
    } <= lines
