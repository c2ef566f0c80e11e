"""Claims of StatefulSets: created before their pods, owned as the retention policy says, never taken from others."""

from __future__ import annotations

import pytest

from tests.unit.controllers.make import ago
from tiphys.api.core import v1 as core
from tiphys.api.meta.v1 import ObjectMeta, OwnerReference
from tiphys.controllers.statefulset.claims import make_claims

from .make import NEW, births, deaths, member, pending, planned, stateful_set

RETENTIONS = [("Retain", "Retain"), ("Delete", "Retain"), ("Retain", "Delete"), ("Delete", "Delete")]
SET = OwnerReference(apiVersion="apps/v1", kind="StatefulSet", name="web", uid="uid-web", controller=True, blockOwnerDeletion=True)
OTHER = OwnerReference(apiVersion="example.com/v1", kind="Database", name="db", uid="uid-db", controller=True)


def owned_by_pod(ordinal: int, uid: str = "") -> OwnerReference:
    name = f"web-{ordinal}"
    return OwnerReference(apiVersion="v1", kind="Pod", name=name, uid=uid or f"uid-{name}", controller=True, blockOwnerDeletion=True)


def claim(ordinal: int, *owners: OwnerReference, deleting: bool = False) -> core.PersistentVolumeClaim:
    meta = ObjectMeta(name=f"data-web-{ordinal}", namespace="default", ownerReferences=list(owners))
    meta.deletionTimestamp = ago(1) if deleting else None
    return core.PersistentVolumeClaim(metadata=meta)


def claims(*found: core.PersistentVolumeClaim) -> dict[str, core.PersistentVolumeClaim]:
    return {one.metadata.name: one for one in found}


def test_claims_have_names_labels_and_the_spec_of_their_template() -> None:
    owner = stateful_set(claims=("data", "log"))
    first, second = owner.spec.volumeClaimTemplates
    first.metadata.labels, first.metadata.annotations = {"tier": "db", "app": "other"}, {"note": "1"}
    first.spec.accessModes = ["ReadWriteOnce"]
    data, log = make_claims(owner, 7)
    assert (data.metadata.name, log.metadata.name) == ("data-web-7", "log-web-7")
    assert data.metadata.namespace == "default"
    assert data.metadata.labels == {"tier": "db", "app": "web"}
    assert data.metadata.annotations == {"note": "1"}
    assert data.spec.accessModes == ["ReadWriteOnce"]
    assert log.metadata.labels == {"app": "web"}
    assert data.metadata.ownerReferences == []
    assert second.metadata.labels == {}


def test_missing_claims_are_created_before_the_pod() -> None:
    owner = stateful_set(1, claims=("data", "log"))
    (birth,) = planned(owner).create
    assert [one.metadata.name for one in birth.claims] == ["data-web-0", "log-web-0"]
    (birth,) = planned(owner, claims=claims(claim(0))).create
    assert [one.metadata.name for one in birth.claims] == ["log-web-0"]


def test_claims_that_a_pending_pod_lacks_are_created() -> None:
    owner = stateful_set(1, claims=("data",))
    (missing,) = planned(owner, pending(0, claims=("data",))).claims
    assert (missing.pod, missing.claim.metadata.name) == ("web-0", "data-web-0")
    assert planned(owner, member(0, claims=("data",))).claims == []
    assert planned(owner, pending(0, deleting=True)).claims == []


@pytest.mark.parametrize("parallel", [False, True])
def test_a_pod_waits_while_its_claim_is_being_deleted(parallel: bool) -> None:
    owner = stateful_set(2, claims=("data",), parallel=parallel)
    step = planned(owner, claims=claims(claim(0, deleting=True)))
    assert births(step) == ([(1, NEW)] if parallel else [])
    assert step.waiting == {"web-0": "data-web-0"}


@pytest.mark.parametrize("retention", RETENTIONS)
def test_a_claim_of_a_former_pod_is_waited_for_only_when_it_goes_with_the_pod(retention: tuple[str, str]) -> None:
    owner = stateful_set(1, claims=("data",), retention=retention)
    step = planned(owner, claims=claims(claim(0, owned_by_pod(0, "uid-of-the-last"))))
    assert births(step) == ([] if retention[1] == "Delete" else [(0, NEW)])


@pytest.mark.parametrize("retention", RETENTIONS)
@pytest.mark.parametrize("before", [[], [SET], [owned_by_pod(0)], [SET, owned_by_pod(0)]])
@pytest.mark.parametrize("scaled_down", [False, True])
def test_claims_get_the_owner_of_the_policy(retention: tuple[str, str], before: list[OwnerReference], scaled_down: bool) -> None:
    expected = []
    if scaled_down and retention[1] == "Delete":
        expected = [owned_by_pod(0)]
    elif retention[0] == "Delete":
        expected = [SET]
    owner = stateful_set(0 if scaled_down else 1, claims=("data",), retention=retention)
    found = claim(0, *before)
    step = planned(owner, member(0, claims=("data",)), claims=claims(found))
    after = [one.claim.metadata.ownerReferences for one in step.owners]
    assert after == ([] if before == expected else [expected])
    assert found.metadata.ownerReferences == before
    # The pod that is scaled down goes in the same step, after its claim.
    assert deaths(step) == (["web-0"] if scaled_down else [])
    changed = claims(*(one.claim for one in step.owners)) or claims(found)
    assert planned(owner, member(0, claims=("data",)), claims=changed).owners == []


def test_a_new_claim_is_owned_from_the_start() -> None:
    for retention in RETENTIONS:
        (made,) = make_claims(stateful_set(claims=("data",), retention=retention), 0)
        assert made.metadata.ownerReferences == ([SET] if retention[0] == "Delete" else [])


def test_owners_that_do_not_control_are_kept() -> None:
    friend = OwnerReference(apiVersion="v1", kind="ConfigMap", name="friend", uid="uid-friend")
    owner = stateful_set(1, claims=("data",), retention=("Delete", "Retain"))
    (change,) = planned(owner, member(0, claims=("data",)), claims=claims(claim(0, friend))).owners
    assert change.claim.metadata.ownerReferences == [friend, SET]
    assert not change.contested


def test_an_owner_that_should_control_becomes_the_controller() -> None:
    weak = OwnerReference(apiVersion="apps/v1", kind="StatefulSet", name="web", uid="uid-web")
    owner = stateful_set(1, claims=("data",), retention=("Delete", "Retain"))
    (change,) = planned(owner, member(0, claims=("data",)), claims=claims(claim(0, weak))).owners
    assert change.claim.metadata.ownerReferences == [SET]


def test_a_claim_of_another_controller_is_left_to_it() -> None:
    owner = stateful_set(1, claims=("data",), retention=("Delete", "Retain"))
    pod = member(0, claims=("data",))
    assert planned(owner, pod, claims=claims(claim(0, OTHER))).owners == []
    weak = OwnerReference(apiVersion="apps/v1", kind="StatefulSet", name="web", uid="uid-web")
    (change,) = planned(owner, pod, claims=claims(claim(0, OTHER, weak))).owners
    assert (change.claim.metadata.ownerReferences, change.contested) == ([OTHER], True)


@pytest.mark.parametrize(
    "stale", [owned_by_pod(0, "uid-old"), OwnerReference(apiVersion="apps/v1", kind="StatefulSet", name="web", uid="x")]
)
def test_a_claim_of_a_former_owner_is_left_to_the_garbage_collector(stale: OwnerReference) -> None:
    owner = stateful_set(1, claims=("data",), retention=("Delete", "Delete"))
    assert planned(owner, member(0, claims=("data",)), claims=claims(claim(0, stale))).owners == []
