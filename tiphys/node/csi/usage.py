"""Use of a volume as its driver measures it. Pure."""

from __future__ import annotations

from msgspec.structs import replace

from tiphys.csi.pb import csi_pb2 as pb
from tiphys.node.volumes.payload import VolumeError
from tiphys.node.volumes.plugin import VolumeStats


def volume_stats(answer: pb.NodeGetVolumeStatsResponse, *, with_condition: bool) -> VolumeStats:
    """Return the figures in an answer of a driver, which may report the condition of volumes. Raises VolumeError without any figure.

    Negative figures, which the interface forbids, are left out.
    """
    if not answer.usage and not with_condition:
        raise VolumeError("failed to get usage from response. usage is nil")
    stats = VolumeStats()
    for usage in answer.usage:
        total, available, used = (value if value >= 0 else None for value in (usage.total, usage.available, usage.used))
        if usage.unit == pb.VolumeUsage.BYTES:
            stats = replace(stats, capacity=total, available=available, used=used)
        elif usage.unit == pb.VolumeUsage.INODES:
            stats = replace(stats, inodes=total, inodes_free=available, inodes_used=used)
    if with_condition:
        stats = replace(stats, abnormal=answer.volume_condition.abnormal, message=answer.volume_condition.message)
    return stats
