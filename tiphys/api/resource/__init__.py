"""Dynamic resource allocation."""

from __future__ import annotations

GROUP = "resource.k8s.io"
