"""EndpointSlices: `discovery.k8s.io`."""
