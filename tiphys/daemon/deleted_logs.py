"""Logs of deleted pods that a node's directory still holds, for the command line."""

from __future__ import annotations

from collections.abc import Iterator

from tiphys.daemon.settings import ClusterSettings
from tiphys.node.container.logs import LogOptions
from tiphys.node.garbage.kept_logs import KeptLog, kept_logs, read

__all__ = ["KeptLog", "deleted_logs", "text"]


def deleted_logs(settings: ClusterSettings) -> list[KeptLog]:
    """Return the logs of deleted pods, the newest first. Raises OSError where they may not be read."""
    return kept_logs(settings.kubelet.log_root or settings.node_dir / "logs")


def text(log: KeptLog, *, tail: int | None, timestamps: bool) -> Iterator[bytes]:
    """Yield the text of a log. Raises OSError."""
    return read(log, LogOptions(tail=tail, timestamps=timestamps))
