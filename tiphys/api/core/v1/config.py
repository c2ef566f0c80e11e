"""The core group, v1: config."""

from __future__ import annotations

from typing import Annotated

from tiphys.api.core.v1.reference import LocalObjectReference, ObjectReference
from tiphys.api.machinery.base import Atomic, MapList, Patch, constant
from tiphys.api.meta.v1.meta import KubeObject


class ConfigMap(KubeObject):
    """Settings for pods, as keys and values. At most 1 MiB, and nothing secret."""

    apiVersion: str = constant("v1")
    kind: str = constant("ConfigMap")
    immutable: bool | None = None
    """True if data can no longer be changed, for good."""
    data: dict[str, str] = {}
    """Values that are text. Keys are letters, digits, `-`, `_` and `.`."""
    binaryData: dict[str, bytes] = {}
    """Values that are any bytes, base64 on the wire. No key may be in data as well."""


class Secret(KubeObject):
    """Secrets for pods, as keys and values. At most 1 MiB."""

    apiVersion: str = constant("v1")
    kind: str = constant("Secret")
    immutable: bool | None = None
    """True if data can no longer be changed, for good."""
    data: dict[str, bytes] = {}
    """The values, base64 on the wire. Keys are letters, digits, `-`, `_` and `.`."""
    stringData: dict[str, str] = {}
    """Values given as text: merged into data, overriding it, and never read back."""
    type: str = ""
    """Type of the secret, which determines the keys that it needs. `Opaque` by default; cannot be changed."""


class ServiceAccount(KubeObject):
    """An identity for the processes in pods."""

    apiVersion: str = constant("v1")
    kind: str = constant("ServiceAccount")
    secrets: Annotated[list[ObjectReference], MapList("name"), Patch("merge", "name")] = []
    """Secrets that pods of this account may use, when the account enforces it; tokens no longer need any."""
    imagePullSecrets: Annotated[list[LocalObjectReference], Atomic()] = []
    """Credentials for registries that pods of this account get if they name none."""
    automountServiceAccountToken: bool | None = None
    """True if pods get a token mounted, unless they say otherwise. True by default."""
