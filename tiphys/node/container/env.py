"""The environment of a container: `env`, `envFrom`, Service variables and `$(VAR)` references. Pure.

Follows "Define Environment Variables for a Container", "Define Dependent Environment Variables" and "Accessing the Service".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TypeVar

import msgspec

from tiphys.api.core import v1 as core
from tiphys.node.container.env_file import EnvFileError, value_of
from tiphys.node.container.fields import Identity, pod_field, resource_field
from tiphys.node.pod.plan import AnyContainer

_REFERENCE = re.compile(r"\$(?:\$|\(([^()]*)\))")

T = TypeVar("T")


class ConfigError(Exception):
    """A container cannot be configured as its pod asks: CreateContainerConfigError."""


class Sources(msgspec.Struct, frozen=True):
    """Everything a container's environment may come from. A config map or secret that is None does not exist."""

    config_maps: Mapping[str, core.ConfigMap | None] = {}
    secrets: Mapping[str, core.Secret | None] = {}
    services: Iterable[core.Service] = ()
    identity: Identity = Identity()
    files: Mapping[tuple[str, str], str | None] = {}
    """By volume and path: what containers have written; None where there is no such file."""


def expand(text: str, values: Mapping[str, str]) -> str:
    """Replace `$(NAME)` where NAME is known; `$$` is a literal dollar; anything else stays."""

    def replace(match: re.Match[str]) -> str:
        name = match[1]
        if name is None:
            return "$"
        return values.get(name, match[0])

    return _REFERENCE.sub(replace, text)


def referenced(pod: core.Pod) -> tuple[set[str], set[str]]:
    """Names of the config maps and secrets that the containers' environments are made from."""
    config_maps: set[str] = set()
    secrets: set[str] = set()
    everyone: tuple[AnyContainer, ...] = (*pod.spec.containers, *pod.spec.initContainers, *pod.spec.ephemeralContainers)
    for container in everyone:
        for source in container.envFrom:
            if source.configMapRef is not None:
                config_maps.add(source.configMapRef.name)
            if source.secretRef is not None:
                secrets.add(source.secretRef.name)
        for variable in container.env:
            if variable.valueFrom is None:
                continue
            if variable.valueFrom.configMapKeyRef is not None:
                config_maps.add(variable.valueFrom.configMapKeyRef.name)
            if variable.valueFrom.secretKeyRef is not None:
                secrets.add(variable.valueFrom.secretKeyRef.name)
    return config_maps, secrets


def environment(pod: core.Pod, container: AnyContainer, sources: Sources) -> dict[str, str]:
    """All variables of a container; raises ConfigError (and FieldPathError) when one cannot be found and is not optional."""
    service = service_variables(pod.metadata.namespace, sources.services, links=pod.spec.enableServiceLinks is not False)
    result: dict[str, str] = {}
    for source in container.envFrom:
        for name, value in _all_of(source, sources).items():
            result[source.prefix + name] = value
    for variable in container.env:
        if variable.valueFrom is not None and not variable.value:
            text = _value_from(pod, container, variable.valueFrom, sources)
            if text is None:
                continue
            result[variable.name] = text
        else:
            result[variable.name] = expand(variable.value, {**service, **result})
    return {**service, **result}


def _existing(kind: str, name: str, known: Mapping[str, T | None], optional: bool | None) -> T | None:
    value = known.get(name)
    if value is None and not optional:
        raise ConfigError(f'{kind} "{name}" not found')
    return value


def _all_of(source: core.EnvFromSource, sources: Sources) -> dict[str, str]:
    if source.configMapRef is not None:
        config = _existing("configmap", source.configMapRef.name, sources.config_maps, source.configMapRef.optional)
        return dict(config.data) if config is not None else {}
    if source.secretRef is not None:
        secret = _existing("secret", source.secretRef.name, sources.secrets, source.secretRef.optional)
        return {key: value.decode("utf-8", "surrogateescape") for key, value in secret.data.items()} if secret is not None else {}
    return {}


