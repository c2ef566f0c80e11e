"""Use of nodes and pods: `metrics.k8s.io`."""
