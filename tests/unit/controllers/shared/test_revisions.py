"""Revisions of workloads: their data, names, numbers, and which of them to keep."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.controllers.make import ago, template
from tiphys.api.apps import v1 as apps
from tiphys.api.apps.daemon_set import default_daemon_set
from tiphys.api.apps.stateful_set import default_stateful_set
from tiphys.api.machinery import names
from tiphys.api.meta.v1 import LabelSelector, ObjectMeta
from tiphys.api.well_known import LAST_APPLIED
from tiphys.controllers.shared.revisions import (
    HASH_LABEL,
    Choice,
    RevisionError,
    choose,
    excess,
    make_revision,
    oldest_first,
    restore,
    revision_data,
    revision_hash,
    revision_name,
)


def daemon_set(image: str = "a", **meta: Any) -> apps.DaemonSet:
    made = apps.DaemonSet(
        metadata=ObjectMeta(name="web", namespace="default", uid="uid-web", **meta),
        spec=apps.DaemonSetSpec(selector=LabelSelector(matchLabels={"app": "web"}), template=template(image)),
    )
    default_daemon_set(made)
    return made


def stateful_set(image: str = "a") -> apps.StatefulSet:
    made = apps.StatefulSet(
        metadata=ObjectMeta(name="web", namespace="default", uid="uid-web"),
        spec=apps.StatefulSetSpec(selector=LabelSelector(matchLabels={"app": "web"}), template=template(image)),
    )
    default_stateful_set(made)
    return made


def revision(name: str, number: int, *, image: str = "a", deleting: bool = False) -> apps.ControllerRevision:
    workload = daemon_set(image)
    made = make_revision(workload, revision_data(workload), number)
    made.metadata.name = name
    made.metadata.deletionTimestamp = ago(1) if deleting else None
    return made


def choice(workload: apps.DaemonSet, *revisions: apps.ControllerRevision) -> Choice:
    return choose(workload, revisions, revision_data(workload), default_daemon_set)


def test_data_is_a_patch_that_puts_the_template_back() -> None:
    old, new = daemon_set("a"), daemon_set("b")
    new.spec.template.metadata.labels["extra"] = "gone"
    data = revision_data(old)
    assert data["spec"]["template"]["$patch"] == "replace"
    assert list(data["spec"]["template"]) == sorted(data["spec"]["template"])
    made = make_revision(old, data, 1)
    restored = restore(new, made)
    assert restored.spec.template == old.spec.template
    assert revision_data(restored) == data
    # Nothing else of the workload changes, and the workload itself not at all.
    assert restored.metadata == new.metadata
    assert new.spec.template.spec.containers[0].image == "b"


def test_the_same_is_done_for_both_kinds() -> None:
    old, new = stateful_set("a"), stateful_set("b")
    made = make_revision(old, revision_data(old), 1)
    assert restore(new, made).spec.template == old.spec.template
    assert made.metadata.ownerReferences[0].kind == "StatefulSet"


def test_revision_carries_labels_annotations_and_owner() -> None:
    workload = daemon_set(annotations={"kubernetes.io/change-cause": "first", LAST_APPLIED: "{}"})
    made = make_revision(workload, revision_data(workload), 7)
    meta = made.metadata
    assert meta.labels == {"app": "web", HASH_LABEL: revision_hash(made.data)}
    assert meta.annotations == {"kubernetes.io/change-cause": "first"}
    assert meta.name == f"web-{meta.labels[HASH_LABEL]}"
    (owner,) = meta.ownerReferences
    assert (owner.apiVersion, owner.kind, owner.name, owner.uid, owner.controller) == ("apps/v1", "DaemonSet", "web", "uid-web", True)
    assert made.revision == 7


@given(st.text("abc-", min_size=1, max_size=300).filter(names.dns_subdomain), st.integers(63, 253))
def test_names_are_never_too_long(workload: str, longest: int) -> None:
    assert len(revision_name(workload, revision_hash({}), longest)) <= longest


def test_hash_depends_on_data_and_collisions_alone() -> None:
    a, b = revision_data(daemon_set("a")), revision_data(daemon_set("b"))
    assert revision_hash(a) == revision_hash(revision_data(daemon_set("a")))
    assert len({revision_hash(a), revision_hash(b), revision_hash(a, 1), revision_hash(a, 2)}) == 4


def test_first_revision_is_created_with_number_one() -> None:
    assert choice(daemon_set("a")) == Choice(None, 1)
    assert choice(daemon_set("a"), revision("going", 4, deleting=True)) == Choice(None, 1)


def test_new_template_gets_the_next_number() -> None:
    assert choice(daemon_set("c"), revision("one", 1, image="a"), revision("nine", 9, image="b")) == Choice(None, 10)


def test_newest_revision_stays_as_it_is() -> None:
    old, new = revision("one", 1, image="a"), revision("two", 2, image="b")
    assert choice(daemon_set("b"), new, old) == Choice(new, 2)


def test_former_template_takes_its_revision_again_under_a_new_number() -> None:
    old, new = revision("one", 1, image="a"), revision("two", 2, image="b")
    assert choice(daemon_set("a"), old, new) == Choice(old, 3)


def test_newest_of_several_equal_revisions_is_chosen() -> None:
    first, again, other = revision("one", 1), revision("three", 3), revision("two", 2, image="b")
    assert choice(daemon_set("a"), first, other, again) == Choice(again, 3)


def test_revision_of_another_version_counts_as_equal_when_it_restores_the_template() -> None:
    # Written before a field had a default, and by an encoder that writes the empty time.
    foreign = revision("two", 2)
    template_ = foreign.data["spec"]["template"]
    template_["metadata"]["creationTimestamp"] = None
    del template_["spec"]["dnsPolicy"]
    assert choice(daemon_set("a"), revision("one", 1, image="b"), foreign) == Choice(foreign, 2)
    assert choice(daemon_set("c"), revision("one", 1, image="b"), foreign) == Choice(None, 3)


@pytest.mark.parametrize("data", [None, {"spec": 7}, {"spec": {"template": {"spec": {"containers": 7}}}}])
def test_data_that_is_no_patch_is_refused_and_never_equal(data: Any) -> None:
    broken = revision("broken", 3)
    broken.data = data
    with pytest.raises(RevisionError, match="broken"):
        restore(daemon_set(), broken)
    assert choice(daemon_set(), broken) == Choice(None, 4)


def test_order_is_by_number_then_age_then_name() -> None:
    younger, older, twin = revision("a", 1), revision("b", 1), revision("c", 1)
    younger.metadata.creationTimestamp = ago(10)
    older.metadata.creationTimestamp = twin.metadata.creationTimestamp = ago(20)
    first = revision("z", 0)
    assert oldest_first([twin, younger, older, first]) == [first, older, twin, younger]


@given(st.lists(st.booleans(), max_size=8), st.integers(-1, 6), st.booleans())
def test_only_the_oldest_idle_revisions_are_in_excess(in_use: list[bool], limit: int, live_count: bool) -> None:
    history = [revision(f"r{number}", number) for number in range(len(in_use))]
    live = {found.metadata.name for found, used in zip(history, in_use, strict=True) if used}
    gone = [found.metadata.name for found in excess(reversed(history), live, limit, live_count=live_count)]
    idle = [found.metadata.name for found in history if found.metadata.name not in live]
    assert gone == idle[: len(gone)]
    left = [found for found in history if found.metadata.name not in gone]
    assert list(excess(left, live, limit, live_count=live_count)) == []
    if limit < 0:
        assert gone == []
    elif live_count:
        assert len(left) <= max(limit, len(live))
    else:
        assert len(idle) - len(gone) == min(limit, len(idle))


def test_no_limit_keeps_everything() -> None:
    assert list(excess([revision("a", 1)], (), None)) == []
    assert list(excess([revision("a", 1, deleting=True), revision("b", 2)], (), 1)) == []
