"""Events: `events.k8s.io`."""
