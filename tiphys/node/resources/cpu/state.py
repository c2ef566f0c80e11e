"""The content of `cpu_manager_state`: which containers own which CPUs. Pure."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from tiphys.node.host.cpuset import format_cpus, parse_cpus
from tiphys.node.resources.checksum import Fields, Typed, dumped, fnv32a

Owners = Mapping[str, Mapping[str, frozenset[int]]]
"""CPUs by the uid of the pod and the name of the container."""


class _File(msgspec.Struct, omit_defaults=True):
    policyName: str
    defaultCpuSet: str
    entries: dict[str, dict[str, str]] = {}
    checksum: int = 0


class Content(msgspec.Struct, frozen=True):
    """State as a checkpoint has it. `shared` are the CPUs that nobody owns."""

    policy: str
    shared: frozenset[int] = frozenset()
    owners: Owners = {}


def _sum(file: _File) -> int:
    fields = Fields(
        PolicyName=Typed("string", file.policyName),
        DefaultCPUSet=Typed("string", file.defaultCpuSet),
        Entries=Typed("map[string]map[string]string", file.entries),
        Checksum=Typed("checksum.Checksum", 0),
    )
    return fnv32a(dumped(Typed("*state.CPUManagerCheckpoint", fields)))


def encoded(content: Content) -> bytes:
    """Return the file of a state."""
    entries = {
        uid: {name: format_cpus(cpus) for name, cpus in sorted(containers.items())} for uid, containers in sorted(content.owners.items())
    }
    file = _File(content.policy, format_cpus(content.shared), entries)
    file.checksum = _sum(file)
    return msgspec.json.encode(file)


def decoded(data: bytes) -> Content:
    """Return the state of a file. Raises ValueError for one that is damaged."""
    try:
        file = msgspec.json.decode(data, type=_File)
    except msgspec.MsgspecError as error:
        raise ValueError(f"checkpoint is corrupted: {error}") from error
    if file.checksum and file.checksum != _sum(file):
        raise ValueError(f"checkpoint is corrupted: its checksum is {file.checksum}, that of its content {_sum(file)}")
    owners = {uid: {name: parse_cpus(text) for name, text in containers.items()} for uid, containers in file.entries.items()}
    return Content(file.policyName, parse_cpus(file.defaultCpuSet), owners)


def check(content: Content, *, policy: str, online: frozenset[int], reserved: frozenset[int], strict: bool) -> None:
    """Raise ValueError for a state that does not fit the machine and the settings, with upstream's messages.

    With `strict`, the reserved CPUs are not shared; otherwise they always are.
    """
    if content.policy != policy:
        raise ValueError(f'configured policy "{policy}" differs from state checkpoint policy "{content.policy}"')
    shared, text = content.shared, format_cpus
    if not shared and not content.owners:
        return
    if strict and shared & reserved:
        raise ValueError(f'some of strictly reserved cpus: "{text(shared & reserved)}" are present in defaultCpuSet: "{text(shared)}"')
    if not strict and not reserved <= shared:
        raise ValueError(f'not all reserved cpus: "{text(reserved)}" are present in defaultCpuSet: "{text(shared)}"')
    known = set(shared)
    for uid, containers in content.owners.items():
        for name, cpus in containers.items():
            if cpus & shared:
                raise ValueError(f'pod: {uid}, container: {name} cpuset: "{text(cpus)}" overlaps with default cpuset "{text(shared)}"')
            known |= cpus
    expected = online - reserved if strict else online
    if known != expected:
        raise ValueError(f'current set of available CPUs "{text(expected)}" doesn\'t match with CPUs in state "{text(known)}"')
