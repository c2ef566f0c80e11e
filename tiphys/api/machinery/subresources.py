"""Subresources that several kinds share."""

from __future__ import annotations

from tiphys.api.machinery.scheme import GroupVersionKind, Subresource

STREAM = ("create", "get")
PROXY = ("create", "delete", "get", "patch", "update")

STATUS = Subresource("status")
SCALE = Subresource("scale", ("get", "patch", "update"), GroupVersionKind("autoscaling", "v1", "Scale"))


def connect(name: str, options: str, verbs: tuple[str, ...] = STREAM) -> Subresource:
    """A subresource that hands the connection over; discovery names the kind of its options."""
    return Subresource(name, verbs, GroupVersionKind("", "v1", options))
