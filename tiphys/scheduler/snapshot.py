"""The cluster as arrays: a row per node, kept up to date from the informers. Pure bookkeeping: no I/O, no clock.

A cache of results per row remembers how far it has read the two logs of changed rows: `node_log` (a node came, went or changed in a
way that matters) and `pod_log` (a pod was placed on it or left it).

Pods are kept by the name of their node whether or not the node is known, since the two informers do not agree on an order.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Protocol

import msgspec
import numpy as np

from tiphys.api.core import v1 as core
from tiphys.api.machinery.base import Quantity
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.scheduler.columns import Bools, Column, Ints, LabelColumns, grown
from tiphys.scheduler.devices.cache import DeviceCache
from tiphys.scheduler.matching import image_name
from tiphys.scheduler.relations import Placed, Relations
from tiphys.scheduler.resources import CPU, EPHEMERAL, MEMORY, PODS, HostPort, amounts
from tiphys.scheduler.social import Group
from tiphys.scheduler.tally import Tally
from tiphys.scheduler.template import PodInfo
from tiphys.scheduler.volumes.cache import VolumeCache

FIRST_ROWS = 64
BASE_RESOURCES = (CPU, MEMORY, EPHEMERAL, PODS)


class Log:
    """Log of changed rows, in order. Old entries are dropped; a reader at an older position must reread everything."""

    def __init__(self, keep: int = 8192) -> None:
        self._keep = keep
        self._rows: list[int] = []
        self._dropped = 0

    @property
    def position(self) -> int:
        """Position of the next entry."""
        return self._dropped + len(self._rows)

    def note(self, row: int) -> None:
        self._rows.append(row)
        if len(self._rows) > 2 * self._keep:
            del self._rows[: self._keep]
            self._dropped += self._keep

    def since(self, position: int) -> list[int] | None:
        """Return the rows changed since a position, with repetitions; None when that is no longer known."""
        if position < self._dropped:
            return None
        return self._rows[position - self._dropped :]


class NodeFacts(msgspec.Struct, frozen=True):
    """Fields of a node that matter for scheduling; nodes with equal facts are the same to the scheduler."""

    name: str
    labels: dict[str, str]
    unschedulable: bool
    taints: tuple[tuple[str, str, str], ...]
    allocatable: dict[str, str]
    images: tuple[tuple[tuple[str, ...], int], ...]


class NodeSpecLike(Protocol):
    """Fields of a node's spec that are facts."""

    @property
    def unschedulable(self) -> bool: ...
    @property
    def taints(self) -> Sequence[core.Taint]: ...


class NodeStatusLike(Protocol):
    """Fields of a node's status that are facts."""

    @property
    def allocatable(self) -> Mapping[str, Quantity]: ...
    @property
    def images(self) -> Sequence[core.ContainerImage]: ...


class NodeLike(Protocol):
    """Node, or the part of one that the scheduler keeps."""

    @property
    def metadata(self) -> ObjectMeta: ...
    @property
    def spec(self) -> NodeSpecLike: ...
    @property
    def status(self) -> NodeStatusLike: ...


def node_facts(node: NodeLike) -> NodeFacts:
    """Extract the facts from a node."""
    return NodeFacts(
        name=node.metadata.name,
        labels=node.metadata.labels,
        unschedulable=node.spec.unschedulable,
        taints=tuple((taint.key, taint.value, taint.effect) for taint in node.spec.taints),
        allocatable=dict(node.status.allocatable),
        images=tuple((tuple(image.names), image.sizeBytes) for image in node.status.images),
    )


