"""Selection of the logs of deleted pods that go. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec


class KeptFile(msgspec.Struct, frozen=True):
    """One file of a container's log."""

    path: str
    """Below the pod's directory, and ends in `<container>/<file>`."""
    size: int
    modified: float = 0.0


class KeptPod(msgspec.Struct, frozen=True):
    """Logs of one deleted pod."""

    path: str
    deleted: float
    """Time at which the pod left the node, in seconds since 1970."""
    files: tuple[KeptFile, ...] = ()


class Surplus(msgspec.Struct, frozen=True):
    """Paths to remove."""

    pods: tuple[str, ...] = ()
    """Directories, with all that they hold."""
    files: tuple[str, ...] = ()


def surplus(pods: Sequence[KeptPod], *, max_age: float, max_bytes: int, now: float) -> Surplus:
    """Return what is too old, and of the rest what exceeds the budget: the oldest pods, and the oldest files of the last one."""
    gone = [pod.path for pod in pods if now - pod.deleted > max_age or not pod.files]
    left = sorted((pod for pod in pods if pod.path not in gone), key=lambda pod: (pod.deleted, pod.path))
    total = sum(file.size for pod in left for file in pod.files)
    files: list[str] = []
    for pod in left:
        if total <= max_bytes:
            break
        size = sum(file.size for file in pod.files)
        if total - size >= max_bytes:
            gone.append(pod.path)
            total -= size
            continue
        for file in sorted(pod.files, key=lambda file: (file.modified, file.path)):
            if total > max_bytes:
                files.append(file.path)
                total -= file.size
    return Surplus(tuple(gone), tuple(files))
