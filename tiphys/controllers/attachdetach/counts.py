"""Metrics of attached volumes, read at scrape time from counts that are kept as volumes change."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from tiphys.api.helpers.attachments import PLUGIN, parse_unique_name
from tiphys.api.storage.v1 import VolumeAttachment
from tiphys.controllers.attachdetach.plan import Claimant
from tiphys.obs import metrics
from tiphys.runtime import Informer


class Counts:
    """Nodes that need each volume, with the number of their pods that do."""

    def __init__(self) -> None:
        self._nodes: dict[str, dict[str, int]] = {}

    def note(self, volume: str, claimants: Sequence[Claimant]) -> None:
        """Record who needs a volume now."""
        if claimants:
            self._nodes[volume] = {one.node: len(one.pods) for one in claimants}
        else:
            self._nodes.pop(volume, None)

    def declare(self, attachments: Informer[VolumeAttachment]) -> None:
        """Declare the metrics that are read from here and from the attachments."""
        metrics.collected(
            "storage_count_attachable_volumes_in_use", "gauge", "Volumes that pods use, by node and plugin.", "node", "volume_plugin",
            read=self._in_use,
        )  # fmt: skip
        metrics.collected(
            "attachdetach_controller_total_volumes", "gauge", "Volumes that should be attached, and that are.", "plugin_name", "state",
            read=lambda: [*self._desired(), *_actual(attachments)],
        )  # fmt: skip

    def _in_use(self) -> metrics.Samples:
        counts: Counter[tuple[str, str]] = Counter()
        for volume, nodes in self._nodes.items():
            for node, pods in nodes.items():
                counts[node, _plugin(volume)] += pods
        return [(labels, count) for labels, count in counts.items()]

    def _desired(self) -> metrics.Samples:
        counts: Counter[str] = Counter()
        for volume, nodes in self._nodes.items():
            counts[_plugin(volume)] += len(nodes)
        return [((plugin, "desired_state_of_world"), count) for plugin, count in counts.items()]


def _actual(attachments: Informer[VolumeAttachment]) -> metrics.Samples:
    counts = Counter(f"{PLUGIN}:{attachment.spec.attacher}" for attachment in attachments.list())
    return [((plugin, "actual_state_of_world"), count) for plugin, count in counts.items()]


def _plugin(volume: str) -> str:
    """Return the label of a volume's plugin."""
    parts = parse_unique_name(volume)
    return f"{PLUGIN}:{parts[0]}" if parts is not None else "N/A"
