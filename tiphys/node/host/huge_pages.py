"""Huge pages of the machine and of containers ("Manage HugePages").

A page of 2 MiB is the resource `hugepages-2Mi`, the directory `hugepages-2048kB` of sysfs, and `2MB` for the control group `hugetlb`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from tiphys.api.core import v1 as core
from tiphys.api.machinery import quantity
from tiphys.api.machinery.base import Quantity

PREFIX = "hugepages-"
SYSFS = Path("/sys/kernel/mm/hugepages")
_DIRECTORY = re.compile(r"hugepages-(\d+)kB")
_UNITS = ("B", "KB", "MB", "GB", "TB", "PB")


class HugePagesError(Exception):
    """A medium of huge pages that the pod cannot have; the message is upstream's."""


def pages(root: Path = SYSFS) -> dict[int, int]:
    """Return the number of huge pages by their size in bytes: of the machine, or of a NUMA node with another root. Blocking."""
    result = {}
    for directory in root.glob("hugepages-*kB"):
        match = _DIRECTORY.fullmatch(directory.name)
        try:
            if match is not None:
                result[int(match[1]) * 1024] = int((directory / "nr_hugepages").read_text(encoding="ascii"))
        except (OSError, ValueError):
            continue
    return result


def resource_name(size: int) -> str:
    """Return the resource of pages of a size in bytes."""
    return f"{PREFIX}{quantity.format_value(size, 'binary')}"


def capacity(by_size: Mapping[int, int]) -> dict[str, str]:
    """Return the bytes in huge pages as a node's capacity, by resource."""
    return {resource_name(size): str(quantity.format_value(size * count, "binary")) for size, count in sorted(by_size.items())}


def total(by_size: Mapping[int, int]) -> int:
    """Return the bytes in huge pages, which are no ordinary memory."""
    return sum(size * count for size, count in by_size.items())


def limits(listed: Mapping[str, Quantity]) -> dict[str, int]:
    """Return the limits of a container in bytes, by the size as the control group names it: `2MB`."""
    return {
        _group_name(quantity.whole(name.removeprefix(PREFIX))): quantity.whole(amount)
        for name, amount in listed.items()
        if name.startswith(PREFIX)
    }


def _group_name(size: int) -> str:
    unit = 0
    while size >= 1024 and size % 1024 == 0:
        size, unit = size // 1024, unit + 1
    return f"{size}{_UNITS[unit]}"


def page_size(pod: core.Pod, medium: str) -> int:
    """Return the size in bytes of the pages of an emptyDir with the medium `HugePages` or `HugePages-<size>`. Raises HugePagesError."""
    containers = (*pod.spec.initContainers, *pod.spec.containers)
    sizes = {
        quantity.whole(name.removeprefix(PREFIX))
        for container in containers
        for name in {**container.resources.limits, **container.resources.requests}
        if name.startswith(PREFIX)
    }
    named = medium.removeprefix("HugePages").removeprefix("-")
    if named:
        try:
            sizes &= {quantity.whole(named)}
        except ValueError:
            raise HugePagesError(f'unknown storage medium "{medium}"') from None
    if not sizes:
        raise HugePagesError(f"medium {medium}: hugePages storage requested, but there is no resource request for huge pages")
    if len(sizes) > 1:
        raise HugePagesError(f"medium {medium}: the pod requests huge pages of several sizes, so the medium has to name one")
    return sizes.pop()
