"""Reservations that end, and what follows for the claim."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.controllers.resourceclaim.make import claim, consumer
from tiphys.api.meta.v1 import OwnerReference
from tiphys.api.resource.v1 import ResourceClaim, ResourceClaimStatus
from tiphys.controllers.resourceclaim.release import FINALIZER, is_pod, owning_pod, release

POD_GROUP = consumer("group", resource="podgroups", group="scheduling.k8s.io")


def test_only_pods_are_looked_at() -> None:
    others = [POD_GROUP, consumer("web", group="example.com"), consumer("web", resource="things")]
    assert is_pod(consumer("web"))
    assert not any(is_pod(other) for other in others)
    one = claim(allocated=True, reserved_for=[POD_GROUP])
    assert release(one, {POD_GROUP.uid}, owner_ended=False).status == one.status


def test_those_that_ended_leave_the_others() -> None:
    one = claim(allocated=True, protected=True, reserved_for=[consumer("a"), consumer("b"), POD_GROUP])
    step = release(one, {"uid-a"}, owner_ended=True)
    assert step.status.reservedFor == [consumer("b"), POD_GROUP]
    assert (step.status.allocation, step.unprotect, step.discard) == (one.status.allocation, False, False)
    assert len(one.status.reservedFor) == 3


def test_the_last_one_takes_the_allocation_with_it() -> None:
    one = claim(allocated=True, protected=True, reserved_for=[consumer("a")])
    step = release(one, {"uid-a"}, owner_ended=False)
    assert (step.status.reservedFor, step.status.allocation, step.unprotect, step.discard) == ([], None, True, False)


def test_a_claim_that_another_allocated_stays_allocated() -> None:
    """One without the scheduler's finalizer was not allocated by the scheduler."""
    one = claim(allocated=True, reserved_for=[consumer("a")])
    step = release(one, {"uid-a"}, owner_ended=False)
    assert step.status == ResourceClaimStatus(allocation=one.status.allocation)
    assert not step.unprotect


@pytest.mark.parametrize("allocated", [False, True])
def test_a_claim_without_users_is_left_alone(allocated: bool) -> None:
    """The scheduler may be about to allocate it, or to enter the user."""
    one = claim(allocated=allocated, protected=True)
    assert release(one, (), owner_ended=False) == (one.status, False, False)


@pytest.mark.parametrize("allocated", [False, True])
def test_a_claim_that_is_being_deleted_goes_when_nobody_uses_it(allocated: bool) -> None:
    one = claim(allocated=allocated, protected=True, deleting=True)
    assert release(one, (), owner_ended=True) == (ResourceClaimStatus(), True, False)
    used = claim(allocated=True, protected=True, deleting=True, reserved_for=[consumer("a")])
    assert release(used, (), owner_ended=True) == (used.status, False, False)
    held = claim(allocated=allocated, deleting=True)
    assert release(held, (), owner_ended=True) == (held.status, False, False)


def test_a_claim_made_for_a_pod_that_ended_is_deleted() -> None:
    assert release(claim(owner="web"), (), owner_ended=True).discard
    assert not release(claim(owner="web"), (), owner_ended=False).discard
    step = release(claim(owner="web", allocated=True, protected=True, reserved_for=[consumer("web")]), {"uid-web"}, owner_ended=True)
    assert (step.status, step.unprotect, step.discard) == (ResourceClaimStatus(), True, True)


def test_the_pod_that_a_claim_was_made_for() -> None:
    owner = owning_pod(claim(owner="web"))
    assert owner is not None
    assert owner.name == "web"
    assert owning_pod(claim()) is None
    for wrong in ({"apiVersion": "scheduling.k8s.io/v1alpha2"}, {"kind": "PodGroup"}, {"controller": False}):
        one = claim(owner="web")
        one.metadata.ownerReferences = [msgspec.structs.replace(one.metadata.ownerReferences[0], **wrong)]
        assert owning_pod(one) is None
    two = claim(owner="web")
    two.metadata.ownerReferences = [OwnerReference(apiVersion="v1", kind="Node", name="n"), *two.metadata.ownerReferences]
    assert owning_pod(two) is not None


USERS = ("a", "b", "c")


@st.composite
def claims(draw: st.DrawFn) -> ResourceClaim:
    allocated = draw(st.booleans())
    users = draw(st.sets(st.sampled_from(USERS))) if allocated else ()
    return claim(
        owner=draw(st.sampled_from(("", "a"))),
        allocated=allocated,
        reserved_for=[*map(consumer, sorted(users)), *([POD_GROUP] if allocated and draw(st.booleans()) else [])],
        protected=draw(st.booleans()),
        deleting=draw(st.booleans()),
    )


ENDED = st.sets(st.sampled_from([f"uid-{name}" for name in USERS]))


@given(claims(), ENDED, st.booleans())
def test_a_step_leaves_nothing_to_do(one: ResourceClaim, ended: set[str], owner_ended: bool) -> None:
    step = release(one, ended, owner_ended=owner_ended)
    finalizers = [] if step.unprotect else one.metadata.finalizers
    meta = msgspec.structs.replace(one.metadata, finalizers=finalizers)
    after = msgspec.structs.replace(one, metadata=meta, status=step.status)
    again = release(after, ended, owner_ended=owner_ended)
    assert (again.status, again.unprotect, again.discard) == (after.status, False, step.discard)


@given(claims(), ENDED, st.booleans())
def test_users_keep_what_they_use(one: ResourceClaim, ended: set[str], owner_ended: bool) -> None:
    step = release(one, ended, owner_ended=owner_ended)
    users = [user for user in one.status.reservedFor if user.uid not in ended]
    assert step.status.reservedFor == users
    assert step.status.devices == one.status.devices
    if users:
        assert (step.status.allocation, step.unprotect, step.discard) == (one.status.allocation, False, False)
    if step.unprotect:
        assert FINALIZER in one.metadata.finalizers
        assert step.status.allocation is None
    assert not step.discard or (owner_ended and one.metadata.deletionTimestamp is None)
