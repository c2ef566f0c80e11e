"""Options of the embedded store."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Options:
    """Limits and periods; the defaults suit a cluster of one machine.

    History is kept for `keep_seconds`, but never fewer than `keep_revisions` nor more than `max_revisions` revisions, whatever their age:
    the first bound is kind to watches that resume on a quiet cluster, the second bounds the file on a busy one.
    """

    max_bytes: int = 8192 * MIB
    """Size of live data and history at which the alarm goes on and creates and updates are refused."""
    min_free_bytes: int = 128 * MIB
    """Free space of the file system under which the alarm goes on."""
    keep_revisions: int = 10_000
    keep_seconds: float = 300.0
    max_revisions: int = 50_000
    watch_buffer: int = 10_000
    """Unread events after which a watch is dropped."""
    tick: float = 1.0
    """Seconds between looks at deadlines, sizes and history."""
    group: int = 256
    """Writes in one commit at most."""
    compaction_batch: int = 512
    """Revisions forgotten between two commits at most."""

    def __post_init__(self) -> None:
        if self.compaction_batch < 2 * self.group:
            raise ValueError("compaction_batch must be at least twice the group, or writers could outrun compaction")

    @property
    def hard_max_bytes(self) -> int:
        """Size limit that SQLite itself enforces: above the alarm, to leave room for deletes."""
        return self.max_bytes + max(MIB, self.max_bytes // 8)
