"""The files of configMap, secret, downwardAPI and projected volumes. Pure.

See "Volumes" and "Projected Volumes" in the Kubernetes documentation for modes, items and optional sources.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath

import msgspec

from tiphys.api.core import v1 as core
from tiphys.node.container.fields import FieldPathError, Identity, pod_field, resource_field
from tiphys.node.pod.plan import AnyContainer

DEFAULT_MODE = 0o644
TOKEN_EXPIRY = 3600


class VolumeError(Exception):
    """A volume cannot be made at the moment: FailedMount, and tried again."""

    longest_pause = 60.0
    """Seconds after which it is tried again at the latest."""


class File(msgspec.Struct, frozen=True):
    """One file of a volume."""

    data: bytes
    mode: int = DEFAULT_MODE
    user: int | None = None
    """The user id that owns the file; None: root."""


Payload = dict[str, File]


class TokenKey(msgspec.Struct, frozen=True):
    """A service-account token that a projected volume wants."""

    audience: str
    expiration: int


class Contents(msgspec.Struct, frozen=True):
    """Objects that the sources refer to. A config map or secret that is None does not exist."""

    config_maps: Mapping[str, core.ConfigMap | None] = {}
    secrets: Mapping[str, core.Secret | None] = {}
    tokens: Mapping[TokenKey, str] = {}
    identity: Identity = Identity()


def sources_of(pod: core.Pod) -> tuple[set[str], set[str], set[TokenKey]]:
    """Names of the config maps and secrets, and the tokens, that the pod's volumes are made from."""
    config_maps: set[str] = set()
    secrets: set[str] = set()
    tokens: set[TokenKey] = set()
    for volume in pod.spec.volumes:
        if volume.configMap is not None:
            config_maps.add(volume.configMap.name)
        if volume.secret is not None:
            secrets.add(volume.secret.secretName)
        for source in volume.projected.sources if volume.projected is not None else ():
            if source.configMap is not None:
                config_maps.add(source.configMap.name)
            if source.secret is not None:
                secrets.add(source.secret.name)
            if source.serviceAccountToken is not None:
                tokens.add(token_key(source.serviceAccountToken))
    return config_maps, secrets, tokens


def token_key(source: core.ServiceAccountTokenProjection) -> TokenKey:
    return TokenKey(source.audience, source.expirationSeconds or TOKEN_EXPIRY)


def is_written(volume: core.Volume) -> bool:
    """True if the volume's files are written by the node and kept up to date."""
    return any(source is not None for source in (volume.configMap, volume.secret, volume.downwardAPI, volume.projected))


def payload(pod: core.Pod, volume: core.Volume, contents: Contents) -> Payload:
    """The files of a volume; raises VolumeError when something it needs is missing."""
    if volume.configMap is not None:
        config = volume.configMap
        return _config_map(config.name, config.items, config.optional, _mode(config.defaultMode), contents, pod)
    if volume.secret is not None:
        secret = volume.secret
        return _secret(secret.secretName, secret.items, secret.optional, _mode(secret.defaultMode), contents, pod)
    if volume.downwardAPI is not None:
        return _downward(pod, volume.downwardAPI.items, _mode(volume.downwardAPI.defaultMode), contents)
    if volume.projected is not None:
        return _projected(pod, volume.projected, contents)
    raise VolumeError(f"volume {volume.name} has no files of its own")


def _projected(pod: core.Pod, projected: core.ProjectedVolumeSource, contents: Contents) -> Payload:
    mode = _mode(projected.defaultMode)
    result: Payload = {}
    for source in projected.sources:
        if source.configMap is not None:
            result |= _config_map(source.configMap.name, source.configMap.items, source.configMap.optional, mode, contents, pod)
        elif source.secret is not None:
            result |= _secret(source.secret.name, source.secret.items, source.secret.optional, mode, contents, pod)
        elif source.downwardAPI is not None:
            result |= _downward(pod, source.downwardAPI.items, mode, contents)
        elif source.serviceAccountToken is not None:
            result |= _token(pod, source.serviceAccountToken, mode, contents)
        else:
            raise VolumeError("this kind of projected source is not supported by this node")
    return result


