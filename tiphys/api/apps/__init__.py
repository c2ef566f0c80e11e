"""Workloads: `apps`."""
