"""Metrics of the kubelet (`families`), its probes (`probes`), and use: read (`groups`, `pods`, `node`), written (`cadvisor` and others)."""
