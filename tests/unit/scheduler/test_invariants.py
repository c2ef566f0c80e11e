"""Invariants under any changes: nodes are never overfull, hints never miss what helps, preemption takes no more than it must."""

from __future__ import annotations

import random
from typing import Any

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tests.unit.scheduler import make, scalar, scalar_volumes, storage, storage_worlds
from tests.unit.scheduler.test_twin import Both
from tests.unit.scheduler.worlds import NODE_NAMES, ZONE, easy_nodes, modest_pods, nodes, pods, social_pods
from tiphys.api.core import v1 as core
from tiphys.api.machinery.selectors import from_map
from tiphys.runtime import copied
from tiphys.scheduler import hints
from tiphys.scheduler.cycle import Cycle
from tiphys.scheduler.explain import Diagnosis
from tiphys.scheduler.preempt import Budget, Room, split_by_budgets
from tiphys.scheduler.queue import Waiting
from tiphys.scheduler.slim import slim_pod
from tiphys.scheduler.snapshot import Snapshot
from tiphys.scheduler.template import PodInfo

anything = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
any_pods = st.one_of(pods(), social_pods(), modest_pods())
TWO = ("n0", "n1")
three_nodes = st.tuples(*(nodes(name) for name in NODE_NAMES[:3]))


def both_with(first: tuple[core.Node, ...]) -> Both:
    both = Both()
    for node in first:
        both.put_node(node)
    return both


def plain(pod: core.Pod) -> core.Pod:
    """A pod without relations and deletion, so that more of them find a place."""
    pod.spec.affinity, pod.spec.topologySpreadConstraints, pod.spec.nodeSelector = None, [], {}
    pod.metadata.deletionTimestamp = None
    return pod


@anything
@given(first=three_nodes, wanted=st.lists(pods().map(plain), min_size=3, max_size=20), leave=st.lists(st.integers(0, 50), max_size=4))
def test_never_over_capacity(first: tuple[core.Node, ...], wanted: list[core.Pod], leave: list[int]) -> None:
    both = both_with(first)
    for number, pod in enumerate(wanted):
        decision = both.cycle.place(both.reader.info(slim_pod(pod)))
        if isinstance(decision, str):
            both.put_pod(pod, decision)
        if number < len(leave):
            both.drop_pod(leave[number])
    for node in first:
        there = both.world.on(node.metadata.name)
        assert len(there) <= scalar.available(node, "pods")
        for name in ("cpu", "memory", "ephemeral-storage", "example.com/gpu"):
            assert scalar.taken(both.world, node, name) <= scalar.available(node, name)
        ports = [(protocol, number) for pod in there for protocol, number, address in scalar.ports(pod) if address == "0.0.0.0"]
        assert len(ports) == len(set(ports))


def changes() -> st.SearchStrategy[tuple[str, Any]]:
    aspects = ("labels", "taints", "unschedulable", "allocatable")
    return st.one_of(
        st.tuples(st.just("new node"), st.one_of(nodes("n5"), easy_nodes("n5"))),
        st.tuples(st.sampled_from(aspects), st.builds(_eased, nodes("n0"))),
        st.tuples(st.sampled_from(aspects), st.builds(_eased, nodes("n0"))),
        st.tuples(st.just("gone node"), st.sampled_from(TWO)),
        st.tuples(st.just("pod"), st.tuples(any_pods, st.sampled_from(TWO))),
        st.tuples(st.just("gone pod"), st.integers(0, 50)),
        st.tuples(st.just("terminating"), st.integers(0, 50)),
    )


def _eased(node: core.Node) -> core.Node:
    """Make a node accept more, as most changes do."""
    node.metadata.labels |= {ZONE: "east", "disk": "ssd"}
    node.status.allocatable = {"cpu": "64", "memory": "256Gi", "pods": "50", "ephemeral-storage": "1Ti"}  # type: ignore[dict-item]
    node.spec = core.NodeSpec()
    return node


def _changed(node: core.Node, aspect: str, other: core.Node) -> core.Node:
    """The node with one aspect of another."""
    new = copied(node)
    if aspect == "labels":
        new.metadata.labels = other.metadata.labels
    elif aspect == "allocatable":
        new.status.allocatable = other.status.allocatable
    else:
        setattr(new.spec, aspect, getattr(other.spec, aspect))
    return new


