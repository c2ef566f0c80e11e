"""Certificates that a kubelet requests for itself and renews while it runs."""
