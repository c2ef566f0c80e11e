"""The page `/metrics/resource`, which the resource metrics API and autoscalers read ("Node metrics data", KEP-727). Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from tiphys.node.metrics.usage import PodUse, Usage
from tiphys.obs import metrics

_CONTAINER = ("container", "namespace", "pod")
_POD = ("namespace", "pod")
_CPU, _MEMORY = "Cumulative cpu time consumed by the {} in core-seconds", "Current working set of the {} in bytes"
_SWAP = "Current swap usage of the {} in bytes"

Samples = Iterable[tuple[str, float | None]]


def resource_lines(node: Usage, pods: Sequence[PodUse]) -> Iterator[str]:
    """Yield the text. Families without samples are left out, as swap is where the kernel does not account for it."""
    containers = [
        (metrics.pairs(_CONTAINER, (one.name, one.namespace, one.pod)), one.usage) for pod in pods for one in pod.containers
    ]  # fmt: skip
    whole = [(metrics.pairs(_POD, (pod.namespace, pod.pod)), pod.usage) for pod in pods]
    for scope, level, of in (("container", "STABLE", containers), ("node", "STABLE", [("", node)]), ("pod", "STABLE", whole)):
        yield from _family(f"{scope}_cpu_usage_seconds_total", "counter", level, _CPU.format(scope),
                           ((labels, used.cpu / 1e9) for labels, used in of))  # fmt: skip
        yield from _family(f"{scope}_memory_working_set_bytes", "gauge", level, _MEMORY.format(scope),
                           ((labels, used.memory) for labels, used in of))  # fmt: skip
        yield from _family(f"{scope}_swap_usage_bytes", "gauge", "ALPHA", _SWAP.format(scope),
                           ((labels, used.swap) for labels, used in of))  # fmt: skip
    yield from _family("container_swap_limit_bytes", "gauge", "ALPHA", "Swap that the container may use, in bytes",
                       ((labels, used.swap_limit) for labels, used in containers))  # fmt: skip
    yield from _family("container_start_time_seconds", "gauge", "STABLE", "Start time of the container since unix epoch in seconds",
                       ((labels, used.started or None) for labels, used in containers))  # fmt: skip
    yield from _family("resource_scrape_error", "gauge", "STABLE", "1 if container metrics could not be read, 0 otherwise", [("", 0)])


def _family(name: str, type_: str, level: metrics.Stability | str, doc: str, samples: Samples) -> Iterator[str]:
    lines = [metrics.sample(name, labels, value) for labels, value in samples if value is not None]
    if lines:
        yield f"# HELP {name} [{level}] {doc}\n# TYPE {name} {type_}"
        yield from lines