class Snapshot:
    """See the module. Arrays are for reading; change them through the methods."""

    def __init__(self) -> None:
        rows = FIRST_ROWS
        self.capacity = rows
        self.row_of: dict[str, int] = {}
        self.names: list[str] = [""] * rows
        self.alive: Bools = np.zeros(rows, dtype=np.bool_)
        self.unschedulable: Bools = np.zeros(rows, dtype=np.bool_)
        self.taints: Column[tuple[tuple[str, str, str], ...]] = Column(rows)
        self.labels = LabelColumns(rows)
        self.resources: dict[str, int] = {name: column for column, name in enumerate(BASE_RESOURCES)}
        self.allocatable: Ints = np.zeros((rows, len(BASE_RESOURCES)), dtype=np.int64)
        self.used: Ints = np.zeros_like(self.allocatable)
        self.assumed: Ints = np.zeros((rows, 2), dtype=np.int64)
        """CPU and memory in use, for scores, with defaults for containers without requests."""
        self.node_log = Log()
        self.pod_log = Log()
        self.images_version = 0
        self.image_rows: dict[str, dict[int, int]] = {}
        """Image name to the rows that have it, with its size there."""
        self.ports: dict[tuple[str, int], dict[int, dict[str, int]]] = {}
        """Protocol and port to row to address to the number of pods with it (one, unless somebody assigned pods by hand)."""
        self.pods_on: dict[str, dict[str, PodInfo]] = {}
        self.relations = Relations(rows)
        self.volumes = VolumeCache()
        self.devices = DeviceCache()
        self._facts: dict[str, NodeFacts] = {}
        self._node_of: dict[str, str] = {}
        self._free = list(range(rows - 1, -1, -1))

    def __len__(self) -> int:
        return len(self.row_of)

    @property
    def all_rows(self) -> slice:
        return slice(0, self.capacity)

    # ---- nodes ------------------------------------------------------------------------------------------------------------------------

    def put_node(self, node: NodeLike) -> NodeFacts | None:
        """Record an added or changed node. Returns the previous facts: the same object when nothing relevant changed, None at first."""
        facts = node_facts(node)
        name = facts.name
        before = self._facts.get(name)
        if before == facts:
            return before
        if before is None:
            self._take_row(name)
        row = self.row_of[name]
        self._facts[name] = facts
        if before is None or before.labels != facts.labels:
            self.relations.labels_changed()
        self.unschedulable[row] = facts.unschedulable
        self.taints.put(row, facts.taints)
        if self.taints.is_wasteful:
            self._renew_taints()
        self.labels.put(row, facts.labels)
        self._put_allocatable(row, facts.allocatable)
        if before is None or before.images != facts.images:
            self._put_images(row, before.images if before is not None else (), facts.images)
        self.node_log.note(row)
        return before

    def drop_node(self, name: str) -> None:
        """Remove a node. Pods assigned to it are remembered until they are removed as well."""
        row = self.row_of.pop(name, None)
        if row is None:
            return
        for info in self.pods_on.get(name, {}).values():
            self._count(row, info, -1)
        facts = self._facts.pop(name)
        self._put_images(row, facts.images, ())
        self.relations.labels_changed()
        self.names[row] = ""
        self.alive[row] = False
        self.unschedulable[row] = False
        self.taints.put(row, None)
        self.labels.put(row, {})
        self.allocatable[row] = 0
        self.used[row] = 0
        self.assumed[row] = 0
        self._free.append(row)
        self.node_log.note(row)

    def facts(self, name: str) -> NodeFacts | None:
        """Return the facts about a node, or None for an unknown one."""
        return self._facts.get(name)

    def label(self, key: str) -> Column[str]:
        """Return the column of a label."""
        return self.labels.column(key, self._all_labels)

    def resource(self, name: str) -> int:
        """Return the column of a resource, created when it is new."""
        column = self.resources.get(name)
        if column is None:
            column = self.resources[name] = self.allocatable.shape[1]
            empty = np.zeros((self.capacity, 1), dtype=np.int64)
            self.allocatable = np.hstack((self.allocatable, empty))
            self.used = np.hstack((self.used, empty))
        return column

    def _all_labels(self) -> list[tuple[int, Mapping[str, str]]]:
        return [(row, self._facts[name].labels) for name, row in self.row_of.items()]

    def _take_row(self, name: str) -> None:
        if not self._free:
            self._grow()
        row = self._free.pop()
        self.row_of[name] = row
        self.names[row] = name
        self.alive[row] = True
        for info in self.pods_on.get(name, {}).values():
            self._count(row, info, 1)

    def _grow(self) -> None:
        old, new = self.capacity, self.capacity * 2
        self.capacity = new
        self.names.extend([""] * (new - old))
        self.alive, self.unschedulable = grown(self.alive, new), grown(self.unschedulable, new)
        self.allocatable, self.used, self.assumed = grown(self.allocatable, new), grown(self.used, new), grown(self.assumed, new)
        self.taints.grow(new)
        self.labels.grow(new)
        self.relations.grow(new)
        self._free = list(range(new - 1, old - 1, -1))

    def _renew_taints(self) -> None:
        self.taints = Column(self.capacity)
        for name, row in self.row_of.items():
            self.taints.put(row, self._facts[name].taints)

    def _put_allocatable(self, row: int, allocatable: Mapping[str, str]) -> None:
        # Columns first: a new one replaces the arrays.
        values = {self.resource(name): value for name, value in amounts(allocatable).items()}  # type: ignore[arg-type]
        self.allocatable[row] = 0
        for column, value in values.items():
            self.allocatable[row, column] = value

    def _put_images(self, row: int, before: Iterable[tuple[tuple[str, ...], int]], after: Iterable[tuple[tuple[str, ...], int]]) -> None:
        for names, _ in before:
            for name in map(image_name, names):
                rows = self.image_rows.get(name)
                if rows is not None:
                    rows.pop(row, None)
                    if not rows:
                        del self.image_rows[name]
        for names, size in after:
            for name in map(image_name, names):
                self.image_rows.setdefault(name, {})[row] = size
        self.images_version += 1

    # ---- pods -------------------------------------------------------------------------------------------------------------------------

    def node_of(self, uid: str) -> str | None:
        """Return the node that a pod is counted on."""
        return self._node_of.get(uid)

    def info_of(self, uid: str) -> PodInfo | None:
        """Return the entry of a pod on a node, or None for an unknown one."""
        node = self._node_of.get(uid)
        return self.pods_on[node][uid] if node is not None else None

    def put_pod(self, info: PodInfo, node: str) -> None:
        """Record a pod on a node, or about to be; also one that changed or moved."""
        before = self._node_of.get(info.uid)
        if before is not None:
            known = self.pods_on[before][info.uid]
            same = known.template is info.template and known.social is info.social and known.volumes == info.volumes
            if before == node and same and known.terminating == info.terminating:
                self.pods_on[before][info.uid] = info
                return
            self.drop_pod(info.uid)
        self._node_of[info.uid] = node
        self.pods_on.setdefault(node, {})[info.uid] = info
        if info.volumes is not None:
            self.volumes.put_pod(info.uid, info.volumes, node)
        row = self.row_of.get(node)
        if row is not None:
            self._count(row, info, 1)
            self.pod_log.note(row)

    def drop_pod(self, uid: str) -> PodInfo | None:
        """Remove a pod from its node. Returns its entry."""
        node = self._node_of.pop(uid, None)
        if node is None:
            return None
        pods = self.pods_on[node]
        info = pods.pop(uid)
        if not pods:
            del self.pods_on[node]
        if info.volumes is not None:
            self.volumes.drop_pod(uid, info.volumes, node)
        row = self.row_of.get(node)
        if row is not None:
            self._count(row, info, -1)
            self.pod_log.note(row)
        return info

    def _count(self, row: int, info: PodInfo, sign: int) -> None:
        requests = info.template.requests
        for name, value in requests.amounts.items():
            column = self.resource(name)
            self.used[row, column] += sign * value
        self.used[row, self.resources[PODS]] += sign
        self.assumed[row, 0] += sign * requests.assumed_cpu
        self.assumed[row, 1] += sign * requests.assumed_memory
        for port in info.template.ports:
            self._count_port(row, port, sign)
        self.relations.count(Placed(row, info.social, info.terminating), sign)

    def _count_port(self, row: int, port: HostPort, sign: int) -> None:
        rows = self.ports.setdefault((port.protocol, port.port), {})
        addresses = rows.setdefault(row, {})
        addresses[port.ip] = addresses.get(port.ip, 0) + sign
        if addresses[port.ip] <= 0:
            del addresses[port.ip]
        if not addresses:
            del rows[row]
        if not rows:
            del self.ports[(port.protocol, port.port)]

    # ---- groups of pods ---------------------------------------------------------------------------------------------------------------

    def spread_tally(self, group: Group) -> Tally:
        """Return the tally of a group, for spreading."""
        return self.relations.spread_tally(group, self._placed())

    def group_tally(self, groups: tuple[Group, ...]) -> Tally:
        """Return the tally of the pods that are in all of the groups."""
        return self.relations.group_tally(groups, self._placed())

    def _placed(self) -> Iterator[Placed]:
        for name, pods in self.pods_on.items():
            row = self.row_of.get(name)
            if row is not None:
                for info in pods.values():
                    yield Placed(row, info.social, info.terminating)
