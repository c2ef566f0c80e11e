"""Use from two readings of a kubelet's page."""

from __future__ import annotations

from tiphys.apiserver.resource_metrics.usage import NODE, Subject, Usage, read, usages
from tiphys.node.metrics.resource import resource_lines
from tiphys.node.metrics.usage import ContainerUse, PodUse
from tiphys.node.metrics.usage import Usage as Measured
from tiphys.obs import metrics

MAIN = Subject("default", "web", "main")


def page(cpu: float, *, memory: int = 1 << 20, started: float = 50.0, node_cpu: float = 10.0) -> str:
    measured = Measured(int(cpu * 1e9), memory=memory, started=started)
    pod = PodUse("default", "web", "u", measured, [ContainerUse("default", "web", "u", "main", measured)])
    return metrics.page(resource_lines(Measured(int(node_cpu * 1e9), memory=5 << 20), [pod])).decode()


def test_use_is_the_mean_between_two_readings() -> None:
    found = dict(usages(read(page(1.0), 100.0), read(page(4.0, node_cpu=25.0), 110.0)))
    assert found[MAIN] == Usage(0.3, 1 << 20, 110.0, 10.0)
    assert found[NODE] == Usage(1.5, 5 << 20, 110.0, 10.0)


def test_a_container_that_began_since_is_measured_from_its_start() -> None:
    found = dict(usages(read("", 100.0), read(page(1.0, started=105.0), 110.0)))
    assert found[MAIN] == Usage(0.2, 1 << 20, 110.0, 5.0)
    restarted = dict(usages(read(page(9.0), 100.0), read(page(1.0, started=108.0), 110.0)))
    assert restarted[MAIN] == Usage(0.5, 1 << 20, 110.0, 2.0)


def test_unknown_use_is_left_out() -> None:
    assert MAIN not in dict(usages(read("", 100.0), read(page(1.0), 110.0))), "it began before the first reading"
    assert MAIN not in dict(usages(read(page(9.0), 100.0), read(page(1.0), 110.0))), "a counter never falls"
    assert MAIN not in dict(usages(read(page(1.0), 100.0), read(page(2.0, memory=0), 110.0)))
    assert dict(usages(read(page(1.0), 100.0), read(page(2.0), 100.0))) == {}


def test_passes_over_what_it_does_not_understand() -> None:
    odd = 'container_cpu_usage_seconds_total{container="main",namespace="a",pod="b"} many\nno sample here\nother_total 3\n'
    assert read(odd, 1.0).values.get(Subject("a", "b", "main"), {}) == {}
    stamped = read("node_cpu_usage_seconds_total 1.5 1700000000000\n", 1.0)
    assert stamped.values == {NODE: {"cpu": 1.5}}
