"""Identity of callers: `authentication.k8s.io`."""
