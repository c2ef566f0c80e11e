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
from tiphys.scheduler.slim import slim_pod
from tiphys.scheduler.snapshot import Snapshot
from tiphys.scheduler.template import Reader


class Both:
    """A snapshot and a plain world to which the same things happen."""

    def __init__(self) -> None:
        self.world = scalar.World()
        self.cluster = Snapshot()
        self.reader = Reader()
        self.cycle = Cycle(self.cluster, rng=random.Random(0))

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

    # Storage, as the informers bring it.

    def put_claim(self, claim: core.PersistentVolumeClaim) -> None:
        self.world.claims[claim.metadata.namespace, claim.metadata.name] = claim
        self.cluster.volumes.put_claim(claim)

    def drop_claim(self, name: str) -> None:
        claim = self.world.claims.pop(("one", name), None)
        if claim is not None:
            self.cluster.volumes.drop_claim(claim)

    def put_volume(self, volume: core.PersistentVolume) -> None:
        self.world.volumes[volume.metadata.name] = volume
        self.cluster.volumes.put_volume(volume)

    def drop_volume(self, name: str) -> None:
        volume = self.world.volumes.pop(name, None)
        if volume is not None:
            self.cluster.volumes.drop_volume(volume)

    def put_class(self, storage_class: storage.StorageClass) -> None:
        self.world.classes[storage_class.metadata.name] = storage_class
        self.cluster.volumes.put_class(storage_class.metadata.name, storage_class)

    def drop_class(self, name: str) -> None:
        self.world.classes.pop(name, None)
        self.cluster.volumes.put_class(name, None)

    def put_driver(self, driver: storage.CSIDriver) -> None:
        self.world.drivers[driver.metadata.name] = driver
        self.cluster.volumes.put_driver(driver.metadata.name, driver)

    def put_csi_node(self, csi_node: storage.CSINode) -> None:
        self.world.csi_nodes[csi_node.metadata.name] = csi_node
        self.cluster.volumes.limits.put_csi_node(csi_node.metadata.name, csi_node)

    def put_capacity(self, capacity: storage.CSIStorageCapacity) -> None:
        self.world.capacities[capacity.metadata.name] = capacity
        self.cluster.volumes.put_capacity(capacity)

    def put_attachment(self, attachment: storage.VolumeAttachment) -> None:
        self.drop_attachment(attachment.metadata.name)
        self.world.attachments[attachment.metadata.name] = attachment
        self.cluster.volumes.limits.put_attachment(attachment)

    def drop_attachment(self, name: str) -> None:
        attachment = self.world.attachments.pop(name, None)
        if attachment is not None:
            self.cluster.volumes.limits.drop_attachment(attachment)

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


def storage_happenings() -> st.SearchStrategy[tuple[str, tuple[Any, ...]]]:
    def of(name: str, *arguments: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[str, tuple[Any, ...]]]:
        return st.tuples(st.just(name), st.tuples(*arguments))

    worlds = storage_worlds
    return st.one_of(
        of("put_claim", worlds.claims()),
        of("put_claim", worlds.claims()),
        of("put_volume", worlds.volumes()),
        of("put_volume", worlds.volumes()),
        of("put_class", worlds.classes()),
        of("put_driver", worlds.drivers),
        of("put_csi_node", worlds.csi_nodes),
        of("put_capacity", worlds.capacities),
        of("put_attachment", worlds.attachments),
        of("drop_claim", st.sampled_from(worlds.CLAIMS)),
        of("drop_volume", st.sampled_from(worlds.VOLUMES)),
        of("drop_class", st.sampled_from((worlds.DELAYED, worlds.MANUAL))),
        of("drop_attachment", st.sampled_from(("a0", "a1"))),
        of("put_pod", worlds.volume_pods(), st.sampled_from(NODE_NAMES[:3])),
        of("drop_pod", st.integers(0, 50)),
        of("put_node", easy_nodes()),
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


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.tuples(*(easy_nodes(name) for name in NODE_NAMES[:3])),
    storage_worlds.furniture(),
    st.lists(storage_happenings(), max_size=14),
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
