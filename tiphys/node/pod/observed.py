"""Sandboxes and containers that the runtime reports, as plain values that the pure parts work on.

`Observed` is everything known about one pod: its sandboxes and containers, the newest first. Times are seconds since 1970.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Literal

import msgspec

from tiphys.node.names import ContainerKind

State = Literal["created", "running", "exited", "unknown"]


class User(msgspec.Struct, frozen=True):
    """User and groups of a process."""

    uid: int
    gid: int
    groups: tuple[int, ...] = ()


class SeenContainer(msgspec.Struct, frozen=True):
    """One container, alive or dead."""

    id: str
    name: str
    attempt: int
    state: State
    sandbox: str
    created: float = 0.0
    started: float = 0.0
    finished: float = 0.0
    exit_code: int = 0
    reason: str = ""
    message: str = ""
    image: str = ""
    image_ref: str = ""
    image_id: str = ""
    hash: str = ""
    kind: ContainerKind = "main"
    grace: int | None = None
    log_path: str = ""
    user: User | None = None
    """User of its first process; None where the runtime does not report it (before containerd 2.0)."""

    @property
    def failed(self) -> bool:
        """True if it ended with something other than success."""
        return self.state == "unknown" or (self.state == "exited" and self.exit_code != 0)


class SeenSandbox(msgspec.Struct, frozen=True):
    """One sandbox: the namespaces and addresses that a pod's containers share."""

    id: str
    attempt: int
    ready: bool
    created: float = 0.0
    ips: tuple[str, ...] = ()
    handler: str = ""
    """Handler of the runtime that made it, "" for the default one."""


class Observed(msgspec.Struct, frozen=True):
    """All sandboxes and containers of one pod, the newest first."""

    uid: str
    namespace: str = ""
    name: str = ""
    sandboxes: tuple[SeenSandbox, ...] = ()
    containers: tuple[SeenContainer, ...] = ()

    @property
    def sandbox(self) -> SeenSandbox | None:
        """The newest sandbox."""
        return self.sandboxes[0] if self.sandboxes else None

    def all_of(self, name: str) -> Iterator[SeenContainer]:
        """The containers of this name, the newest first."""
        return (container for container in self.containers if container.name == name)

    def latest(self, name: str) -> SeenContainer | None:
        """The newest container of this name."""
        return next(self.all_of(name), None)

    @property
    def running(self) -> tuple[SeenContainer, ...]:
        """Containers that are alive, or might be."""
        return tuple(container for container in self.containers if container.state in ("running", "unknown"))

    def without(self, ids: Collection[str]) -> Observed:
        """The same pod without the containers of these ids."""
        if not ids:
            return self
        return msgspec.structs.replace(self, containers=tuple(one for one in self.containers if one.id not in ids))

    @property
    def empty(self) -> bool:
        return not self.sandboxes and not self.containers


def ordered(uid: str, namespace: str, name: str, sandboxes: list[SeenSandbox], containers: list[SeenContainer]) -> Observed:
    """An Observed with sandboxes and containers put in order, the newest first."""
    sandboxes = sorted(sandboxes, key=lambda box: (box.attempt, box.created), reverse=True)
    containers = sorted(containers, key=lambda one: (one.created, one.attempt), reverse=True)
    return Observed(uid, namespace, name, tuple(sandboxes), tuple(containers))
