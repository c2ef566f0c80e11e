"""Options of the static policy ("Control CPU Management Policies on the Node": static policy options)."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec


class CpuOptions(msgspec.Struct, frozen=True, rename="kebab"):
    """Ways in which CPUs are chosen. All are off by default."""

    full_pcpus_only: bool = False
    """Only whole cores: a container that would share one is refused."""
    distribute_cpus_across_numa: bool = False
    """The same number of CPUs from each NUMA node, where a single one is not enough."""
    align_by_socket: bool = False
    """Alignment with sockets rather than with NUMA nodes."""
    distribute_cpus_across_cores: bool = False
    """Threads of different cores, as long as there are some."""
    strict_cpu_reservation: bool = False
    """No container runs on the reserved CPUs."""
    prefer_align_cpus_by_uncorecache: bool = msgspec.field(default=False, name="prefer-align-cpus-by-uncorecache")
    """CPUs that share a last-level cache, as long as there are enough."""


_NAMES = {field.encode_name: field.name for field in msgspec.structs.fields(CpuOptions)}
_EXCLUSIVE = (
    ("full-pcpus-only", "distribute-cpus-across-cores"),
    ("distribute-cpus-across-numa", "distribute-cpus-across-cores"),
    ("prefer-align-cpus-by-uncorecache", "distribute-cpus-across-cores"),
    ("prefer-align-cpus-by-uncorecache", "distribute-cpus-across-numa"),
)


def read_bool(text: str) -> bool:
    """Return the boolean that Go's strconv.ParseBool reads. Raises ValueError."""
    if text in ("1", "t", "T", "TRUE", "true", "True"):
        return True
    if text in ("0", "f", "F", "FALSE", "false", "False"):
        return False
    raise ValueError(f"{text!r} is neither true nor false")


def read_options(values: Mapping[str, str]) -> CpuOptions:
    """Return the options of a mapping from their names. Raises ValueError for unknown ones, and for two that exclude each other."""
    options = {}
    for name, text in values.items():
        if name not in _NAMES:
            raise ValueError(f'unknown CPU Manager Policy option: "{name}"')
        try:
            options[_NAMES[name]] = read_bool(text)
        except ValueError as error:
            raise ValueError(f'bad value for option "{name}": {error}') from None
    for one, other in _EXCLUSIVE:
        if options.get(_NAMES[one]) and options.get(_NAMES[other]):
            raise ValueError(f"static policy options {one} and {other} can not be used at the same time")
    return CpuOptions(**options)
