"""Metrics of the kubelet (`families`), of probes (`probes`), and of use: read (`groups`), gathered (`use`), written (`cadvisor`)."""
