"""Secrets that classes name for the calls to a driver ("StorageClass Secrets" of the CSI documentation).

A class names a secret by two parameters, `csi.storage.k8s.io/<purpose>-secret-name` and `-namespace`, whose values may hold `${pv.name}`,
`${pvc.namespace}` and, in the name, `${pvc.name}` and `${pvc.annotations['KEY']}`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from tiphys.api.core import v1 as core
from tiphys.client.client import Client
from tiphys.sidecar.names import DELETION_SECRET_NAME, DELETION_SECRET_NAMESPACE, PARAMETERS

PROVISIONER: Final = "provisioner"
CONTROLLER_PUBLISH: Final = "controller-publish"
NODE_STAGE: Final = "node-stage"
NODE_PUBLISH: Final = "node-publish"
CONTROLLER_EXPAND: Final = "controller-expand"
NODE_EXPAND: Final = "node-expand"
SNAPSHOTTER: Final = "snapshotter"
SNAPSHOTTER_LIST: Final = "snapshotter-list"
OF_VOLUMES: Final = (PROVISIONER, CONTROLLER_PUBLISH, NODE_STAGE, NODE_PUBLISH, CONTROLLER_EXPAND, NODE_EXPAND)

_TOKEN = re.compile(r"\$\{([^}]*)\}")
_ANNOTATION = re.compile(r"pvc\.annotations\['([^']*)'\]")
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")


class BadParameters(ValueError):
    """Parameters of a class cannot be used; the message says which."""


def keys_of(purpose: str) -> tuple[str, str]:
    """Return the parameters that name the secret for a purpose and its namespace."""
    return f"{PARAMETERS}{purpose}-secret-name", f"{PARAMETERS}{purpose}-secret-namespace"


def reference(
    parameters: Mapping[str, str], purpose: str, *, volume: str, claim: core.PersistentVolumeClaim | None
) -> core.SecretReference | None:
    """Return the secret for a purpose, None if the class names none. Raises BadParameters.

    `volume` is the name of the PersistentVolume; without a claim, templates may hold only that.
    """
    values = {"pv.name": volume}
    if claim is not None:
        values["pvc.namespace"] = claim.metadata.namespace
    more = {"pvc.name": claim.metadata.name} if claim is not None else {}
    return resolved(parameters, purpose, values, {**values, **more}, claim.metadata.annotations if claim is not None else {})


def resolved(
    parameters: Mapping[str, str],
    purpose: str,
    for_namespace: Mapping[str, str],
    for_name: Mapping[str, str],
    annotations: Mapping[str, str] | None = None,
) -> core.SecretReference | None:
    """Return the secret for a purpose, None if the class names none; the arguments are the values of tokens. Raises BadParameters."""
    name_key, namespace_key = keys_of(purpose)
    name, namespace = parameters.get(name_key, ""), parameters.get(namespace_key, "")
    if not name and not namespace:
        return None
    if not name or not namespace:
        raise BadParameters(f"only one of {name_key} and {namespace_key} is given")
    namespace = _resolved(namespace_key, namespace, for_namespace, {})
    name = _resolved(name_key, name, for_name, annotations or {})
    if not _LABEL.fullmatch(namespace) or len(namespace) > 63:
        raise BadParameters(f'{namespace_key} resolved to "{namespace}" which is not a valid namespace name')
    if not _SUBDOMAIN.fullmatch(name) or len(name) > 253:
        raise BadParameters(f'{name_key} resolved to "{name}" which is not a valid secret name')
    return core.SecretReference(name=name, namespace=namespace)


def _resolved(key: str, template: str, values: Mapping[str, str], annotations: Mapping[str, str]) -> str:
    """Return a template with its tokens replaced, each once: what an annotation holds is not a template."""

    def value(match: re.Match[str]) -> str:
        token = match[1]
        if token in values:
            return values[token]
        annotation = _ANNOTATION.fullmatch(token)
        if annotation is not None and annotation[1] in annotations:
            return annotations[annotation[1]]
        raise BadParameters(f'{key} holds "${{{token}}}", which is not available here')

    return _TOKEN.sub(value, template)


def deletion_reference(annotations: Mapping[str, str]) -> core.SecretReference | None:
    """Return the secret that the deletion of a volume needs, by the volume's annotations."""
    name, namespace = annotations.get(DELETION_SECRET_NAME, ""), annotations.get(DELETION_SECRET_NAMESPACE, "")
    return core.SecretReference(name=name, namespace=namespace) if name and namespace else None


async def read(client: Client, secret: core.SecretReference | None) -> dict[str, str]:
    """Return what a secret holds. Raises StatusError when it cannot be read, and BadParameters when it is not text."""
    if secret is None:
        return {}
    data = (await client.get(core.Secret, secret.name, secret.namespace)).data
    try:
        return {key: value.decode() for key, value in data.items()}
    except ValueError as error:
        raise BadParameters(f"secret {secret.namespace}/{secret.name} holds a value that is not UTF-8") from error
