"""The memory manager's policy `Static`: containers of Guaranteed pods own memory and huge pages of NUMA nodes.

See "Utilizing the NUMA-aware Memory Manager". The kernel takes a container's memory only from the nodes of its assignment; that others
do not take it from there is a matter of accounts, as upstream.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from tiphys.api.core import v1 as core
from tiphys.api.helpers.resources import is_sidecar
from tiphys.node.pod.plan import AnyContainer
from tiphys.node.resources import metrics
from tiphys.node.resources.assigner import Grant, Hint, Hints, Nodes, Refused
from tiphys.node.resources.checkpoint import CheckpointError, CheckpointFile
from tiphys.node.resources.cpu.manager import unexpected
from tiphys.node.resources.memory import state
from tiphys.node.resources.memory.book import Block, Machine, hints, place
from tiphys.node.resources.memory.requests import memory_requests, pod_memory_requests

STATE_FILE = "memory_manager_state"
POLICY = "Static"


class MemoryManager:
    """The assigner of memory."""

    name = "memory"

    def __init__(self, machine: Machine, root: Path) -> None:
        self.machine = machine
        self._file = CheckpointFile(root / STATE_FILE)
        self._owners: dict[str, dict[str, tuple[Block, ...]]] = {}

    @property
    def owners(self) -> Mapping[str, Mapping[str, tuple[Block, ...]]]:
        """The memory of containers, by the uid of the pod and the name of the container."""
        return self._owners

    @property
    def blocks(self) -> list[Block]:
        """All memory that is owned."""
        return [block for containers in self._owners.values() for own in containers.values() for block in own]

    async def start(self, live: Collection[str]) -> None:
        """Read the checkpoint. Raises CheckpointError for one that does not fit the machine or the settings, OSError."""
        data = await self._file.read()
        if data is not None:
            try:
                content = state.decoded(data)
                state.check(content, policy=POLICY, machine=self.machine)
            except ValueError as error:
                raise CheckpointError("memory", self._file.path, str(error)) from error
            self._owners = {uid: dict(containers) for uid, containers in content.owners.items() if uid in live}
        await self._save()

    def hints(self, pod: core.Pod, container: AnyContainer) -> Hints:
        """Return the NUMA nodes with enough memory for a container."""
        requests = memory_requests(pod, container)
        own = self._owners.get(pod.metadata.uid, {}).get(container.name)
        if own is not None:
            return self._again(own, requests)
        options = hints(self.machine, self.blocks, requests, self._lent(pod, container.name)) if requests else []
        return dict.fromkeys(requests, options)

    def pod_hints(self, pod: core.Pod) -> Hints:
        """Return the NUMA nodes with enough memory for all containers of a pod together."""
        requests = pod_memory_requests(pod)
        for own in self._owners.get(pod.metadata.uid, {}).values():
            return {name: [Hint(own[0].nodes)] for name in requests}
        return dict.fromkeys(requests, hints(self.machine, self.blocks, requests)) if requests else {}

    def _again(self, own: tuple[Block, ...], requests: Mapping[str, int]) -> Hints:
        if {block.resource: block.size for block in own} != requests:
            return {}  # an init container whose memory others use again
        return {block.resource: [Hint(block.nodes)] for block in own}

    async def assign(self, pod: core.Pod, container: AnyContainer, nodes: Nodes | None) -> Grant:
        """Choose nodes for the memory that a container is to own. Raises Refused, OSError if the checkpoint cannot be written."""
        requests, uid = memory_requests(pod, container), pod.metadata.uid
        if not requests:
            return Grant()
        metrics.MEMORY_REQUESTS.labels().inc()
        own = self._owners.get(uid, {}).get(container.name)
        if own is None:
            chosen = place(self.machine, self.blocks, requests, nodes, self._lent(pod, container.name))
            if chosen is None:
                metrics.MEMORY_ERRORS.labels().inc()
                raise self._refusal(nodes)
            self._take_over(pod, container.name, chosen, requests)
            own = tuple(Block(chosen, name, size) for name, size in requests.items())
            self._owners.setdefault(uid, {})[container.name] = own
        await self._save()
        return Grant(memory_nodes=own[0].nodes)

    def _refusal(self, nodes: Nodes | None) -> Refused:
        kind = "default" if nodes is None else "extended"
        return unexpected(f"[memorymanager] failed to get the {kind} NUMA affinity, no NUMA nodes with enough memory is available")

    async def prepare(self, pod: core.Pod, container: AnyContainer) -> Grant:
        """Return the nodes of the container's memory; none for a container that owns none, which may use all."""
        own = self._owners.get(pod.metadata.uid, {}).get(container.name, ())
        return Grant(memory_nodes=frozenset(node for block in own for node in block.nodes))

    async def release(self, uid: str) -> None:
        """Give a pod's memory back. Raises OSError; the next change writes the checkpoint."""
        self._owners.pop(uid, None)
        await self._save()

    # -- init containers

    def _lenders(self, pod: core.Pod, name: str) -> list[str]:
        """Return the init containers that have ended when a container runs."""
        owners = self._owners.get(pod.metadata.uid, {})
        return [one.name for one in pod.spec.initContainers if not is_sidecar(one) and one.name != name and one.name in owners]

    def _lent(self, pod: core.Pod, name: str) -> list[Block]:
        owners = self._owners.get(pod.metadata.uid, {})
        return [block for lender in self._lenders(pod, name) for block in owners[lender]]

    def _take_over(self, pod: core.Pod, name: str, nodes: Nodes, requests: Mapping[str, int]) -> None:
        """Shrink the blocks of init containers on these nodes by what the container uses of them."""
        owners, left = self._owners.get(pod.metadata.uid, {}), dict(requests)
        for lender in self._lenders(pod, name):
            kept = []
            for block in owners[lender]:
                part = min(block.size, left.get(block.resource, 0)) if block.nodes == nodes else 0
                left[block.resource] = left.get(block.resource, 0) - part
                kept.append(Block(block.nodes, block.resource, block.size - part))
            owners[lender] = tuple(kept)

    async def _save(self) -> None:
        await self._file.write(state.encoded(state.Content(POLICY, self.machine, self._owners)))
