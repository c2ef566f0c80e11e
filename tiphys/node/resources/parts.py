"""Assigners of a node by its settings."""

from __future__ import annotations

from pathlib import Path

from tiphys.api.helpers.resources import amount
from tiphys.node.host import machine
from tiphys.node.host.allocatable import allocatable
from tiphys.node.host.cpuset import format_cpus, parse_cpus
from tiphys.node.host.machine import reserves, usable_cpus
from tiphys.node.resources import alignment, sysfs
from tiphys.node.resources.alignment import TopologyManager
from tiphys.node.resources.checkpoint import CheckpointError
from tiphys.node.resources.cpu import manager, state
from tiphys.node.resources.cpu.choice import NotEnoughCpus, choose
from tiphys.node.resources.cpu.manager import CpuManager
from tiphys.node.resources.cpu.options import CpuOptions, read_options
from tiphys.node.resources.memory import manager as memory
from tiphys.node.resources.memory import state as memory_state
from tiphys.node.resources.memory.book import Store
from tiphys.node.resources.memory.manager import MemoryManager
from tiphys.node.resources.topology import Topology
from tiphys.node.settings import NodeSettings


class ResourcesError(Exception):
    """Settings that this machine cannot fulfil."""


def machine_topology(root: Path = sysfs.ROOT) -> Topology:
    """Return the CPUs that containers of this process may use."""
    return sysfs.read_topology(root, usable_cpus())


def cpu_manager(settings: NodeSettings, topology: Topology) -> CpuManager | None:
    """Return the CPU manager, None with the policy `none`. Raises ResourcesError."""
    if settings.cpu_policy != manager.POLICY:
        return None
    options = read_options(settings.cpu_policy_options)
    if options.align_by_socket and len(topology.groups["socket"]) > len(topology.nodes):
        raise ResourcesError("the CPU manager option align-by-socket does not work on a machine with more sockets than NUMA nodes")
    return CpuManager(topology, reserved_cpus(settings, topology, options), options, settings.root)


def reserved_cpus(settings: NodeSettings, topology: Topology, options: CpuOptions) -> frozenset[int]:
    """Return the CPUs that no container owns: those that are named, or as many as are reserved. Raises ResourcesError."""
    if settings.reserved_cpus:
        named = parse_cpus(settings.reserved_cpus)
        if not named <= topology.cpus:
            raise ResourcesError(f"reservedSystemCPUs {settings.reserved_cpus} is not a subset of online cpus {format_cpus(topology.cpus)}")
        return named
    count = -(-reserves(settings)["cpu"] // 1000)
    if not count:
        raise ResourcesError("the static policy requires systemReserved.cpu + kubeReserved.cpu to be greater than zero")
    try:
        return choose(topology, topology.cpus, count, options)
    except NotEnoughCpus as error:
        raise ResourcesError(f"unable to reserve the required amount of CPUs: {error}") from error


def topology_manager(settings: NodeSettings, root: Path = sysfs.ROOT) -> TopologyManager | None:
    """Return the topology manager, None with the policy `none`. Raises ResourcesError."""
    policy = settings.topology_policy
    if policy == alignment.NONE:
        return None
    options = alignment.read_options(settings.topology_policy_options)
    distances = sysfs.read_distances(root) if options.closest else {}
    nodes = machine.numa_nodes()
    if len(nodes) > options.max_nodes:
        raise ResourcesError(f"the topology manager does not support machines with more than {options.max_nodes} NUMA nodes")
    if options.closest and not nodes <= distances.keys():
        raise ResourcesError("the topology manager cannot prefer the closest NUMA nodes: the kernel does not tell their distances")
    return TopologyManager(policy, nodes, scope=settings.topology_scope, options=options, distances=distances)


def memory_manager(settings: NodeSettings, root: Path = sysfs.ROOT) -> MemoryManager | None:
    """Return the memory manager, None with the policy `None`. Raises ResourcesError where what is reserved on the nodes is not all."""
    if settings.memory_policy != memory.POLICY:
        return None
    sizes = sysfs.read_memory(root) or {0: {"memory": machine.memory()}}
    reserved = {node: dict.fromkeys(listed, 0) for node, listed in sizes.items()}
    totals = {name: 0 for listed in sizes.values() for name in listed}
    for key, text in settings.reserved_node_memory.items():
        number, _, name = key.partition(":")
        if name not in reserved.get(int(number), {}):
            raise ResourcesError(f"reservedMemory has {name} on NUMA node {number}, which this machine lacks")
        reserved[int(number)][name] = amount(name, text)
        totals[name] += amount(name, text)
    whole = machine.memory()
    held = whole - allocatable({"memory": whole}, reserves(settings), machine.thresholds(settings))["memory"]
    for name, total in totals.items():
        expected = held if name == "memory" else 0
        if total != expected:
            raise ResourcesError(
                f'the total amount "{total}" of type "{name}" in reservedMemory is not equal to the value "{expected}" determined by '
                "Node Allocatable feature: kubeReserved, systemReserved and evictionHard together"
            )
    if not totals["memory"]:
        raise ResourcesError("the memory manager's policy Static needs memory that is reserved: set reservedMemory")
    return MemoryManager({node: _stores(listed, reserved[node]) for node, listed in sizes.items()}, settings.root)


def _stores(sizes: dict[str, int], reserved: dict[str, int]) -> dict[str, Store]:
    in_pages = sum(size for name, size in sizes.items() if name != "memory")
    return {
        name: Store(size, reserved[name], max(size - reserved[name] - (in_pages if name == "memory" else 0), 0))
        for name, size in sizes.items()
    }


def refuse_other_policy(settings: NodeSettings) -> None:
    """Raise CheckpointError where containers own CPUs or memory although the policy is `none` now."""
    kinds = (
        ("CPU", settings.cpu_policy, manager.STATE_FILE, state.decoded),
        ("memory", settings.memory_policy, memory.STATE_FILE, memory_state.decoded),
    )
    for kind, policy, name, decoded in kinds:
        path = settings.root / name
        if policy.lower() != "none" or not path.exists():
            continue
        try:
            content: state.Content | memory_state.Content = decoded(path.read_bytes())
            if content.policy != policy and content.owners:
                raise ValueError(f'configured policy "{policy}" differs from state checkpoint policy "{content.policy}"')
        except ValueError as error:
            raise CheckpointError(kind, path, str(error)) from error


def pinned(settings: NodeSettings) -> dict[str, str]:
    """Return the policies that fix resources of Guaranteed pods at their admission, by resource."""
    cpu = {"cpu": f'CPU Manager policy "{manager.POLICY}"'} if settings.cpu_policy == manager.POLICY else {}
    return {**cpu, **({"memory": f'Memory Manager policy "{memory.POLICY}"'} if settings.memory_policy == memory.POLICY else {})}
