"""The status of a StatefulSet, and its pods as they are made."""

from __future__ import annotations

from tests.unit.controllers.make import NOW
from tiphys.api.apps import v1 as apps
from tiphys.api.core import v1 as core
from tiphys.controllers.shared.slim import SlimPod
from tiphys.controllers.statefulset.identity import make_pod
from tiphys.controllers.statefulset.status import status

from .make import BAD, NEW, OLD, member, pending, stateful_set


def counts(owner: apps.StatefulSet, *pods: SlimPod) -> apps.StatefulSetStatus:
    return status(owner, OLD, NEW, 0, pods, NOW)


def test_counts() -> None:
    owner = stateful_set(6, minReadySeconds=30)
    pods = [
        member(0, OLD, since=60),
        member(1, OLD, since=10),
        member(2, OLD, ready=False),
        pending(3),
        member(4, since=60, deleting=True),
        member(5, BAD, since=60),
        member(9, phase="Failed", ready=False),
    ]
    found = counts(owner, *pods)
    assert (found.replicas, found.readyReplicas, found.availableReplicas) == (7, 4, 3)
    assert (found.currentReplicas, found.updatedReplicas) == (3, 2)
    assert (found.currentRevision, found.updateRevision, found.collisionCount, found.observedGeneration) == (OLD, NEW, 0, 1)


def test_the_update_revision_becomes_current_when_all_pods_have_it_and_are_ready() -> None:
    owner = stateful_set(2)
    done = counts(owner, member(0), member(1))
    assert (done.currentRevision, done.currentReplicas, done.updatedReplicas) == (NEW, 2, 2)
    for pods in (
        [member(0), member(1, ready=False)],
        [member(0), member(1, OLD)],
        [member(0)],
        [member(0), member(1), member(2)],
        [member(0), member(1, deleting=True)],
    ):
        assert counts(owner, *pods).currentRevision == OLD
    assert counts(stateful_set(2, strategy="OnDelete"), member(0), member(1)).currentRevision == OLD


def test_conditions_of_others_are_kept() -> None:
    owner = stateful_set(0)
    owner.status.conditions = [apps.StatefulSetCondition(type="Backed", status="True")]
    assert counts(owner).conditions == owner.status.conditions


def test_pods_have_their_identity_and_their_volumes() -> None:
    owner = stateful_set(3, claims=("data",))
    template = owner.spec.template
    template.metadata.annotations, template.metadata.finalizers = {"note": "1"}, ["example.com/slow"]
    template.spec.volumes = [core.Volume(name="data", emptyDir=core.EmptyDirVolumeSource()), core.Volume(name="tmp")]
    made = make_pod(owner, template, 7, "web-abc")
    meta = made.metadata
    assert (meta.name, meta.namespace, meta.annotations, meta.finalizers) == ("web-7", "default", {"note": "1"}, ["example.com/slow"])
    assert meta.labels == {
        "app": "web",
        "statefulset.kubernetes.io/pod-name": "web-7",
        "apps.kubernetes.io/pod-index": "7",
        "controller-revision-hash": "web-abc",
    }
    (owned,) = meta.ownerReferences
    assert (owned.kind, owned.name, owned.uid, owned.controller, owned.blockOwnerDeletion) == ("StatefulSet", "web", "uid-web", True, True)
    assert (made.spec.hostname, made.spec.subdomain) == ("web-7", "web")
    data, tmp = made.spec.volumes
    assert data.persistentVolumeClaim == core.PersistentVolumeClaimVolumeSource(claimName="data-web-7")
    assert (data.emptyDir, tmp.name) == (None, "tmp")
    # The template is as it was.
    assert template.spec.hostname == ""
    assert template.spec.volumes[0].persistentVolumeClaim is None
    assert template.metadata.labels == {"app": "web"}
