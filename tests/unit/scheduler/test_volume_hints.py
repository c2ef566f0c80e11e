"""Changes of storage, and the parked pods that they wake: those that they may help, and no others."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.unit.scheduler.make import node, pod
from tests.unit.scheduler.storage import DRIVER, claim, pod_with, storage_class, tie, volume
from tests.unit.scheduler.test_twin import Both
from tiphys.api.core import v1 as core
from tiphys.api.meta import v1 as meta
from tiphys.api.storage import v1 as storage
from tiphys.runtime import copied
from tiphys.scheduler import hints
from tiphys.scheduler.explain import Diagnosis
from tiphys.scheduler.hints import Hint
from tiphys.scheduler.queue import Waiting
from tiphys.scheduler.slim import slim_pod

Change = Callable[[Both], Hint | None]


def csi_node(count: int | None) -> storage.CSINode:
    allocatable = storage.VolumeNodeResources(count=count) if count is not None else None
    return storage.CSINode(
        metadata=meta.ObjectMeta(name="n1"),
        spec=storage.CSINodeSpec(drivers=[storage.CSINodeDriver(name=DRIVER, nodeID="n1", allocatable=allocatable)]),
    )


def attachment(name: str) -> storage.VolumeAttachment:
    source = storage.VolumeAttachmentSource(persistentVolumeName=name)
    return storage.VolumeAttachment(
        metadata=meta.ObjectMeta(name=f"attach-{name}"),
        spec=storage.VolumeAttachmentSpec(attacher=DRIVER, nodeName="n1", source=source),
    )


def driver(capacity: bool) -> storage.CSIDriver:
    return storage.CSIDriver(metadata=meta.ObjectMeta(name=DRIVER), spec=storage.CSIDriverSpec(storageCapacity=capacity))


def capacity(size: str, class_name: str = "delayed") -> storage.CSIStorageCapacity:
    return storage.CSIStorageCapacity(
        metadata=meta.ObjectMeta(name="here", namespace="default"),
        storageClassName=class_name,
        nodeTopology=meta.LabelSelector(),
        capacity=size,  # type: ignore[arg-type]
    )


def allowed(zone: str) -> storage.StorageClass:
    result = storage_class()
    term = core.TopologySelectorLabelRequirement(key="topology.kubernetes.io/zone", values=[zone])
    result.allowedTopologies = [core.TopologySelectorTerm(matchLabelExpressions=[term])]
    return result


def placed(both: Both, made: core.Pod) -> None:
    made.metadata.uid = made.metadata.name
    both.put_pod(made, "n1")


def parked(both: Both, made: core.Pod) -> Waiting:
    made.metadata.uid = made.metadata.name
    info = both.reader.info(slim_pod(made))
    decision = both.cycle.place(info)
    assert isinstance(decision, Diagnosis), decision
    return Waiting(info, 0.0, 0, rules=decision.rules)


def manual(both: Both) -> None:
    """The claim needs a volume that somebody makes."""
    both.put_class(storage_class(provisioner="kubernetes.io/no-provisioner"))
    both.put_claim(claim("data"))


def without_class(both: Both) -> None:
    both.put_claim(claim("data"))


def elsewhere(both: Both) -> None:
    both.put_class(allowed("west"))
    both.put_claim(claim("data"))


def far(both: Both) -> None:
    for one in tie(claim("data"), volume("v", on="n2")):
        both.put_claim(one) if isinstance(one, core.PersistentVolumeClaim) else both.put_volume(one)


def short(both: Both) -> None:
    both.put_class(storage_class())
    both.put_driver(driver(capacity=True))
    both.put_claim(claim("data", size="2Gi"))
    both.put_capacity(capacity("1Gi"))


def crowded(both: Both) -> None:
    """One volume is attached for a pod, another for none, and there can be two."""
    both.put_csi_node(csi_node(2))
    for name in ("data", "other", "old"):
        bound, its_volume = tie(claim(name), volume(f"v-{name}"))
        both.put_claim(bound)
        both.put_volume(its_volume)
    placed(both, pod_with("other", "other"))
    both.put_attachment(attachment("v-old"))


def in_use(both: Both) -> None:
    bound, its_volume = tie(claim("data", mode="ReadWriteOncePod"), volume("v", mode="ReadWriteOncePod"))
    both.put_claim(bound)
    both.put_volume(its_volume)
    placed(both, pod_with("user", "data"))
    placed(both, pod("bystander"))


def gone(name: str) -> Change:
    def change(both: Both) -> Hint | None:
        info = both.cluster.drop_pod(name)
        assert info is not None
        return hints.pod_removed(info)

    return change


def moved(both: Both) -> Hint | None:
    _, there = tie(claim("data"), volume("v", on="n1"))
    return both.put_volume(there)


def taken(both: Both) -> Hint | None:
    """Another claim gets a new volume."""
    return both.put_volume(tie(claim("x"), volume("new"))[1])


def labeled(both: Both) -> Hint | None:
    changed = copied(both.world.classes["delayed"])
    changed.metadata.labels = {"a": "b"}
    return both.put_class(changed)


@pytest.mark.parametrize(
    ("state", "change", "helps"),
    [
        (manual, lambda both: both.put_volume(volume("new")), True),
        (manual, lambda both: both.put_volume(volume("new", class_name="other")), False),
        (manual, taken, False),
        (manual, lambda both: both.put_claim(claim("x")), False),
        (without_class, lambda both: both.put_class(storage_class()), True),
        (without_class, lambda both: both.put_class(storage_class("other")), False),
        (without_class, lambda both: both.put_claim(claim("data", class_name="other")), True),
        (elsewhere, lambda both: both.put_class(allowed("east")), True),
        (elsewhere, labeled, False),
        (far, moved, True),
        (far, lambda both: both.put_volume(volume("new")), False),
        (far, lambda both: both.put_csi_node(csi_node(3)), False),
        (short, lambda both: both.put_capacity(capacity("5Gi")), True),
        (short, lambda both: both.put_capacity(capacity("0")), False),
        (short, lambda both: both.put_capacity(capacity("5Gi", "other")), False),
        (short, lambda both: both.put_driver(driver(capacity=False)), True),
        (short, lambda both: both.drop_driver(DRIVER), True),
        (crowded, lambda both: both.put_csi_node(csi_node(3)), True),
        (crowded, lambda both: both.put_csi_node(csi_node(None)), True),
        (crowded, lambda both: both.put_csi_node(csi_node(1)), False),
        (crowded, lambda both: both.drop_attachment("attach-v-old"), True),
        (crowded, lambda both: both.put_attachment(attachment("v-more")), False),
        (crowded, gone("other"), True),
        (in_use, gone("user"), True),
        (in_use, gone("bystander"), False),
    ],
)
def test_changes(state: Callable[[Both], None], change: Change, helps: bool) -> None:
    both = Both()
    both.put_node(node("n1", labels={"topology.kubernetes.io/zone": "east"}))
    state(both)
    waiting = parked(both, pod_with("p", "data"))
    hint = change(both)
    assert (hint is not None and hint(waiting)) is helps
    if not helps:
        assert isinstance(both.cycle.place(waiting.info), Diagnosis)


@pytest.mark.parametrize("state", [without_class, far])
def test_nodes_help_pods_whose_claims_can_be_used_there(state: Callable[[Both], None]) -> None:
    both = Both()
    both.put_node(node("n1"))
    state(both)
    waiting = parked(both, pod_with("p", "data"))

    def helps(name: str) -> bool:
        before = both.cluster.put_node(node(name))
        facts = both.cluster.facts(name)
        assert facts is not None
        hint = hints.node_changed(before, facts, both.cluster)
        return hint is not None and hint(waiting)

    assert helps("n2") is (state is far)
    assert not helps("n3")


def test_a_claim_that_comes_back_helps_whatever_the_last_try_failed_for() -> None:
    both = Both()
    both.put_node(node("n1", cpu="1"))
    both.put_class(storage_class())
    both.put_claim(claim("data"))
    both.world.claims["one", "data"] = both.world.claims.pop(("default", "data"))
    waiting = parked(both, pod_with("p", "data", cpu="2"))
    assert waiting.rules == {"NodeResourcesFit"}
    both.drop_claim("data")
    before = both.cluster.put_node(node("n1", cpu="4"))
    facts = both.cluster.facts("n1")
    assert facts is not None
    hint = hints.node_changed(before, facts, both.cluster)
    assert hint is not None
    assert not hint(waiting)
    hint = both.put_claim(claim("data"))
    assert hint is not None
    assert hint(waiting)


def test_a_volume_counts_once_on_a_node() -> None:
    both = Both()
    both.put_node(node("n1"))
    crowded(both)
    # The volume is attached already, for a pod or still from the last one: it needs no more room.
    for name in ("other", "old"):
        made = pod_with(f"again-{name}", name)
        made.metadata.uid = made.metadata.name
        assert both.cycle.place(both.reader.info(slim_pod(made))) == "n1"
    said = parked(both, pod_with("p", "data"))
    assert both.cycle.explain(said.info).message == "0/1 nodes are available: 1 node(s) exceed max volume count."
