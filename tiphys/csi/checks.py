"""Checks of requests that drivers share. Each raises InvalidArgument."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from tiphys.csi.errors import InvalidArgument
from tiphys.csi.pb import csi_pb2 as pb


def required_field(value: str, field: str) -> str:
    """Return the value of a field, which must not be empty."""
    if not value:
        raise InvalidArgument(f"{field} is required")
    return value


def absolute_path(value: str, field: str) -> Path:
    """Return the value of a field, which must be an absolute path."""
    if not value.startswith("/"):
        raise InvalidArgument(f"{field} must be an absolute path")
    return Path(value)


def access_type(capability: pb.VolumeCapability) -> Literal["block", "mount"]:
    """Return how a volume is to be used; its access mode must be given as well."""
    if capability.access_mode.mode == pb.VolumeCapability.AccessMode.UNKNOWN:
        raise InvalidArgument("access_mode is required")
    kind: Literal["block", "mount"] | None = capability.WhichOneof("access_type")
    if kind is None:
        raise InvalidArgument("access_type is required")
    return kind
