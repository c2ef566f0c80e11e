"""ServiceAccount: every pod runs as one, and finds a token for it under /var/run/secrets ("Managing Service Accounts")."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random
from typing import Any, Final

from tiphys.api.core import v1 as core
from tiphys.api.machinery.errors import Forbidden
from tiphys.api.machinery.scheme import Kind
from tiphys.api.well_known import CONFIG_MIRROR
from tiphys.apiserver.admission.chain import AdmissionPlugin, AdmissionRequest, NotYet, Operation
from tiphys.apiserver.auth.node import pod_references
from tiphys.apiserver.auth.token_request import WARN_ONLY_SECONDS

DEFAULT: Final = "default"
MOUNT_PATH: Final = "/var/run/secrets/kubernetes.io/serviceaccount"
VOLUME_PREFIX: Final = "kube-api-access-"
ROOT_CA: Final = "kube-root-ca.crt"
ENFORCE_SECRETS: Final = "kubernetes.io/enforce-mountable-secrets"
DEFAULT_PATIENCE: Final = 2.0
"""Seconds to wait for the account `default` of a new namespace, which a controller makes."""
_TRUE = frozenset(("1", "t", "T", "true", "True", "TRUE"))
_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
"""Letters and digits of generated names: no vowels, nothing easily misread."""


class ServiceAccounts(AdmissionPlugin):
    """See the module. `rng` draws the tail of the volume's name, which is no secret and need only differ within one pod."""

    name = "ServiceAccount"

    def __init__(self, rng: Random) -> None:
        self._rng = rng

    def handles(self, kind: Kind[Any], operation: Operation, subresource: str) -> bool:
        return kind.type is core.Pod and operation == "CREATE" and not subresource

    def admit(self, request: AdmissionRequest) -> None:
        pod = request.object
        assert isinstance(pod, core.Pod)
        if CONFIG_MIRROR in pod.metadata.annotations:
            return
        spec = pod.spec
        if not spec.serviceAccountName:
            spec.serviceAccountName = spec.serviceAccount or DEFAULT
        spec.serviceAccount = spec.serviceAccountName
        account = _account(request, spec.serviceAccountName)
        if _automount(account, pod):
            self._mount_token(pod)
        if account.imagePullSecrets and not spec.imagePullSecrets:
            spec.imagePullSecrets = [core.LocalObjectReference(name=secret.name) for secret in account.imagePullSecrets]

    def validate(self, request: AdmissionRequest) -> None:
        pod = request.object
        assert isinstance(pod, core.Pod)
        if CONFIG_MIRROR in pod.metadata.annotations:
            _check_mirror(request, pod)
            return
        if not pod.spec.serviceAccountName:
            raise request.forbidden(f"no service account specified for pod {request.namespace}/{pod.metadata.name}")
        account = _account(request, pod.spec.serviceAccountName)
        if account.metadata.annotations.get(ENFORCE_SECRETS) in _TRUE:
            _check_secrets(request, pod, account)

    def _mount_token(self, pod: core.Pod) -> None:
        existing = next((volume.name for volume in pod.spec.volumes if volume.name.startswith(VOLUME_PREFIX)), "")
        bare = [container for container in _containers(pod) if all(mount.mountPath != MOUNT_PATH for mount in container.volumeMounts)]
        if not bare:
            return
        name = existing or VOLUME_PREFIX + "".join(self._rng.choices(_ALPHABET, k=5))
        for container in bare:
            # A new list: objects may share the empty one they were decoded with.
            container.volumeMounts = [*container.volumeMounts, core.VolumeMount(name=name, readOnly=True, mountPath=MOUNT_PATH)]
        if not existing:
            pod.spec.volumes = [*pod.spec.volumes, token_volume(name)]


def token_volume(name: str) -> core.Volume:
    """The projected volume with the token, the cluster's CA and the name of the namespace."""
    namespace = core.DownwardAPIVolumeFile(
        path="namespace", fieldRef=core.ObjectFieldSelector(apiVersion="v1", fieldPath="metadata.namespace")
    )
    sources = [
        core.VolumeProjection(serviceAccountToken=core.ServiceAccountTokenProjection(path="token", expirationSeconds=WARN_ONLY_SECONDS)),
        core.VolumeProjection(configMap=core.ConfigMapProjection(name=ROOT_CA, items=[core.KeyToPath(key="ca.crt", path="ca.crt")])),
        core.VolumeProjection(downwardAPI=core.DownwardAPIProjection(items=[namespace])),
    ]
    return core.Volume(name=name, projected=core.ProjectedVolumeSource(defaultMode=0o644, sources=sources))


def _account(request: AdmissionRequest, name: str) -> core.ServiceAccount:
    account = request.source.get(core.ServiceAccount, request.namespace, name)
    if account is not None:
        return account
    error = request.forbidden(f'error looking up service account {request.namespace}/{name}: serviceaccount "{name}" not found')
    raise NotYet(error, patience=DEFAULT_PATIENCE if name == DEFAULT else 0.05)


def _automount(account: core.ServiceAccount, pod: core.Pod) -> bool:
    wish = pod.spec.automountServiceAccountToken
    if wish is None:
        wish = account.automountServiceAccountToken
    return wish is not False


def _containers(pod: core.Pod) -> Iterable[core.Container]:
    return (*pod.spec.initContainers, *pod.spec.containers)


def _check_mirror(request: AdmissionRequest, pod: core.Pod) -> None:
    if pod.spec.serviceAccountName:
        raise request.forbidden("a mirror pod may not reference service accounts")
    if any(resource == "secrets" for resource, _, _ in pod_references(pod)):
        raise request.forbidden("a mirror pod may not reference secrets")
    for volume in pod.spec.volumes:
        if volume.projected is not None and any(source.serviceAccountToken is not None for source in volume.projected.sources):
            raise request.forbidden("a mirror pod may not use ServiceAccountToken volume projections")


def _check_secrets(request: AdmissionRequest, pod: core.Pod, account: core.ServiceAccount) -> None:
    mountable = {secret.name for secret in account.secrets}
    who = account.metadata.name

    def refuse(what: str, kind: str = "secret") -> Forbidden:
        return request.forbidden(f"{what} is not allowed because service account {who} does not reference that {kind}")

    for volume in pod.spec.volumes:
        if volume.secret is not None and volume.secret.secretName not in mountable:
            raise refuse(f'volume with secret.secretName="{volume.secret.secretName}"')
    for prefix, containers in (("init container", pod.spec.initContainers), ("container", pod.spec.containers)):
        for container in containers:
            for variable in container.env:
                ref = variable.valueFrom.secretKeyRef if variable.valueFrom is not None else None
                if ref is not None and ref.name not in mountable:
                    raise refuse(f'{prefix} {container.name} with envVar {variable.name} referencing secret.secretName="{ref.name}"')
            for source in container.envFrom:
                if source.secretRef is not None and source.secretRef.name not in mountable:
                    raise refuse(f'{prefix} {container.name} with envFrom referencing secret.secretName="{source.secretRef.name}"')
    pull = {secret.name for secret in account.imagePullSecrets}
    for index, secret in enumerate(pod.spec.imagePullSecrets):
        if secret.name not in pull:
            raise refuse(f'imagePullSecrets[{index}].name="{secret.name}"', "imagePullSecret")
