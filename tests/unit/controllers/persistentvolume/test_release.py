"""Next steps for volumes: phases, release, reclaim policies, finalizers; and the statuses that are written."""

from __future__ import annotations

import pytest

from tests.unit.controllers.persistentvolume.make import BY_CONTROLLER, claim, reserved, volume
from tiphys.api.core import v1 as core
from tiphys.api.well_known import (
    BOUND_BY_CONTROLLER,
    IN_TREE_FINALIZER,
    MIGRATED_TO,
    PRE_RESIZE_CAPACITY,
    PROVISIONED_BY,
    PROVISIONER_FINALIZER,
    STORAGE_PROVISIONER,
)
from tiphys.controllers.persistentvolume.plan import Remark
from tiphys.controllers.persistentvolume.release import Release, claim_with_driver, release, unbound, volume_with_driver
from tiphys.controllers.persistentvolume.status import with_volume, without_volume

MINE = reserved(uid="uid-data")
PROVISIONED = {PROVISIONED_BY: "disk.example.com"}


def test_phases_follow_the_claim() -> None:
    assert release(volume(phase="Pending"), None) == Release("Available")
    assert release(volume(claim=reserved()), None) == Release("Available")
    assert release(volume(claim=MINE), claim(volume="v")) == Release("Bound")
    assert release(volume(claim=MINE), claim()) == Release()


@pytest.mark.parametrize("annotations", [{}, BY_CONTROLLER])
@pytest.mark.parametrize("phase", ["Pending", "Available", "Bound"])
def test_a_volume_without_its_claim_is_released_first(phase: str, annotations: dict[str, str]) -> None:
    for policy in ("Retain", "Delete", "Recycle"):
        assert release(volume(claim=MINE, phase=phase, policy=policy, annotations=annotations), None) == Release("Released")


def test_failed_volumes_stay_failed() -> None:
    assert release(volume(claim=MINE, phase="Failed", policy="Recycle"), None) == Release()


@pytest.mark.parametrize("annotations", [PROVISIONED, {}, {PROVISIONED_BY: "kubernetes.io/host-path", MIGRATED_TO: "d"}])
def test_deletion_is_left_to_external_provisioners(annotations: dict[str, str]) -> None:
    assert release(volume(claim=MINE, phase="Released", policy="Delete", csi=True, annotations=annotations), None) == Release()


def test_volumes_that_nobody_can_delete_or_recycle_fail() -> None:
    assert release(volume(claim=MINE, phase="Released"), None) == Release()
    step = release(volume(claim=MINE, phase="Released", policy="Delete"), None)
    message = 'error getting deleter volume plugin for volume "v": no deletable volume plugin matched'
    assert step == Release("Failed", Remark("Warning", "VolumeFailedDelete", message))
    by_plugin = volume(claim=MINE, phase="Released", policy="Delete", annotations={PROVISIONED_BY: "kubernetes.io/host-path"})
    message = "no volume plugin matched name: kubernetes.io/host-path"
    assert release(by_plugin, None) == Release("Failed", Remark("Warning", "VolumeFailedDelete", message))
    step = release(volume(claim=MINE, phase="Released", policy="Recycle"), None)
    assert step.phase == "Failed"
    assert step.remark is not None
    assert step.remark.reason == "VolumeFailedRecycle"
    step = release(volume(claim=MINE, phase="Released", policy="Burn"), None)
    assert step.remark == Remark("Warning", "VolumeUnknownReclaimPolicy", "Volume has unrecognized PersistentVolumeReclaimPolicy")


def test_a_claim_with_another_volume_lets_this_one_go() -> None:
    elsewhere = claim(volume="other")
    assert release(volume(claim=MINE, annotations=BY_CONTROLLER), elsewhere) == Release("Available", unbind=True)
    assert release(volume(claim=MINE, annotations=PROVISIONED), elsewhere) == Release("Available", unbind=True)
    made_for_it = volume(claim=MINE, phase="Bound", policy="Delete", annotations=PROVISIONED)
    assert release(made_for_it, elsewhere) == Release("Released")


