"""Kubelet. The map of it is in DESIGN.md."""
