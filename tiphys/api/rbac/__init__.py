"""Roles and bindings: `rbac.authorization.k8s.io`."""

from __future__ import annotations

GROUP = "rbac.authorization.k8s.io"
