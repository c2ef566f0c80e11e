"""The core group, v1: config."""

from __future__ import annotations

from typing import Annotated

from tiphys.api.base import Atomic, MapList, Patch, constant
from tiphys.api.core.v1.reference import LocalObjectReference, ObjectReference
from tiphys.api.meta.v1.meta import KubeObject


class ConfigMap(KubeObject):
    apiVersion: str = constant("v1")
    kind: str = constant("ConfigMap")
    immutable: bool | None = None
    data: dict[str, str] = {}
    binaryData: dict[str, bytes] = {}


class Secret(KubeObject):
    apiVersion: str = constant("v1")
    kind: str = constant("Secret")
    immutable: bool | None = None
    data: dict[str, bytes] = {}
    stringData: dict[str, str] = {}
    type: str = ""


class ServiceAccount(KubeObject):
    apiVersion: str = constant("v1")
    kind: str = constant("ServiceAccount")
    secrets: Annotated[list[ObjectReference], MapList("name"), Patch("merge", "name")] = []
    imagePullSecrets: Annotated[list[LocalObjectReference], Atomic()] = []
    automountServiceAccountToken: bool | None = None
