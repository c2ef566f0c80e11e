"""Aggregated API servers: `apiregistration.k8s.io`."""
