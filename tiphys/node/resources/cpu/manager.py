"""The CPU manager's policy `static`: containers of Guaranteed pods that request whole CPUs own them; all others share the rest.

See "Control CPU Management Policies on the Node". Init containers' CPUs are used again by the containers that come after them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Mapping
from pathlib import Path

from tiphys.api.core import v1 as core
from tiphys.api.helpers.resources import is_sidecar
from tiphys.node.pod.plan import AnyContainer
from tiphys.node.resources import metrics
from tiphys.node.resources.assigner import Grant, Hint, Hints, Nodes, Refused
from tiphys.node.resources.checkpoint import CheckpointError, CheckpointFile
from tiphys.node.resources.cpu import state
from tiphys.node.resources.cpu.choice import NotEnoughCpus, choose
from tiphys.node.resources.cpu.options import CpuOptions
from tiphys.node.resources.cpu.requests import exclusive_cpus, pod_exclusive_cpus
from tiphys.node.resources.topology import Topology, node_sets

log = logging.getLogger(__name__)

STATE_FILE = "cpu_manager_state"
POLICY = "static"
_NONE: frozenset[int] = frozenset()


def unexpected(why: object) -> Refused:
    """Return the refusal for something that the scheduler should have foreseen."""
    return Refused("UnexpectedAdmissionError", f"Allocate failed due to {why}, which is unexpected")


class CpuManager:
    """The assigner of CPUs. `reserved` are those that no container owns."""

    name = "cpu"

    def __init__(self, topology: Topology, reserved: frozenset[int], options: CpuOptions, root: Path) -> None:
        self.topology = topology
        self.reserved = reserved
        self.options = options
        self.changed = asyncio.Event()
        """Set whenever the shared CPUs may be others than before."""
        self.started = asyncio.Event()
        """Set once the checkpoint is read."""
        self._file = CheckpointFile(root / STATE_FILE)
        self._owners: dict[str, dict[str, frozenset[int]]] = {}
        self._reserved_cores = topology.within("core", topology.numbers("core", reserved))

    # -- queries

    @property
    def owners(self) -> Mapping[str, Mapping[str, frozenset[int]]]:
        """The CPUs of containers, by the uid of the pod and the name of the container."""
        return self._owners

    @property
    def owned(self) -> frozenset[int]:
        """All CPUs that are owned."""
        return frozenset(cpu for containers in self._owners.values() for cpus in containers.values() for cpu in cpus)

    @property
    def shared(self) -> frozenset[int]:
        """CPUs that nobody owns, without the reserved ones if these are kept apart."""
        rest = self.topology.cpus - self.owned
        return rest - self.reserved if self.options.strict_cpu_reservation else rest

    def owns_cpus(self, uid: str, container: str = "") -> bool:
        """Return whether a container owns CPUs, or any container of the pod."""
        containers = self._owners.get(uid, {})
        return container in containers if container else bool(containers)

    def cpus_of(self, uid: str, container: str) -> frozenset[int]:
        """Return the CPUs that a container may run on. When all but the reserved ones are owned, these are what the others have."""
        return self._owners.get(uid, {}).get(container, _NONE) or self.shared or self.reserved

    # -- the assigner

    async def start(self, live: Collection[str]) -> None:
        """Read the checkpoint. Raises CheckpointError for one that does not fit the machine or the settings, OSError."""
        data = await self._file.read()
        if data is not None:
            try:
                content = state.decoded(data)
                strict = self.options.strict_cpu_reservation
                state.check(content, policy=POLICY, online=self.topology.cpus, reserved=self.reserved, strict=strict)
            except ValueError as error:
                raise CheckpointError("CPU", self._file.path, str(error)) from error
            self._owners = {uid: dict(containers) for uid, containers in content.owners.items() if uid in live}
        await self._save()
        self.started.set()

    def hints(self, pod: core.Pod, container: AnyContainer) -> Hints:
        """Return the NUMA nodes with enough CPUs for a container."""
        count = exclusive_cpus(pod, container)
        if not count:
            return {}
        own = self._owners.get(pod.metadata.uid, {}).get(container.name)
        if own is not None:
            return {"cpu": self._hints(own, _NONE, count) if len(own) == count else []}
        return {"cpu": self._hints(self.shared - self.reserved, self._reusable(pod, container.name), count)}

    def pod_hints(self, pod: core.Pod) -> Hints:
        """Return the NUMA nodes with enough CPUs for all containers of a pod together."""
        count = pod_exclusive_cpus(pod)
        if not count:
            return {}
        own = frozenset(cpu for cpus in self._owners.get(pod.metadata.uid, {}).values() for cpu in cpus)
        if len(own) == count:
            return {"cpu": self._hints(own, _NONE, count)}
        return {"cpu": self._hints(self.shared - self.reserved, own, count)}

    async def assign(self, pod: core.Pod, container: AnyContainer, nodes: Nodes | None) -> Grant:
        """Choose CPUs for a container that is to own some. Raises Refused, OSError if the checkpoint cannot be written."""
        count, uid = exclusive_cpus(pod, container), pod.metadata.uid
        if not count:
            return Grant()
        metrics.PINNING_REQUESTS.labels().inc()
        try:
            cpus = self._owners.get(uid, {}).get(container.name) or self._chosen(pod, container, count, nodes)
        except Refused:
            metrics.PINNING_ERRORS.labels().inc()
            if self.options.full_pcpus_only:
                metrics.ALIGNED_FAILURES.labels("container", "physical_cpu").inc()
            raise
        if self.options.full_pcpus_only:
            metrics.ALIGNED.labels("container", "physical_cpu").inc()
        if len(self.topology.numbers("cache", cpus)) == 1:
            metrics.ALIGNED.labels("container", "uncore_cache").inc()
        self._owners.setdefault(uid, {})[container.name] = cpus
        await self._save()
        return Grant(cpus=cpus)

    async def prepare(self, pod: core.Pod, container: AnyContainer) -> Grant:
        """Return the CPUs that the container owns, or the shared ones."""
        uid = pod.metadata.uid
        return Grant(cpus=self.cpus_of(uid, container.name), unlimited_cpu=self.owns_cpus(uid, container.name))

    async def release(self, uid: str) -> None:
        """Give a pod's CPUs back to all. Raises OSError; the next change writes the checkpoint."""
        self._owners.pop(uid, None)
        await self._save()

    # -- choices

    def _reusable(self, pod: core.Pod, name: str) -> frozenset[int]:
        """Return the CPUs of init containers that have ended when a container runs."""
        own = {other: cpus for other, cpus in self._owners.get(pod.metadata.uid, {}).items() if other != name}
        ends = {one.name for one in pod.spec.initContainers if not is_sidecar(one)}
        lent = frozenset(cpu for other, cpus in own.items() if other in ends for cpu in cpus)
        kept = frozenset(cpu for other, cpus in own.items() if other not in ends for cpu in cpus)
        return lent - kept

    def _chosen(self, pod: core.Pod, container: AnyContainer, count: int, nodes: Nodes | None) -> frozenset[int]:
        reusable = self._reusable(pod, container.name)
        free = (self.shared - self.reserved) | reusable
        if self.options.full_pcpus_only:
            free -= self._reserved_cores
            self._check_cores(count, len(free))
        chosen = _NONE
        try:
            if nodes is not None:
                aligned = free & self._aligned(nodes)
                chosen = choose(self.topology, aligned, min(count, len(aligned)), self.options)
            return chosen | choose(self.topology, free - chosen, count - len(chosen), self.options)
        except NotEnoughCpus:
            raise unexpected(NotEnoughCpus(count, len(free))) from None

    def _check_cores(self, count: int, available: int) -> None:
        threads = self.topology.threads_per_core
        message = ""
        if count % threads:
            message = f"requested {count} cpus not multiple cpus per core = {threads}"
        elif count > available:
            numbers = f"available physical CPUs = {available}, requested CPUs = {count}, CPUs per core = {threads}"
            message = f"not enough free physical CPUs: {numbers}"
        if message:
            raise Refused("SMTAlignmentError", f"SMT Alignment Error: {message}")

    def _aligned(self, nodes: Nodes) -> frozenset[int]:
        inside = self.topology.within("node", nodes)
        return self.topology.within("socket", self.topology.numbers("socket", inside)) if self.options.align_by_socket else inside

    def _hints(self, free: frozenset[int], reused: frozenset[int], count: int) -> list[Hint]:
        """Return the sets of nodes with enough CPUs. Those that contain the least nodes that could ever do are preferred."""
        topology = self.topology
        least = len(topology.nodes)
        fitting = []
        for nodes in node_sets(topology.nodes):
            inside = topology.within("node", nodes)
            if len(inside) >= count:
                least = min(least, len(nodes))
            if reused <= inside and len((free | reused) & inside) >= count:
                fitting.append(nodes)
        return [Hint(nodes, len(nodes) == least or self._by_socket(nodes, least)) for nodes in fitting]

    def _by_socket(self, nodes: Nodes, least: int) -> bool:
        """Return whether the nodes are in as few sockets as could ever do, where that is what counts."""
        groups = self.topology.groups
        per_socket = len(groups["node"]) // len(groups["socket"])
        if not self.options.align_by_socket or not per_socket:
            return False
        return len(self.topology.numbers("socket", self.topology.within("node", nodes))) == -(-least // per_socket)

    async def _save(self) -> None:
        self.changed.set()
        metrics.show_cpus(self.topology, self.owned, len(self.shared - self.reserved))
        await self._file.write(state.encoded(state.Content(POLICY, self.shared, self._owners)))
