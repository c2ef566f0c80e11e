"""Next steps for claims: binding, waiting, provisioning, default class, loss."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.controllers.persistentvolume.make import BY_CONTROLLER, COMPLETE, claim, reserved, storage_class, volume
from tiphys.api.meta.v1 import LabelSelector
from tiphys.api.well_known import SELECTED_NODE
from tiphys.controllers.persistentvolume.plan import LOST, PENDING, Remark, Sight, Step, plan

GOLD = storage_class()


def test_binds_the_smallest_volume_that_suits() -> None:
    small, large = volume("small", "6Gi"), volume("large", "60Gi")
    assert plan(claim(), Sight(volumes=[large, small])) == Step(bind=small)
    assert plan(claim(), Sight(volumes=[large, small], promised={"small"})) == Step(bind=large)


def test_a_claim_without_volume_and_class_waits() -> None:
    message = "no persistent volumes available for this claim and no storage class is set"
    assert plan(claim(), Sight(volumes=[volume(size="1Gi")])) == Step(phase=PENDING, remark=Remark("Normal", "FailedBinding", message))


def test_classes_that_wait_bind_only_what_the_scheduler_chose() -> None:
    wait = storage_class(delayed=True)
    waiting = claim(storage_class="gold")
    free = volume(storageClassName="gold")
    step = plan(waiting, Sight(volumes=[free], storage_class=wait))
    message = "waiting for first consumer to be created before binding"
    assert step == Step(phase=PENDING, remark=Remark("Normal", "WaitForFirstConsumer", message))
    chosen = volume(storageClassName="gold", claim=reserved(uid="uid-data"), annotations=BY_CONTROLLER)
    assert plan(waiting, Sight(volumes=[free, chosen], storage_class=wait)) == Step(bind=chosen)


@pytest.mark.parametrize(
    ("pods", "message"),
    [(["a"], "waiting for pod a to be scheduled"), (["a", "b"], "waiting for pods a,b to be scheduled")],
)
def test_classes_that_wait_name_the_pods(pods: list[str], message: str) -> None:
    step = plan(claim(storage_class="gold"), Sight(storage_class=storage_class(delayed=True), waiting=pods))
    assert step.remark == Remark("Normal", "WaitForPodScheduled", message)


def test_the_selected_node_starts_provisioning() -> None:
    selected = claim(storage_class="gold", annotations={SELECTED_NODE: "n1"})
    assert plan(selected, Sight(storage_class=storage_class(delayed=True))).provisioner == "disk.example.com"


def test_external_provisioners_are_asked() -> None:
    step = plan(claim(storage_class="gold"), Sight(storage_class=GOLD))
    assert step.provisioner == "disk.example.com"
    assert step.remark == Remark(
        "Normal",
        "ExternalProvisioning",
        "Waiting for a volume to be created either by the external provisioner 'disk.example.com' or manually by the system "
        "administrator. If volume creation is delayed, please verify that the provisioner is running and correctly registered.",
    )
    assert plan(claim(storage_class="gold"), Sight(storage_class=storage_class(provisioner="kubernetes.io/aws-ebs"))).provisioner == (
        "ebs.csi.aws.com"
    )


@pytest.mark.parametrize(
    ("present", "message"),
    [
        (None, 'storageclass.storage.k8s.io "gold" not found'),
        (storage_class(provisioner="kubernetes.io/no-provisioner"), "no volume plugin matched name: kubernetes.io/no-provisioner"),
    ],
)
def test_provisioning_fails_without_a_provisioner(present: Any, message: str) -> None:
    step = plan(claim(storage_class="gold"), Sight(storage_class=present))
    assert step == Step(remark=Remark("Warning", "ProvisioningFailed", message))


def test_a_claim_that_names_no_class_gets_the_default_one_if_no_volume_suits() -> None:
    sight = Sight(default_class=storage_class(default=True))
    assert plan(claim(storage_class=None), sight) == Step(default_class="gold")
    assert plan(claim(storage_class=""), sight).default_class == ""
    free = volume()
    assert plan(claim(storage_class=None), Sight(volumes=[free], default_class=GOLD)) == Step(bind=free)


def test_a_claim_that_is_being_deleted_gets_nothing() -> None:
    sight = Sight(volumes=[volume()], requested=volume(), default_class=GOLD)
    assert plan(claim(deleting=True, storage_class=None), sight) == Step()
    assert plan(claim(deleting=True, volume="v"), sight) == Step()


def test_a_requested_volume_is_taken_when_it_suits() -> None:
    asking = claim(volume="v")
    assert plan(asking, Sight()) == Step(phase=PENDING)
    for there in (volume(), volume(claim=reserved()), volume(claim=reserved(uid="uid-data"))):
        assert plan(asking, Sight(requested=there)) == Step(bind=there)
    selecting = claim(volume="v", selector=LabelSelector(matchLabels={"a": "b"}))
    assert plan(selecting, Sight(requested=volume())).bind is not None


@pytest.mark.parametrize("annotations", [{}, BY_CONTROLLER])
@pytest.mark.parametrize("other", [reserved("other"), reserved(uid="uid-former")])
def test_a_requested_volume_of_another_claim_is_not_taken(annotations: dict[str, str], other: Any) -> None:
    step = plan(claim(volume="v", annotations=annotations), Sight(requested=volume(claim=other)))
    assert step == Step(phase=PENDING, remark=Remark("Warning", "FailedBinding", 'volume "v" already bound to a different claim.'))


@pytest.mark.parametrize(
    ("there", "why"),
    [
        (volume(deleting=True), 'the volume is marked for deletion "v"'),
        (volume(size="1Gi"), "requested PV is too small"),
        (volume(storageClassName="gold"), "storageClassName does not match"),
        (volume(volumeAttributesClassName="fast", csi=True), "volumeAttributesClassName does not match"),
        (volume(mode="Block"), "incompatible volumeMode"),
        (volume(modes=["ReadOnlyMany"]), "incompatible accessMode"),
    ],
)
def test_a_requested_volume_that_does_not_suit_is_told(there: Any, why: str) -> None:
    step = plan(claim(volume="v"), Sight(requested=there))
    assert step == Step(phase=PENDING, remark=Remark("Warning", "VolumeMismatch", f'Cannot bind to requested volume "v": {why}'))


def test_a_bound_claim_keeps_its_volume() -> None:
    complete = claim(volume="v", annotations=COMPLETE, phase="Bound")
    for there in (volume(), volume(claim=reserved(uid="uid-data")), volume(claim=reserved()), volume(size="1Gi", mode="Block")):
        assert plan(complete, Sight(requested=there)) == Step(bind=there)


def test_a_bound_claim_can_be_lost() -> None:
    complete = claim(volume="v", annotations=COMPLETE, phase="Bound")
    step = plan(complete, Sight())
    assert (step.phase, step.remark) == (
        LOST,
        Remark("Warning", "ClaimLost", "Bound claim has lost its PersistentVolume. Data on the volume is lost!"),
    )
    step = plan(claim(annotations=COMPLETE), Sight())
    assert step.remark == Remark("Warning", "ClaimLost", "Bound claim has lost reference to PersistentVolume. Data on the volume is lost!")
    for other in (reserved("other"), reserved(uid="uid-former")):
        step = plan(complete, Sight(requested=volume(claim=other)))
        assert step.phase == LOST
        assert step.remark is not None
        assert step.remark.reason == "ClaimMisbound"
