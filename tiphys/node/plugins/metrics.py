"""Metrics of the registration of plugins ("Kubernetes Metrics Reference")."""

from __future__ import annotations

from tiphys.obs import metrics

PLUGINS = metrics.gauge(
    "plugin_manager_total_plugins", "Plugins by socket: those that are there, and those that are registered.", "socket_path", "state"
)
