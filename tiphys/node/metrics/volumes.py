"""Families about volumes, read when they are scraped ("Kubernetes Metrics Reference")."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from tiphys.node.volumes.plugin import MountRecord, VolumeStats
from tiphys.node.volumes.volume_stats import Measured
from tiphys.obs import metrics

_STATS: tuple[tuple[str, str, Callable[[VolumeStats], int | None]], ...] = (
    ("capacity_bytes", "Capacity of the volume, in bytes.", lambda stats: stats.capacity),
    ("available_bytes", "Free bytes of the volume.", lambda stats: stats.available),
    ("used_bytes", "Used bytes of the volume.", lambda stats: stats.used),
    ("inodes", "Inodes of the volume.", lambda stats: stats.inodes),
    ("inodes_free", "Free inodes of the volume.", lambda stats: stats.inodes_free),
    ("inodes_used", "Used inodes of the volume.", lambda stats: stats.inodes_used),
    (
        "health_status_abnormal",
        "1 if the driver says that the volume is damaged, else 0.",
        lambda stats: None if stats.abnormal is None else int(stats.abnormal),
    ),
)


def volume_lines(measured: Sequence[Measured], mounted: Sequence[MountRecord], desired: Sequence[MountRecord]) -> Iterator[str]:
    """Yield the use of claims, each once, and the number of mounted volumes by plugin."""
    claims = {(one.record.namespace, one.record.claim): one.stats for one in measured if one.record.claim}
    for suffix, doc, figure in _STATS:
        samples = [(claim, value) for claim, stats in claims.items() if (value := figure(stats)) is not None]
        if samples:
            name = f"kubelet_volume_stats_{suffix}"
            yield metrics.head(name, "gauge", doc, "ALPHA")
            for claim, value in samples:
                yield metrics.sample(name, metrics.pairs(("namespace", "persistentvolumeclaim"), claim), value)
    if desired:
        yield metrics.head("volume_manager_total_volumes", "gauge", "Volumes of pods that are mounted, and those that should be.", "ALPHA")
        for state, records in (("actual_state_of_world", mounted), ("desired_state_of_world", desired)):
            for plugin, count in Counter(record.plugin for record in records).items():
                labels = metrics.pairs(("plugin_name", "state"), (plugin, state))
                yield metrics.sample("volume_manager_total_volumes", labels, count)
