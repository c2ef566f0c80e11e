"""The content of `memory_manager_state`: which containers own memory of which NUMA nodes. Pure."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from tiphys.node.resources.checksum import Fields, Typed, dumped, fnv32a
from tiphys.node.resources.memory.book import Block, Machine, Store, usage

Owners = Mapping[str, Mapping[str, tuple[Block, ...]]]
"""Memory by the uid of the pod and the name of the container."""


class _Table(msgspec.Struct):
    total: int
    systemReserved: int
    allocatable: int
    reserved: int
    free: int


class _Node(msgspec.Struct):
    numberOfAssignments: int
    memoryMap: dict[str, _Table]
    cells: list[int]


class _Entry(msgspec.Struct):
    numaAffinity: list[int]
    type: str
    size: int


class _File(msgspec.Struct, omit_defaults=True):
    policyName: str
    machineState: dict[str, _Node]
    entries: dict[str, dict[str, list[_Entry]]] = {}
    checksum: int = 0


class Content(msgspec.Struct, frozen=True):
    """State as a checkpoint has it."""

    policy: str
    machine: Machine = {}
    owners: Owners = {}


def _table(table: _Table) -> Fields:
    return Fields(
        TotalMemSize=Typed("uint64", table.total),
        SystemReserved=Typed("uint64", table.systemReserved),
        Allocatable=Typed("uint64", table.allocatable),
        Reserved=Typed("uint64", table.reserved),
        Free=Typed("uint64", table.free),
    )


def _node(node: _Node) -> Fields:
    tables = {name: Typed("*state.MemoryTable", _table(table)) for name, table in node.memoryMap.items()}
    return Fields(
        NumberOfAssignments=Typed("int", node.numberOfAssignments),
        MemoryMap=Typed("map[v1.ResourceName]*state.MemoryTable", tables),
        Cells=Typed("[]int", node.cells),
    )


def _entry(entry: _Entry) -> Fields:
    return Fields(
        NUMAAffinity=Typed("[]int", entry.numaAffinity),
        Type=Typed("v1.ResourceName", entry.type),
        Size=Typed("uint64", entry.size),
    )


def _sum(file: _File) -> int:
    nodes = {int(number): Typed("*state.NUMANodeState", _node(node)) for number, node in file.machineState.items()}
    entries = {
        uid: {name: [_entry(entry) for entry in blocks] for name, blocks in containers.items()} for uid, containers in file.entries.items()
    }
    fields = Fields(
        PolicyName=Typed("string", file.policyName),
        MachineState=Typed("state.NUMANodeMap", nodes),
        Entries=Typed("state.ContainerMemoryAssignments", entries),
        Checksum=Typed("checksum.Checksum", 0),
    )
    return fnv32a(dumped(Typed("*state.MemoryManagerCheckpoint", fields)))


def encoded(content: Content) -> bytes:
    """Return the file of a state."""
    blocks = [block for containers in content.owners.values() for own in containers.values() for block in own]
    nodes = {}
    for number, one in sorted(usage(content.machine, blocks).items()):
        tables = {}
        for name, store in content.machine[number].items():
            used = one.used.get(name, 0)
            tables[name] = _Table(store.total, store.reserved, store.usable, used, store.usable - used)
        nodes[str(number)] = _Node(one.blocks, tables, sorted(one.group))
    entries = {
        uid: {name: [_Entry(sorted(block.nodes), block.resource, block.size) for block in own] for name, own in sorted(containers.items())}
        for uid, containers in sorted(content.owners.items())
    }
    file = _File(content.policy, nodes, entries)
    file.checksum = _sum(file)
    return msgspec.json.encode(file)


def decoded(data: bytes) -> Content:
    """Return the state of a file. Raises ValueError for one that is damaged."""
    try:
        file = msgspec.json.decode(data, type=_File)
        total = _sum(file)
    except (msgspec.MsgspecError, ValueError) as error:
        raise ValueError(f"checkpoint is corrupted: {error}") from error
    if file.checksum != total:
        raise ValueError(f"checkpoint is corrupted: its checksum is {file.checksum}, that of its content {total}")
    machine = {
        int(number): {name: Store(table.total, table.systemReserved, table.allocatable) for name, table in node.memoryMap.items()}
        for number, node in file.machineState.items()
    }
    owners = {
        uid: {name: tuple(Block(frozenset(one.numaAffinity), one.type, one.size) for one in own) for name, own in containers.items()}
        for uid, containers in file.entries.items()
    }
    return Content(file.policyName, machine, owners)


def check(content: Content, *, policy: str, machine: Machine) -> None:
    """Raise ValueError for a state that does not fit the machine and the settings, with upstream's messages.

    The machine may have another size than before, as virtual ones do after a while, if it still has all that containers own.
    """
    if content.policy != policy:
        raise ValueError(f'configured policy "{policy}" differs from state checkpoint policy "{content.policy}"')
    if not content.machine and content.owners:
        raise ValueError("[memorymanager] machine state can not be empty when it has memory assignments")
    blocks = [block for containers in content.owners.values() for own in containers.values() for block in own]
    used = usage(machine, blocks)
    for block in blocks:
        owned = sum(one.size for one in blocks if one.resource == block.resource and one.nodes == block.nodes)
        room = sum(used[node].used.get(block.resource, 0) for node in block.nodes if node in used)
        if not block.nodes <= machine.keys() or room < owned:
            raise ValueError("[memorymanager] the expected machine state is different from the real one")
