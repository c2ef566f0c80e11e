"""Users of claims and classes of attributes, and their finalizers."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tests.unit.controllers.make import slim_pod
from tiphys.api.core import v1 as core
from tiphys.api.meta.v1 import ObjectMeta, OwnerReference
from tiphys.controllers.protection.plan import classes_of, finalizers_after, is_leaving, uses_claim
from tiphys.controllers.shared.slim import SlimPod
from tiphys.controllers.shared.volumes import claims_of

NOW = datetime(2026, 1, 1, tzinfo=UTC)
F = "kubernetes.io/pvc-protection"


@pytest.mark.parametrize(
    ("leaving", "finalizers", "used", "after"),
    [
        (False, [], False, [F]),
        (False, ["a"], True, ["a", F]),
        (False, [F], False, None),
        (True, [F, "a"], False, ["a"]),
        (True, [F], True, None),
        (True, ["a"], False, None),
    ],
)
def test_the_finalizer_is_there_until_nothing_uses_what_goes(leaving: bool, finalizers: list[str], used: bool, after: list[str]) -> None:
    meta = ObjectMeta(finalizers=finalizers, deletionTimestamp=NOW if leaving else None)
    assert finalizers_after(meta, F, used=used) == after
    assert is_leaving(meta, F) == (leaving and F in finalizers)


def pod(*, node: str = "n", ephemeral: bool = False, grace: int | None = None, uid: str = "u") -> SlimPod:
    claim = core.PersistentVolumeClaimVolumeSource(claimName="data")
    volume = (
        core.Volume(name="v", ephemeral=core.EphemeralVolumeSource()) if ephemeral else core.Volume(name="v", persistentVolumeClaim=claim)
    )
    meta = ObjectMeta(name="p", namespace="d", uid=uid)
    if grace is not None:
        meta.deletionTimestamp, meta.deletionGracePeriodSeconds = NOW, grace
    volumes = [volume, core.Volume(name="e", emptyDir=core.EmptyDirVolumeSource())]
    return slim_pod(core.Pod(metadata=meta, spec=core.PodSpec(nodeName=node, volumes=volumes)))


def claim(name: str = "data", *, namespace: str = "d", owner: str = "") -> core.PersistentVolumeClaim:
    owners = [OwnerReference(apiVersion="v1", kind="Pod", name="p", uid=owner, controller=True)] if owner else []
    return core.PersistentVolumeClaim(metadata=ObjectMeta(name=name, namespace=namespace, ownerReferences=owners))


def test_users_of_claims() -> None:
    assert claims_of(pod()) == ["data"]
    assert claims_of(pod(ephemeral=True)) == ["p-v"]
    assert uses_claim(pod(), claim())
    assert uses_claim(pod(grace=0), claim())
    assert not uses_claim(pod(node=""), claim())
    assert not uses_claim(pod(), claim("other"))
    assert not uses_claim(pod(), claim(namespace="other"))


def test_claims_made_for_a_pod_go_with_it() -> None:
    assert uses_claim(pod(ephemeral=True), claim("p-v", owner="u"))
    assert uses_claim(pod(ephemeral=True, grace=5), claim("p-v", owner="u"))
    assert not uses_claim(pod(ephemeral=True, grace=0), claim("p-v", owner="u"))
    assert not uses_claim(pod(ephemeral=True), claim("p-v", owner="another"))
    assert not uses_claim(pod(ephemeral=True), claim("p-v"))


def test_classes_that_are_in_use() -> None:
    data = claim()
    assert list(classes_of(data)) == []
    data.spec.volumeAttributesClassName = "a"
    data.status.currentVolumeAttributesClassName = "b"
    data.status.modifyVolumeStatus = core.ModifyVolumeStatus(targetVolumeAttributesClassName="c", status="InProgress")
    assert sorted(classes_of(data)) == ["a", "b", "c"]
    assert list(classes_of(core.PersistentVolume(spec=core.PersistentVolumeSpec(volumeAttributesClassName="a")))) == ["a"]
