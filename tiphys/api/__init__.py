"""Types and rules of the Kubernetes API. Pure; the map of it is in DESIGN.md."""
