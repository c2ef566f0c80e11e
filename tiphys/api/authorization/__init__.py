"""Rights of callers: `authorization.k8s.io`."""
