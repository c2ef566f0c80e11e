"""Choice of a volume for a claim, and how the two name each other."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiphys.api.core import v1 as core
from tiphys.api.helpers.volume_binding import (
    bind_volume,
    find_matching_volume,
    is_delayed,
    is_volume_bound_to_claim,
    matches_node,
    matching_volumes,
)
from tiphys.api.machinery.base import Quantity
from tiphys.api.machinery.selectors import SelectorError
from tiphys.api.meta.v1 import LabelSelector, LabelSelectorRequirement, ObjectMeta
from tiphys.api.storage.v1 import StorageClass
from tiphys.api.well_known import BOUND_BY_CONTROLLER, STORAGE_CLASS_BETA

ZONE = "topology.kubernetes.io/zone"


def claim(size: str = "5Gi", modes: tuple[str, ...] = ("ReadWriteOnce",), **spec: Any) -> core.PersistentVolumeClaim:
    requests = core.VolumeResourceRequirements(requests={"storage": Quantity(size)})
    return core.PersistentVolumeClaim(
        metadata=ObjectMeta(name="data", namespace="default", uid="u1", resourceVersion="7"),
        spec=core.PersistentVolumeClaimSpec(accessModes=list(modes), resources=requests, **spec),
    )


def volume(
    name: str, size: str = "5Gi", modes: tuple[str, ...] = ("ReadWriteOnce",), phase: str = "Available", **spec: Any
) -> core.PersistentVolume:
    return core.PersistentVolume(
        metadata=ObjectMeta(name=name),
        spec=core.PersistentVolumeSpec(capacity={"storage": Quantity(size)}, accessModes=list(modes), **spec),
        status=core.PersistentVolumeStatus(phase=phase),
    )


def reserved(name: str = "data", namespace: str = "default", uid: str = "") -> core.ObjectReference:
    return core.ObjectReference(kind="PersistentVolumeClaim", namespace=namespace, name=name, uid=uid)


def in_zones(*zones: str) -> core.VolumeNodeAffinity:
    requirement = core.NodeSelectorRequirement(key=ZONE, operator="In", values=list(zones))
    return core.VolumeNodeAffinity(required=core.NodeSelector(nodeSelectorTerms=[core.NodeSelectorTerm(matchExpressions=[requirement])]))


def choice(wanted: core.PersistentVolumeClaim, *volumes: core.PersistentVolume, **options: Any) -> str | None:
    found = find_matching_volume(wanted, volumes, **options)
    return found.metadata.name if found is not None else None


def test_takes_the_smallest_volume_that_is_large_enough() -> None:
    assert choice(claim("5Gi"), volume("c", "10Gi"), volume("b", "6Gi"), volume("a", "4Gi")) == "b"
    assert choice(claim("5Gi"), volume("b"), volume("a")) == "a"
    assert choice(claim("5Gi"), volume("a", "4Gi")) is None


def test_prefers_volumes_without_needless_access_modes() -> None:
    wide = volume("wide", "5Gi", ("ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany"))
    narrow = volume("narrow", "50Gi", ("ReadWriteOnce", "ReadOnlyMany"))
    assert choice(claim(), wide, narrow) == "narrow"
    assert choice(claim(modes=("ReadWriteMany",)), wide, narrow) == "wide"
    assert choice(claim(modes=("ReadWriteOncePod",)), wide, narrow) is None
    assert choice(claim(), wide, narrow, node_labels={}) == "wide"


def test_classes_must_be_equal_and_annotations_count_before_fields() -> None:
    gold = volume("gold", storageClassName="gold")
    assert choice(claim(storageClassName="gold"), volume("none"), gold) == "gold"
    assert choice(claim(), gold) is None
    assert choice(claim(storageClassName=""), volume("none"), gold) == "none"
    gold.metadata.annotations[STORAGE_CLASS_BETA] = "silver"
    assert choice(claim(storageClassName="silver"), gold) == "gold"


def test_selector_volume_mode_and_attributes_class_must_match() -> None:
    ssd = volume("ssd")
    ssd.metadata.labels["disk"] = "ssd"
    selector = LabelSelector(matchLabels={"disk": "ssd"})
    assert choice(claim(selector=selector), volume("hdd"), ssd) == "ssd"
    assert choice(claim(selector=LabelSelector(matchLabels={"disk": "nvme"})), ssd) is None
    block = volume("block", volumeMode="Block")
    assert choice(claim(volumeMode="Block"), ssd, block) == "block"
    assert choice(claim(volumeMode="Filesystem"), block, ssd) == "ssd"
    fast = volume("fast", volumeAttributesClassName="fast")
    assert choice(claim(volumeAttributesClassName="fast"), ssd, fast) == "fast"
    assert choice(claim(), fast) is None
    assert choice(claim(volumeAttributesClassName=""), ssd) == "ssd"


def test_a_wrong_selector_is_an_error() -> None:
    wrong = LabelSelector(matchExpressions=[LabelSelectorRequirement(key="disk", operator="In")])
    with pytest.raises(SelectorError):
        find_matching_volume(claim(selector=wrong), [volume("a")])


@pytest.mark.parametrize("phase", ["", "Pending", "Bound", "Released", "Failed"])
def test_only_available_volumes_are_free(phase: str) -> None:
    assert choice(claim(), volume("a", phase=phase)) is None
    assert choice(claim(), volume("a", phase=phase, claimRef=reserved())) == "a"


def test_volumes_that_are_being_deleted_are_skipped() -> None:
    going = volume("a")
    going.metadata.deletionTimestamp = datetime(2026, 1, 1, tzinfo=UTC)
    assert choice(claim(), going) is None
    going.spec.claimRef = reserved()
    assert choice(claim(), going) is None


def test_a_reserved_volume_comes_first_and_others_reservations_are_respected() -> None:
    mine = volume("mine", "50Gi", ("ReadWriteOnce", "ReadWriteMany"), claimRef=reserved())
    assert choice(claim(), volume("small"), mine) == "mine"
    assert choice(claim(storageClassName="gold", selector=LabelSelector(matchLabels={"a": "b"})), mine) == "mine"
    for other in (reserved("other"), reserved(namespace="other"), reserved(uid="u2")):
        assert choice(claim(), volume("theirs", claimRef=other)) is None
    assert choice(claim(), volume("mine", claimRef=reserved(uid="u1"))) == "mine"


def test_a_reserved_volume_must_still_be_able_enough() -> None:
    assert choice(claim(), volume("mine", "1Gi", claimRef=reserved())) is None
    assert choice(claim(), volume("mine", volumeMode="Block", claimRef=reserved())) is None
    assert choice(claim(modes=("ReadWriteMany",)), volume("mine", claimRef=reserved()), node_labels={}) is None


def test_delayed_binding_leaves_free_volumes_to_the_scheduler() -> None:
    assert choice(claim(), volume("a"), delay_binding=True) is None
    assert choice(claim(), volume("a"), volume("b", claimRef=reserved()), delay_binding=True) == "b"
    assert choice(claim(), volume("a"), delay_binding=True, node_labels={}) == "a"


def test_a_node_must_reach_the_volume() -> None:
    east, west = volume("east", nodeAffinity=in_zones("east")), volume("west", "9Gi", nodeAffinity=in_zones("west", "north"))
    assert choice(claim(), east, west, node_labels={ZONE: "west"}) == "west"
    assert choice(claim(), east, west, node_labels={}) is None
    assert choice(claim(), east, west) == "east"
    mine = volume("mine", claimRef=reserved(), nodeAffinity=in_zones("east"))
    assert choice(claim(), west, mine, node_labels={ZONE: "west"}) is None
    assert choice(claim(), west, volume("any"), node_labels={ZONE: "west"}, excluded={"any"}) == "west"


def test_affinity_of_volumes_reads_labels_only() -> None:
    field = core.NodeSelectorRequirement(key="metadata.name", operator="In", values=["n1"])
    only_fields = core.VolumeNodeAffinity(required=core.NodeSelector(nodeSelectorTerms=[core.NodeSelectorTerm(matchFields=[field])]))
    assert matches_node(volume("a", nodeAffinity=only_fields), {})
    nothing = core.VolumeNodeAffinity(required=core.NodeSelector(nodeSelectorTerms=[core.NodeSelectorTerm()]))
    assert not matches_node(volume("a", nodeAffinity=nothing), {})
    assert matches_node(volume("a", nodeAffinity=core.VolumeNodeAffinity()), {})


def test_binding_names_the_claim_and_marks_choices_of_the_controller() -> None:
    free = volume("a")
    bound = bind_volume(free, claim())
    assert is_volume_bound_to_claim(bound, claim())
    assert bound.spec.claimRef == core.ObjectReference(
        apiVersion="v1", kind="PersistentVolumeClaim", namespace="default", name="data", uid="u1", resourceVersion="7"
    )
    assert bound.metadata.annotations == {BOUND_BY_CONTROLLER: "yes"}
    assert free.spec.claimRef is None
    assert not free.metadata.annotations
    assert bind_volume(bound, claim()) is bound
    completed = bind_volume(volume("b", claimRef=reserved()), claim())
    assert completed.spec.claimRef is not None
    assert completed.spec.claimRef.uid == "u1"
    assert not completed.metadata.annotations


def test_classes_that_wait_for_a_pod() -> None:
    assert is_delayed(StorageClass(volumeBindingMode="WaitForFirstConsumer"))
    assert not is_delayed(StorageClass(volumeBindingMode="Immediate"))
    assert not is_delayed(None)


SIZES = st.integers(1, 5).map(lambda number: f"{number}Gi")
MODES = st.sets(st.sampled_from(["ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany"]), min_size=1).map(lambda modes: tuple(sorted(modes)))
VOLUMES = st.lists(st.tuples(SIZES, MODES, st.sampled_from(["Available", "Bound"]), st.sampled_from([None, "data", "other"])), max_size=6)


@given(SIZES, MODES, VOLUMES, st.randoms(use_true_random=False))
def test_no_suitable_volume_is_better_and_order_does_not_matter(size: str, modes: tuple[str, ...], rows: list[Any], rng: Any) -> None:
    volumes = [
        volume(f"v{index}", capacity, able, phase, claimRef=reserved(name) if name else None)
        for index, (capacity, able, phase, name) in enumerate(rows)
    ]
    wanted = claim(size, modes)
    best = find_matching_volume(wanted, volumes)
    suitable = matching_volumes(wanted, volumes)
    assert all(set(modes) <= set(one.spec.accessModes) and one.spec.capacity["storage"] >= size for one in suitable)
    assert best == (suitable[0] if suitable else None)
    shuffled = list(volumes)
    rng.shuffle(shuffled)
    assert find_matching_volume(wanted, shuffled) == best