def happen(both: Both, what: str, argument: Any) -> hints.Hint | None:
    """Let a change happen as the scheduler would take it in; the hint that it gives."""
    cluster = both.cluster
    if what in ("new node", "labels", "taints", "unschedulable", "allocatable"):
        if what != "new node":
            argument = both.world.nodes["n0"] = _changed(both.world.nodes["n0"], what, argument)
        before = cluster.put_node(argument)
        after = cluster.facts(argument.metadata.name)
        assert after is not None
        return None if before is after else hints.node_changed(before, after, cluster)
    if what == "gone node":
        cluster.drop_node(argument)
        return hints.node_removed
    if what == "pod":
        info = both.reader.info(argument[0])
        cluster.put_pod(info, argument[1])
        return hints.pod_changed(None, info)
    uids = sorted(uid for there in cluster.pods_on.values() for uid in there)
    if not uids:
        return None
    uid = uids[argument % len(uids)]
    known = cluster.info_of(uid)
    assert known is not None
    if what == "gone pod":
        cluster.drop_pod(uid)
        return hints.pod_removed(known)
    info = PodInfo(known.pod, known.key, uid, known.priority, known.template, known.social, terminating=True)
    cluster.put_pod(info, cluster.node_of(uid) or "")
    return hints.pod_changed(known, info)


@settings(anything, max_examples=150)
@given(
    first=st.one_of(st.tuples(nodes("n0")), st.tuples(nodes("n0"), nodes("n1")), st.tuples(easy_nodes("n0"), easy_nodes("n1"))),
    placed=st.lists(st.tuples(any_pods, st.sampled_from(TWO)), max_size=4),
    wanted=any_pods,
    story=st.lists(changes(), min_size=1, max_size=5),
)
def test_hints_cover_every_helpful_change(
    first: tuple[core.Node, ...], placed: list[tuple[core.Pod, str]], wanted: core.Pod, story: list[tuple[str, Any]]
) -> None:
    """Change after change the pod is tried when a hint says so and only then; its rules are those of the last try."""
    both = both_with(first)
    for pod, name in placed:
        both.put_pod(pod, name)
    info = both.reader.info(slim_pod(wanted))
    decision = both.cycle.place(info)
    assume(isinstance(decision, Diagnosis))
    assert isinstance(decision, Diagnosis)
    rules = decision.rules
    for change in story:
        hint = happen(both, *change)
        tried = hint is not None and hint(Waiting(info, 0.0, 0, rules=rules))
        now = both.cycle.place(info)
        if isinstance(now, str):
            assert tried
            return
        if tried:
            rules = now.rules


@settings(anything, max_examples=100)
@given(
    first=st.tuples(easy_nodes("n0"), easy_nodes("n1")),
    furniture=storage_worlds.furniture(),
    wanted=storage_worlds.volume_pods(),
    story=st.lists(
        st.one_of(
            storage_worlds.changes(),
            storage_worlds.changes(),
            st.tuples(st.just("gone pod"), st.integers(0, 50)),
            st.tuples(st.sampled_from(("new node", "labels")), easy_nodes("n2")),
        ),
        min_size=1,
        max_size=6,
    ),
)
def test_hints_cover_every_helpful_change_of_storage(
    first: tuple[core.Node, ...], furniture: storage_worlds.Furniture, wanted: core.Pod, story: list[tuple[str, Any]]
) -> None:
    both = both_with(first)
    for name, arguments in furniture:
        getattr(both, name)(*arguments)
    info = both.reader.info(slim_pod(wanted))
    decision = both.cycle.place(info)
    assume(isinstance(decision, Diagnosis))
    assert isinstance(decision, Diagnosis)
    rules = decision.rules
    for what, argument in story:
        hint = getattr(both, what)(*argument) if hasattr(both, what) else happen(both, what, argument)
        tried = hint is not None and hint(Waiting(info, 0.0, 0, rules=rules))
        now = both.cycle.place(info)
        if isinstance(now, str):
            assert tried
            return
        if tried:
            rules = now.rules


@anything
@given(
    first=st.tuples(*(easy_nodes(name) for name in NODE_NAMES[:3])),
    furniture=storage_worlds.furniture(),
    pods=st.lists(storage_worlds.volume_pods(), min_size=2, max_size=8, unique_by=lambda pod: pod.metadata.uid),
)
def test_decisions_never_share_a_volume(first: tuple[core.Node, ...], furniture: storage_worlds.Furniture, pods: list[core.Pod]) -> None:
    """Several decisions in a row, none of which is written yet."""
    both = both_with(first)
    for name, arguments in furniture:
        if name != "put_pod":
            getattr(both, name)(*arguments)
    owners: dict[str, tuple[str, str]] = {}
    places: dict[tuple[str, str], str] = {}
    for pod in pods:
        info = both.reader.info(slim_pod(pod))
        decision = both.cycle.place(info)
        if not isinstance(decision, str):
            continue
        plan = both.cycle.plan(info, decision)
        both.cluster.put_pod(info, decision)
        if plan is None:
            continue
        both.cluster.volumes.reserve(info.uid, plan)
        for volume, key in plan.bindings:
            assert owners.setdefault(volume, key) == key
        assert len({key for _, key in plan.bindings} | set(plan.provisions)) == len(plan.bindings) + len(plan.provisions)
        for key in plan.provisions:
            assert places.setdefault(key, decision) == decision
    assert not set(owners.values()) & set(places)


