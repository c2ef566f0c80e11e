"""Containers' and the machine's use under cAdvisor's names, at `/metrics/cadvisor`, from what the runtime measures. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from tiphys.node import names
from tiphys.node.cri.pb import api_pb2 as pb
from tiphys.obs import metrics

_LABELS = ("container", "id", "image", "name", "namespace", "pod")


class Machine(NamedTuple):
    """The machine's size."""

    cores: int
    memory: int


class _Family(NamedTuple):
    name: str
    type: str
    doc: str
    samples: list[str]


def cadvisor_lines(
    machine: Machine, containers: Iterable[pb.ContainerStats], sandboxes: Iterable[pb.PodSandboxStats], images: Mapping[str, str]
) -> Iterator[str]:
    """The text of the page; `images` has the image of each running container by id: others are left out."""
    running = [(_labels(one, images[one.attributes.id]), one) for one in containers if one.attributes.id in images]
    families = [*_container_families(running), *_network_families(list(sandboxes))]
    families.append(_Family("machine_cpu_cores", "gauge", "Logical cores.", [metrics.sample("machine_cpu_cores", "", machine.cores)]))
    memory = metrics.sample("machine_memory_bytes", "", machine.memory)
    families.append(_Family("machine_memory_bytes", "gauge", "Bytes of memory.", [memory]))
    for family in families:
        if family.samples:
            yield metrics.head(family.name, family.type, family.doc)
            yield from family.samples


def _container_families(labelled: list[tuple[str, pb.ContainerStats]]) -> Iterator[_Family]:

    def family(name: str, type_: str, doc: str, values: Iterable[tuple[str, float]]) -> _Family:
        return _Family(name, type_, doc, [metrics.sample(name, labels, value) for labels, value in values])

    yield family("container_cpu_usage_seconds_total", "counter", "CPU time used, in seconds.",
                 ((f'{labels},cpu="total"', one.cpu.usage_core_nano_seconds.value / 1e9) for labels, one in labelled))  # fmt: skip
    yield family("container_memory_working_set_bytes", "gauge", "Memory that cannot be given back easily, in bytes.",
                 ((labels, one.memory.working_set_bytes.value) for labels, one in labelled))  # fmt: skip
    yield family("container_memory_usage_bytes", "gauge", "Memory used, caches included, in bytes.",
                 ((labels, one.memory.usage_bytes.value) for labels, one in labelled if one.memory.HasField("usage_bytes")))  # fmt: skip
    yield family("container_memory_rss", "gauge", "Anonymous memory, in bytes.",
                 ((labels, one.memory.rss_bytes.value) for labels, one in labelled if one.memory.HasField("rss_bytes")))  # fmt: skip
    yield family("container_memory_failures_total", "counter", "Page faults.",
                 ((f'{labels},failure_type="{type_}",scope="container"', value) for labels, one in labelled for type_, value in (
                     ("pgfault", one.memory.page_faults.value), ("pgmajfault", one.memory.major_page_faults.value))
                  if one.memory.HasField("page_faults")))  # fmt: skip
    yield family("container_fs_usage_bytes", "gauge", "Size of the writable layer, in bytes.",
                 ((f'{labels},device=""', one.writable_layer.used_bytes.value) for labels, one in labelled))  # fmt: skip


def _network_families(stats: list[pb.PodSandboxStats]) -> Iterator[_Family]:
    for way in ("rx", "tx"):
        for what in ("bytes", "errors"):
            direction = "receive" if way == "rx" else "transmit"
            name = f"container_network_{direction}_{what}_total"
            samples = []
            for one in stats:
                network = one.linux.network
                for interface in [network.default_interface, *network.interfaces]:
                    if interface.name:
                        labels = f"{_sandbox_labels(one)},{metrics.pairs(('interface',), (interface.name,))}"
                        samples.append(metrics.sample(name, labels, getattr(interface, f"{way}_{what}").value))
            yield _Family(name, "counter", f"{what.capitalize()} of the pod's network, {direction} side.", list(dict.fromkeys(samples)))
    name = "container_processes"
    counts = [metrics.sample(name, _sandbox_labels(one), one.linux.process.process_count.value) for one in stats]
    yield _Family(name, "gauge", "Processes.", counts)


def _labels(one: pb.ContainerStats, image: str) -> str:
    labels = one.attributes.labels
    container = labels.get(names.CONTAINER_NAME, one.attributes.metadata.name)
    uid, ident = labels.get(names.POD_UID, ""), one.attributes.id
    values = (container, f"/kubepods/pod{uid}/{ident}", image, ident, labels.get(names.POD_NAMESPACE, ""), labels.get(names.POD_NAME, ""))
    return metrics.pairs(_LABELS, values)


def _sandbox_labels(one: pb.PodSandboxStats) -> str:
    meta, ident = one.attributes.metadata, one.attributes.id
    return metrics.pairs(_LABELS, ("", f"/kubepods/pod{meta.uid}/{ident}", "", ident, meta.namespace, meta.name))
