"""Workloads, apps/v1: controller revision."""

from __future__ import annotations

from typing import Any

from tiphys.api.base import always, constant
from tiphys.api.meta.v1.meta import KubeObject


class ControllerRevision(KubeObject):
    apiVersion: str = constant("apps/v1")
    kind: str = constant("ControllerRevision")
    data: Any = None
    revision: int = always(int)
