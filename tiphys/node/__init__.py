"""The node agent (kubelet). The map of it is in DESIGN.md."""
