"""API priority and fairness."""

from __future__ import annotations

GROUP = "flowcontrol.apiserver.k8s.io"