def _token(pod: core.Pod, source: core.ServiceAccountTokenProjection, mode: int, contents: Contents) -> Payload:
    token = contents.tokens.get(token_key(source))
    if token is None:
        raise VolumeError("failed to fetch token")
    user = common_user(pod)
    # With an fsGroup the group is given the right to read afterwards, like that of every file of the volume.
    private = user is not None or (pod.spec.securityContext is not None and pod.spec.securityContext.fsGroup is not None)
    return {_path(source.path): File(token.encode(), 0o600 if private else mode, user)}


def common_user(pod: core.Pod) -> int | None:
    """The user id that every container of the pod runs as, by its own `runAsUser` or the pod's; None where one says nothing or they differ.

    It owns the pod's service account tokens (KEP-1205 "Bound Service Account Tokens", file permission).
    """
    outer = pod.spec.securityContext.runAsUser if pod.spec.securityContext is not None else None
    users: set[int | None] = set()
    everyone: tuple[AnyContainer, ...] = (*pod.spec.initContainers, *pod.spec.containers, *pod.spec.ephemeralContainers)
    for container in everyone:
        own = container.securityContext.runAsUser if container.securityContext is not None else None
        users.add(outer if own is None else own)
    return users.pop() if len(users) == 1 else None


def _mode(mode: int | None) -> int:
    return DEFAULT_MODE if mode is None else mode


def _config_map(name: str, items: Iterable[core.KeyToPath], optional: bool | None, mode: int, contents: Contents, pod: core.Pod) -> Payload:
    config_map = contents.config_maps.get(name)
    if config_map is None:
        if optional:
            return {}
        raise VolumeError(f'configmap "{name}" not found')
    data = {**{key: value.encode() for key, value in config_map.data.items()}, **config_map.binaryData}
    return _choose(data, items, optional, mode, f"configmap {pod.metadata.namespace}/{name}")


def _secret(name: str, items: Iterable[core.KeyToPath], optional: bool | None, mode: int, contents: Contents, pod: core.Pod) -> Payload:
    secret = contents.secrets.get(name)
    if secret is None:
        if optional:
            return {}
        raise VolumeError(f'secret "{name}" not found')
    return _choose(secret.data, items, optional, mode, f"secret {pod.metadata.namespace}/{name}")


def _choose(data: Mapping[str, bytes], items: Iterable[core.KeyToPath], optional: bool | None, mode: int, whose: str) -> Payload:
    chosen = list(items)
    if not chosen:
        return {_path(key): File(value, mode) for key, value in data.items()}
    result: Payload = {}
    for item in chosen:
        if item.key in data:
            result[_path(item.path)] = File(data[item.key], mode if item.mode is None else item.mode)
        elif not optional:
            raise VolumeError(f"references non-existent key in {whose}: {item.key}")
    return result


def _downward(pod: core.Pod, items: Iterable[core.DownwardAPIVolumeFile], mode: int, contents: Contents) -> Payload:
    result: Payload = {}
    for item in items:
        try:
            if item.fieldRef is not None:
                value = pod_field(pod, item.fieldRef.fieldPath, contents.identity)
            elif item.resourceFieldRef is not None:
                value = resource_field(pod, None, item.resourceFieldRef, contents.identity)
            else:
                continue
        except FieldPathError as error:
            raise VolumeError(str(error)) from error
        result[_path(item.path)] = File(value.encode(), mode if item.mode is None else item.mode)
    return result


def _path(path: str) -> str:
    """A path that stays inside the volume; raises VolumeError."""
    pure = PurePosixPath(path)
    if not path or pure.is_absolute() or ".." in pure.parts or pure.parts[0].startswith(".."):
        raise VolumeError(f"invalid path in volume: {path!r}")
    return str(pure)
