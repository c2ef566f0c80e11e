"""Runtime classes: `node.k8s.io`."""
