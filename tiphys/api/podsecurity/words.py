"""Shared parts of the checks: selection of containers, and the wording of a finding."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from tiphys.api.core.v1 import Container, EphemeralContainer, PodSpec, SecurityContext
from tiphys.api.meta.v1 import ObjectMeta


class Finding(NamedTuple):
    """Violation by a pod: the reason in a few words, and the place."""

    reason: str
    detail: str


Check = Callable[[ObjectMeta, PodSpec], Finding | None]
AnyContainer = Container | EphemeralContainer


def containers(spec: PodSpec) -> Iterator[AnyContainer]:
    """All containers of a pod, in the order in which findings name them."""
    yield from spec.initContainers
    yield from spec.containers
    yield from spec.ephemeralContainers


def secured(spec: PodSpec) -> Iterator[tuple[str, SecurityContext]]:
    """Names and security contexts of the containers that have one."""
    for container in containers(spec):
        if container.securityContext is not None:
            yield container.name, container.securityContext


def quoted(items: Iterable[Any]) -> str:
    return ", ".join(f'"{item}"' for item in items)


def plural(one: str, many: str, count: int) -> str:
    return one if count == 1 else many


def named(names: Sequence[str]) -> str:
    """`container "a"` or `containers "a", "b"`."""
    return f"{plural('container', 'containers', len(names))} {quoted(names)}"


def setters(pod: bool, names: Sequence[str]) -> str:
    """Name those that set a field: the pod, containers, or both."""
    return " and ".join([*(["pod"] if pod else []), *([named(names)] if names else [])])


def in_user_namespace(spec: PodSpec) -> bool:
    """True if root in the pod is nobody on the node (KEP-127)."""
    return spec.hostUsers is False


def on_windows(spec: PodSpec) -> bool:
    return spec.os is not None and spec.os.name == "windows"
