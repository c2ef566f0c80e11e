"""Assigners of a node by its settings."""

from __future__ import annotations

from pathlib import Path

from tiphys.node.host import machine
from tiphys.node.host.cpuset import format_cpus, parse_cpus
from tiphys.node.host.machine import reserves, usable_cpus
from tiphys.node.resources import alignment, sysfs
from tiphys.node.resources.alignment import TopologyManager
from tiphys.node.resources.checkpoint import CheckpointError
from tiphys.node.resources.cpu import manager, state
from tiphys.node.resources.cpu.choice import NotEnoughCpus, choose
from tiphys.node.resources.cpu.manager import CpuManager
from tiphys.node.resources.cpu.options import CpuOptions, read_options
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


def refuse_other_policy(root: Path) -> None:
    """Raise CheckpointError where CPUs are owned by containers although the policy is `none` now."""
    path = root / manager.STATE_FILE
    try:
        content = state.decoded(path.read_bytes())
        if content.policy != "none" and content.owners:
            raise ValueError(f'configured policy "none" differs from state checkpoint policy "{content.policy}"')
    except FileNotFoundError:
        return
    except ValueError as error:
        raise CheckpointError("CPU", path, str(error)) from error


def pinned(settings: NodeSettings) -> dict[str, str]:
    """Return the policies that fix resources of Guaranteed pods at their admission, by resource."""
    return {"cpu": f'CPU Manager policy "{manager.POLICY}"'} if settings.cpu_policy == manager.POLICY else {}
