"""The vectors say what the plain twin says, whatever happened to the cluster before."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from tests.unit.scheduler import scalar, scalar_volumes, storage_worlds
from tests.unit.scheduler.worlds import NODE_NAMES, easy_nodes, modest_pods, nodes, pods, social_pods
from tiphys.api.core import v1 as core
from tiphys.api.storage import v1 as storage
from tiphys.scheduler.cycle import Cycle
from tiphys.scheduler.explain import Diagnosis
from tiphys.scheduler.hints import Hint
from tiphys.scheduler.slim import slim_pod
from tiphys.scheduler.snapshot import Snapshot
from tiphys.scheduler.template import Reader
from tiphys.scheduler.volumes.feed import Changes


class Both:
    """A snapshot and a plain world to which the same things happen."""

    def __init__(self) -> None:
        self.world = scalar.World()
        self.cluster = Snapshot()
        self.reader = Reader()
        self.cycle = Cycle(self.cluster, rng=random.Random(0))
        self.changes = Changes(self.cluster.volumes)

    def put_node(self, node: core.Node) -> None:
        self.world.nodes[node.metadata.name] = node
        self.cluster.put_node(node)

    def drop_node(self, name: str) -> None:
        self.world.nodes.pop(name, None)
        self.cluster.drop_node(name)

    def put_pod(self, pod: core.Pod, node: str) -> None:
        self.world.pods[pod.metadata.uid] = (pod, node)
        self.cluster.put_pod(self.reader.info(slim_pod(pod)), node)

    def drop_pod(self, number: int) -> None:
        if self.world.pods:
            uid = list(self.world.pods)[number % len(self.world.pods)]
            del self.world.pods[uid]
            self.cluster.drop_pod(uid)

    def put_namespace(self, name: str, labels: dict[str, str]) -> None:
        self.world.namespaces[name] = labels
        self.cluster.relations.put_namespace(name, labels)

    def put_service(self, namespace: str, name: str, selector: dict[str, str]) -> None:
        self.world.services[namespace, name] = selector
        self.cluster.relations.defaults.put_service(namespace, name, selector)

    # Storage, as the informers bring it; each returns the hint for parked pods.

    def put_claim(self, claim: core.PersistentVolumeClaim) -> Hint | None:
        key = (claim.metadata.namespace, claim.metadata.name)
        old, self.world.claims[key] = self.world.claims.get(key), claim
        return self.changes.claim(old, claim)

    def drop_claim(self, name: str) -> Hint | None:
        old = self.world.claims.pop(("one", name), None)
        return self.changes.claim(old, None) if old is not None else None

    def put_volume(self, volume: core.PersistentVolume) -> Hint | None:
        old, self.world.volumes[volume.metadata.name] = self.world.volumes.get(volume.metadata.name), volume
        return self.changes.volume(old, volume)

    def drop_volume(self, name: str) -> Hint | None:
        old = self.world.volumes.pop(name, None)
        return self.changes.volume(old, None) if old is not None else None

    def put_class(self, storage_class: storage.StorageClass) -> Hint | None:
        old, self.world.classes[storage_class.metadata.name] = self.world.classes.get(storage_class.metadata.name), storage_class
        return self.changes.storage_class(old, storage_class)

    def drop_class(self, name: str) -> Hint | None:
        old = self.world.classes.pop(name, None)
        return self.changes.storage_class(old, None) if old is not None else None

    def put_driver(self, driver: storage.CSIDriver) -> Hint | None:
        old, self.world.drivers[driver.metadata.name] = self.world.drivers.get(driver.metadata.name), driver
        return self.changes.driver(old, driver)

    def drop_driver(self, name: str) -> Hint | None:
        old = self.world.drivers.pop(name, None)
        return self.changes.driver(old, None) if old is not None else None

    def put_csi_node(self, csi_node: storage.CSINode) -> Hint | None:
        old, self.world.csi_nodes[csi_node.metadata.name] = self.world.csi_nodes.get(csi_node.metadata.name), csi_node
        return self.changes.csi_node(old, csi_node)

    def drop_csi_node(self, name: str) -> Hint | None:
        old = self.world.csi_nodes.pop(name, None)
        return self.changes.csi_node(old, None) if old is not None else None

    def put_capacity(self, capacity: storage.CSIStorageCapacity) -> Hint | None:
        old, self.world.capacities[capacity.metadata.name] = self.world.capacities.get(capacity.metadata.name), capacity
        return self.changes.capacity(old, capacity)

    def put_attachment(self, attachment: storage.VolumeAttachment) -> Hint | None:
        old, self.world.attachments[attachment.metadata.name] = self.world.attachments.get(attachment.metadata.name), attachment
        return self.changes.attachment(old, attachment)

    def drop_attachment(self, name: str) -> Hint | None:
        old = self.world.attachments.pop(name, None)
        return self.changes.attachment(old, None) if old is not None else None

    def compare(self, pod: core.Pod) -> None:
        info = self.reader.info(slim_pod(pod))
        refusal = scalar_volumes.refusal(self.world, pod)
        if refusal:
            assert self.cycle.explain(info).before == refusal
            assert isinstance(self.cycle.place(info), Diagnosis)
            return
        opinion = self.cycle.ask(info)
        objections = self.cycle.explain(info).reasons
        wanted = {name: scalar.reasons(self.world, pod, node) for name, node in self.world.nodes.items()}
        assert {name: sorted(said) for name, said in objections.items()} == {name: sorted(said) for name, said in wanted.items() if said}
        found = {name: float(opinion.scores[row]) for name, row in self.cluster.row_of.items() if opinion.candidates[row]}
        assert above_least(found) == above_least(scalar.scores(self.world, pod))
        decision = self.cycle.place(info)
        if isinstance(decision, Diagnosis):
            assert not found
        else:
            assert found[decision] == max(found.values())


def above_least(scores: dict[str, float]) -> dict[str, float]:
    """Subtract the lowest score: a share that all nodes have decides nothing, and the scheduler may leave it out."""
    least = min(scores.values(), default=0.0)
    return {name: score - least for name, score in scores.items()}


def happenings(
    node: Callable[..., st.SearchStrategy[core.Node]], pod: st.SearchStrategy[core.Pod]
) -> st.SearchStrategy[tuple[str, tuple[Any, ...]]]:
    def of(name: str, *arguments: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[str, tuple[Any, ...]]]:
        return st.tuples(st.just(name), st.tuples(*arguments))

    labels = st.sampled_from(({}, {"team": "red"}, {"team": "blue"}))
    selector = st.sampled_from(({}, {"app": "a"}, {"version": "1"}))
    namespace, node_name = st.sampled_from(("one", "two")), st.sampled_from(NODE_NAMES)
    return st.one_of(
        of("put_node", node()),
        of("put_pod", pod, node_name),
        of("put_pod", pod, st.sampled_from(NODE_NAMES[:3])),
        of("put_pod", pod, st.sampled_from(NODE_NAMES[:3])),
        of("compare", pod),
        of("drop_node", node_name),
        of("drop_pod", st.integers(0, 50)),
        of("put_namespace", namespace, labels),
        of("put_service", namespace, st.just("web"), selector),
    )


Story = list[tuple[str, tuple[Any, ...]]]


def stories(
    node: Callable[..., st.SearchStrategy[core.Node]], pod: st.SearchStrategy[core.Pod]
) -> st.SearchStrategy[tuple[tuple[core.Node, ...], Story, list[core.Pod]]]:
    first = st.tuples(*(node(name) for name in NODE_NAMES[:3]))
    return st.tuples(first, st.lists(happenings(node, pod), max_size=14), st.lists(pod, min_size=1, max_size=3))


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.one_of(stories(nodes, pods()), stories(easy_nodes, social_pods()), stories(nodes, modest_pods())))
def test_vectors_and_twin_agree(story: tuple[tuple[core.Node, ...], Story, list[core.Pod]]) -> None:
    first, steps, again = story
    both = Both()
    for node in first:
        both.put_node(node)
    for name, arguments in steps:
        note(f"{name} {arguments}")
        getattr(both, name)(*arguments)
        # The same pods after every step: their vectors are repaired, not made.
        for pod in again:
            both.compare(pod)
    for pod in again:
        both.compare(pod)


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.tuples(*(easy_nodes(name) for name in NODE_NAMES[:3])),
    storage_worlds.furniture(),
    st.lists(st.one_of(storage_worlds.changes(), happenings(easy_nodes, storage_worlds.volume_pods())), max_size=14),
    st.lists(storage_worlds.volume_pods(), min_size=1, max_size=3),
)
def test_volumes_and_twin_agree(first: tuple[core.Node, ...], furniture: Story, steps: Story, again: list[core.Pod]) -> None:
    both = Both()
    for node in first:
        both.put_node(node)
    for name, arguments in (*furniture, *steps):
        note(f"{name} {arguments}")
        getattr(both, name)(*arguments)
        for pod in again:
            both.compare(pod)
