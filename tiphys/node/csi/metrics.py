"""Metrics of drivers ("Kubernetes Metrics Reference")."""

from __future__ import annotations

from tiphys.obs import metrics

BUCKETS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 25.0, 50.0, 120.0, 300.0, 600.0)

OPERATIONS = metrics.histogram(
    "csi_operations_seconds", "Time of calls to CSI drivers, in seconds, by driver, method and result.",
    "driver_name", "method_name", "grpc_status_code", "migrated",
    buckets=BUCKETS,
)  # fmt: skip
STATS_SECONDS = metrics.histogram(
    "kubelet_volume_metric_collection_duration_seconds", "Time to measure a volume, in seconds.", "metric_source"
)
