"""Metrics of a node: the kubelet's own (`families`), those of probes (`probes`), and the pages of containers' use (`cadvisor`)."""
