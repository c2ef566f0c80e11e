"""Certificate signing requests: `certificates.k8s.io`."""