def test_different_volume_modes_are_told_to_both() -> None:
    step = release(volume(claim=MINE, mode="Block"), claim())
    assert step.remark == Remark(
        "Warning",
        "VolumeMismatch",
        'Cannot bind PersistentVolume to requested PersistentVolumeClaim "data" due to incompatible volumeMode.',
    )
    assert step.claim_remark == Remark(
        "Warning", "VolumeMismatch", 'Cannot bind PersistentVolume "v" to requested PersistentVolumeClaim due to incompatible volumeMode.'
    )
    assert step.phase == ""


def test_unbinding_keeps_reservations_of_people() -> None:
    chosen = unbound(volume(claim=MINE, annotations={**BY_CONTROLLER, "note": "a"}))
    assert chosen.spec.claimRef is None
    assert chosen.metadata.annotations == {"note": "a"}
    assert unbound(volume(claim=MINE)).spec.claimRef == reserved()


@pytest.mark.parametrize(
    ("provisioner", "policy", "kept"),
    [
        ("disk.example.com", "Delete", [IN_TREE_FINALIZER, PROVISIONER_FINALIZER]),
        ("kubernetes.io/host-path", "Delete", [IN_TREE_FINALIZER]),
        ("kubernetes.io/host-path", "Retain", []),
        ("kubernetes.io/gce-pd", "Delete", [PROVISIONER_FINALIZER]),
    ],
)
def test_finalizers_of_deleters_that_do_not_apply_go(provisioner: str, policy: str, kept: list[str]) -> None:
    both = volume(policy=policy, annotations={PROVISIONED_BY: provisioner}, finalizers=["a", IN_TREE_FINALIZER, PROVISIONER_FINALIZER])
    assert volume_with_driver(both).metadata.finalizers == ["a", *kept]


def test_drivers_that_took_over_are_named() -> None:
    former = volume_with_driver(volume(annotations={PROVISIONED_BY: "kubernetes.io/gce-pd"}))
    assert former.metadata.annotations[MIGRATED_TO] == "pd.csi.storage.gke.io"
    assert volume_with_driver(former) is former
    stale = volume(annotations={**PROVISIONED, MIGRATED_TO: "d"})
    assert MIGRATED_TO not in volume_with_driver(stale).metadata.annotations
    static = volume(annotations={MIGRATED_TO: "d"}, finalizers=[IN_TREE_FINALIZER])
    assert volume_with_driver(static) is static
    asking = claim(annotations={STORAGE_PROVISIONER: "kubernetes.io/cinder"})
    assert claim_with_driver(asking).metadata.annotations[MIGRATED_TO] == "cinder.csi.openstack.org"
    assert claim_with_driver(claim(annotations={STORAGE_PROVISIONER: "d"})).metadata.annotations == {STORAGE_PROVISIONER: "d"}


def test_the_status_of_a_claim_shows_its_volume() -> None:
    there = volume(size="10Gi", modes=["ReadWriteOnce", "ReadOnlyMany"], volumeAttributesClassName="fast", csi=True)
    status = with_volume(core.PersistentVolumeClaimStatus(phase="Pending"), there)
    assert (status.phase, status.capacity, status.accessModes) == ("Bound", {"storage": "10Gi"}, ["ReadWriteOnce", "ReadOnlyMany"])
    assert status.currentVolumeAttributesClassName == "fast"
    assert without_volume(status, "Lost") == core.PersistentVolumeClaimStatus(phase="Lost")


def test_a_bound_claim_keeps_the_size_of_its_file_system() -> None:
    status = with_volume(core.PersistentVolumeClaimStatus(phase="Pending"), volume())
    grown = with_volume(status, volume(size="10Gi", volumeAttributesClassName="fast", csi=True))
    assert grown == status
    again = with_volume(core.PersistentVolumeClaimStatus(phase="Lost"), volume(size="10Gi", annotations={PRE_RESIZE_CAPACITY: "5Gi"}))
    assert again.capacity == {"storage": "5Gi"}
    wrong = with_volume(core.PersistentVolumeClaimStatus(phase="Lost"), volume(size="10Gi", annotations={PRE_RESIZE_CAPACITY: "big"}))
    assert wrong.capacity == {"storage": "10Gi"}


def test_the_mark_of_the_controller_is_not_made_for_reservations() -> None:
    assert BOUND_BY_CONTROLLER not in unbound(volume(claim=MINE)).metadata.annotations
