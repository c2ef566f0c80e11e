"""The seam between the kubelet and whatever assigns parts of the machine to containers: cores, memory of NUMA nodes, devices, claims.

An assigner names the places (NUMA nodes) where it could serve a container; the topology manager merges the hints of all of them, and each
one then assigns within the answer ("Control Topology Management Policies on a node"). Assignments outlive the kubelet: an assigner
keeps a checkpoint of its own, and `assign` for a container that has an assignment returns that one.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

import msgspec

from tiphys.api.core import v1 as core
from tiphys.node.pod.plan import AnyContainer

Nodes = frozenset[int]
"""NUMA nodes by their number in sysfs."""


class Hint(msgspec.Struct, frozen=True):
    """A place where a resource could come from."""

    nodes: Nodes | None = None
    """None: anywhere."""
    preferred: bool = True
    """True if no smaller set of nodes could ever serve the request."""


Hints = Mapping[str, Sequence[Hint]]
"""Hints by resource. A resource with an empty sequence cannot be served anywhere; one that is missing does not mind."""


class Mount(msgspec.Struct, frozen=True):
    """A path of the machine to show inside a container."""

    host_path: str
    container_path: str
    read_only: bool = False


class Grant(msgspec.Struct, frozen=True):
    """Things that a container gets. Grants of several assigners are added up."""

    cpus: frozenset[int] = frozenset()
    """CPUs that the container may run on; empty: all."""
    unlimited_cpu: bool = False
    """True: no CPU quota, since the CPUs are the container's alone."""
    memory_nodes: Nodes = frozenset()
    """NUMA nodes that its memory comes from; empty: all."""
    env: Mapping[str, str] = {}
    mounts: Sequence[Mount] = ()
    devices: Sequence[tuple[str, str, str]] = ()
    """Device files: path on the host, path inside, permissions."""
    annotations: Mapping[str, str] = {}
    cdi_devices: Sequence[str] = ()
    """Qualified names of the Container Device Interface: `vendor/class=name`."""


class Refused(Exception):
    """The assigner cannot serve the pod now. `reason` is the pod's reason of failure, the text its message."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Assigner(Protocol):
    """One kind of thing that containers can own.

    Calls come one at a time (`Assigners`), except that `prepare` may run beside them, and for several containers at once. A pod that is
    refused, or whose admission is broken off, is released.
    """

    name: str
    """For logs and metrics: "cpu", "memory", "device", "claim"."""

    async def start(self, live: Collection[str]) -> None:
        """Read the checkpoint and forget pods other than the `live` ones (by uid)."""

    def hints(self, pod: core.Pod, container: AnyContainer) -> Hints:
        """Return where the container's requests could be served. Raises Refused."""

    def pod_hints(self, pod: core.Pod) -> Hints:
        """Return where the requests of the pod as a whole could be served (scope "pod"). Raises Refused."""

    async def assign(self, pod: core.Pod, container: AnyContainer, nodes: Nodes | None) -> Grant:
        """Assign at admission, within the nodes if it is not None, and record it. Raises Refused.

        Init containers come first, in their order.
        """

    async def prepare(self, pod: core.Pod, container: AnyContainer) -> Grant:
        """Return what was assigned, just before the container is created; may call a plugin. Raises Refused, which is tried again.

        Also called for ephemeral containers and for pods that were admitted while the assigner was not in use: these own nothing.
        """

    async def release(self, uid: str) -> None:
        """Take back all that a pod owns; without an assignment nothing happens."""
