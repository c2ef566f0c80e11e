"""Admission by webhooks and policies."""

from __future__ import annotations

GROUP = "admissionregistration.k8s.io"
CATEGORIES = ("api-extensions",)
