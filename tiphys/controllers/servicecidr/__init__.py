"""Ranges of Service IPs: readiness and protection."""
