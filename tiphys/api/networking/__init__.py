"""Ingresses, network policies and the addresses of Services: `networking.k8s.io`."""

from __future__ import annotations

GROUP = "networking.k8s.io"
