"""the kubelet's own (`families`), those of probes (`probes`), and use: read (`groups`), gathered (`use`), written (`cadvisor`)."""
