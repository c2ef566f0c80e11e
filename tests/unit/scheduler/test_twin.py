"""The vectors say what the plain twin says, whatever happened to the cluster before."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from tests.unit.scheduler import scalar
from tests.unit.scheduler.worlds import NODE_NAMES, easy_nodes, modest_pods, nodes, pods, social_pods
from tiphys.api.core import v1 as core
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

    def compare(self, pod: core.Pod) -> None:
        info = self.reader.info(slim_pod(pod))
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
