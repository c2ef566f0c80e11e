"""Storage classes, attachments and what CSI drivers say about themselves: `storage.k8s.io`."""

from __future__ import annotations

GROUP = "storage.k8s.io"