def test_the_claims_of_a_pod_get_different_volumes() -> None:
    """The properties above rarely come upon a pod with two claims for which the same volumes are free."""
    both = both_with((make.node("n0"),))
    both.put_class(storage.storage_class("manual", provisioner="kubernetes.io/no-provisioner"))
    for name in ("a", "b"):
        both.put_claim(storage.claim(name, class_name="manual"))
    both.put_volume(storage.volume("v0", class_name="manual"))
    info = both.reader.info(slim_pod(storage.pod_with("p", "a", "b")))
    assert isinstance(both.cycle.place(info), Diagnosis)
    both.put_volume(storage.volume("v1", class_name="manual"))
    assert both.cycle.place(info) == "n0"
    plan = both.cycle.plan(info, "n0")
    assert plan is not None
    assert plan.bindings == (("v0", ("default", "a")), ("v1", ("default", "b")))


def with_priority(pod: core.Pod, priority: int) -> core.Pod:
    pod.spec.priority = priority
    return pod


@anything
@given(
    first=three_nodes,
    placed=st.lists(st.tuples(st.builds(with_priority, any_pods, st.integers(0, 3)), st.sampled_from(NODE_NAMES[:3])), max_size=8),
    wanted=st.builds(with_priority, any_pods, st.integers(1, 4)),
    allowed=st.integers(0, 2),
)
def test_preemption_takes_what_it_must_and_no_more(
    first: tuple[core.Node, ...], placed: list[tuple[core.Pod, str]], wanted: core.Pod, allowed: int
) -> None:
    both = both_with(first)
    for pod, name in placed:
        both.put_pod(pod, name)
    info = both.reader.info(slim_pod(wanted))
    assume(isinstance(both.cycle.place(info), Diagnosis))
    before = {uid: name for name, there in both.cluster.pods_on.items() for uid in there}
    budgets = [Budget("one", from_map({"app": "a"}), allowed)]
    room = both.cycle.preempt(info, budgets)
    assert {uid: name for name, there in both.cluster.pods_on.items() for uid in there} == before
    node_can = {name: _could_make_room(both, wanted, node) for name, node in both.world.nodes.items()}
    if not isinstance(room, Room):
        assert not any(node_can.values())
        return
    assert room.victims
    assert all(victim.priority < info.priority for victim in room.victims)
    assert room.violations == len(split_by_budgets(room.victims, budgets)[0])
    node = both.world.nodes[room.node]
    gone = {victim.uid: both.world.pods.pop(victim.uid) for victim in room.victims}
    assert scalar.reasons(both.world, wanted, node) == []
    for uid, where in gone.items():
        both.world.pods[uid] = where
        assert scalar.reasons(both.world, wanted, node) != []
        del both.world.pods[uid]


@anything
@given(
    first=st.tuples(easy_nodes("n0"), easy_nodes("n1")),
    furniture=storage_worlds.furniture(),
    others=st.lists(
        st.tuples(st.builds(with_priority, storage_worlds.volume_pods(), st.integers(0, 3)), st.sampled_from(TWO)), min_size=2, max_size=6
    ),
    wanted=st.builds(with_priority, storage_worlds.volume_pods(), st.integers(1, 4)),
)
def test_preemption_frees_volumes(
    first: tuple[core.Node, ...], furniture: storage_worlds.Furniture, others: list[tuple[core.Pod, str]], wanted: core.Pod
) -> None:
    both = both_with(first)
    for name, arguments in furniture:
        getattr(both, name)(*arguments)
    for pod, name in others:
        both.put_pod(pod, name)
    info = both.reader.info(slim_pod(wanted))
    assume(info.uid not in both.world.pods)
    assume(isinstance(both.cycle.place(info), Diagnosis))
    room = both.cycle.preempt(info, ())
    if scalar_volumes.refusal(both.world, wanted):
        assert not isinstance(room, Room)
        return
    node_can = {name: _could_make_room(both, wanted, node) for name, node in both.world.nodes.items()}
    assert isinstance(room, Room) is any(node_can.values())
    if isinstance(room, Room):
        for victim in room.victims:
            del both.world.pods[victim.uid]
        assert scalar.reasons(both.world, wanted, both.world.nodes[room.node]) == []


def _could_make_room(both: Both, wanted: core.Pod, node: core.Node) -> bool:
    """Return whether evicting the pods of lower priority, of which there must be some, lets the pod onto the node."""
    world = both.world
    lower = {
        uid: where
        for uid, where in world.pods.items()
        if where[1] == node.metadata.name and (where[0].spec.priority or 0) < (wanted.spec.priority or 0)
    }
    for uid in lower:
        del world.pods[uid]
    fits = not scalar.reasons(world, wanted, node)
    world.pods.update(lower)
    return bool(lower) and fits


def test_ties_are_broken_by_chance() -> None:
    cluster = Snapshot()
    for name in ("a", "b", "c"):
        cluster.put_node(make.node(name))
    wanted = make.info(make.pod("p"))
    assert {Cycle(cluster, rng=random.Random(seed)).place(wanted) for seed in range(20)} == {"a", "b", "c"}
