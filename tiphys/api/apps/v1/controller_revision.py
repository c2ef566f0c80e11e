"""Workloads, apps/v1: controller revision."""

from __future__ import annotations

from typing import Any

from tiphys.api.machinery.base import always, constant
from tiphys.api.meta.v1.meta import KubeObject


class ControllerRevision(KubeObject):
    """A former state of a workload, kept to go back to. Its data cannot be changed."""

    apiVersion: str = constant("apps/v1")
    kind: str = constant("ControllerRevision")
    data: Any = None
    """The state."""
    revision: int = always(int)
    """Its number; higher is newer."""
