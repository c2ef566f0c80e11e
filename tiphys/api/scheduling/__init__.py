"""Priority classes: `scheduling.k8s.io`."""