def _value_from(pod: core.Pod, container: AnyContainer, source: core.EnvVarSource, sources: Sources) -> str | None:
    """The value of a variable that comes from elsewhere; None when it is optional and absent."""
    if source.fieldRef is not None:
        return pod_field(pod, source.fieldRef.fieldPath, sources.identity)
    if source.resourceFieldRef is not None:
        return resource_field(pod, container, source.resourceFieldRef, sources.identity)
    namespace = pod.metadata.namespace
    if source.configMapKeyRef is not None:
        ref = source.configMapKeyRef
        config = _existing("configmap", ref.name, sources.config_maps, ref.optional)
        if config is not None and ref.key in config.data:
            return config.data[ref.key]
        if ref.optional:
            return None
        raise ConfigError(f"couldn't find key {ref.key} in ConfigMap {namespace}/{ref.name}")
    if source.secretKeyRef is not None:
        key = source.secretKeyRef
        secret = _existing("secret", key.name, sources.secrets, key.optional)
        if secret is not None and key.key in secret.data:
            return secret.data[key.key].decode("utf-8", "surrogateescape")
        if key.optional:
            return None
        raise ConfigError(f"couldn't find key {key.key} in Secret {namespace}/{key.name}")
    if source.fileKeyRef is not None:
        return _from_file(source.fileKeyRef, sources.files)
    return ""


def _from_file(ref: core.FileKeySelector, files: Mapping[tuple[str, str], str | None]) -> str | None:
    if (ref.volumeName, ref.path) not in files:
        raise ConfigError(f'cannot find the volume "{ref.volumeName}" referenced by FileKeyRef')
    text = files[ref.volumeName, ref.path]
    try:
        value = value_of(text, ref.key) if text is not None else ""
    except EnvFileError as error:
        raise ConfigError(f"couldn't parse env file: {error}") from error
    if value:
        return value
    if ref.optional:
        return None
    raise ConfigError(f'environment variable key "{ref.key}" not found in file "{ref.path}"')


def files_of(container: AnyContainer) -> set[tuple[str, str]]:
    """Volume and path of the files that a container's environment is made from."""
    refs = (variable.valueFrom.fileKeyRef for variable in container.env if variable.valueFrom is not None)
    return {(ref.volumeName, ref.path) for ref in refs if ref is not None}


def service_variables(namespace: str, services: Iterable[core.Service], *, links: bool) -> dict[str, str]:
    """Variables for the Services of the pod's namespace (if `links`), and always for the API server's own Service."""
    result: dict[str, str] = {}
    for service in services:
        meta, spec = service.metadata, service.spec
        is_api = meta.namespace == "default" and meta.name == "kubernetes"
        if not spec.ports or spec.clusterIP in ("", "None") or not (is_api or (links and meta.namespace == namespace)):
            continue
        prefix = _variable(meta.name)
        host = f"[{spec.clusterIP}]" if ":" in spec.clusterIP else spec.clusterIP
        result[f"{prefix}_SERVICE_HOST"] = spec.clusterIP
        result[f"{prefix}_SERVICE_PORT"] = str(spec.ports[0].port)
        for place, port in enumerate(spec.ports):
            protocol = port.protocol or "TCP"
            url = f"{protocol.lower()}://{host}:{port.port}"
            if port.name:
                result[f"{prefix}_SERVICE_PORT_{_variable(port.name)}"] = str(port.port)
            if place == 0:
                result[f"{prefix}_PORT"] = url
            each = f"{prefix}_PORT_{port.port}_{protocol.upper()}"
            result |= {each: url, f"{each}_PROTO": protocol.lower(), f"{each}_PORT": str(port.port), f"{each}_ADDR": spec.clusterIP}
    return result


def _variable(name: str) -> str:
    return name.replace("-", "_").upper()
