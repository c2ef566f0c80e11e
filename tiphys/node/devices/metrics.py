"""Metrics of device plugins ("Kubernetes Metrics Reference")."""

from __future__ import annotations

from tiphys.obs import metrics

REGISTRATIONS = metrics.counter(
    "kubelet_device_plugin_registration_total", "Registrations of device plugins, by resource.", "resource_name"
)
ALLOCATIONS = metrics.histogram(
    "kubelet_device_plugin_alloc_duration_seconds", "Time of Allocate calls to device plugins, in seconds, by resource.", "resource_name"
)
