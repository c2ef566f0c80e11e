"""Small plugins that are off unless `--enable-admission-plugins` names them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tiphys.api.core.pods.resources import is_extended
from tiphys.api.core.v1 import Container, EphemeralContainer, Pod, PodSpec, Service, Toleration
from tiphys.api.machinery.errors import not_supported
from tiphys.api.machinery.scheme import Kind
from tiphys.apiserver.admission.chain import AdmissionPlugin, AdmissionRequest, Operation


def _containers(spec: PodSpec) -> Iterator[tuple[str, Container | EphemeralContainer]]:
    for field in ("initContainers", "containers", "ephemeralContainers"):
        for index, container in enumerate(getattr(spec, field)):
            yield f"spec.{field}[{index}]", container


class AlwaysPullImages(AdmissionPlugin):
    """Images are pulled by every pod with its own credentials, so that none runs what only another may pull."""

    name = "AlwaysPullImages"

    def handles(self, kind: Kind[Any], operation: Operation, subresource: str) -> bool:
        return kind.type is Pod and operation in ("CREATE", "UPDATE") and not subresource

    def admit(self, request: AdmissionRequest) -> None:
        pod = request.object
        assert isinstance(pod, Pod)
        if self._known(request, pod):
            return
        for _, container in _containers(pod.spec):
            container.imagePullPolicy = "Always"
        for volume in pod.spec.volumes:
            if volume.image is not None:
                volume.image.pullPolicy = "Always"

    def validate(self, request: AdmissionRequest) -> None:
        pod = request.object
        assert isinstance(pod, Pod)
        if self._known(request, pod):
            return
        for path, container in _containers(pod.spec):
            if container.imagePullPolicy != "Always":
                raise request.forbidden(str(not_supported(f"{path}.imagePullPolicy", container.imagePullPolicy, ("Always",))))
        for index, volume in enumerate(pod.spec.volumes):
            if volume.image is not None and volume.image.pullPolicy != "Always":
                path = f"spec.volumes[{index}].image.pullPolicy"
                raise request.forbidden(str(not_supported(path, volume.image.pullPolicy, ("Always",))))

    @staticmethod
    def _known(request: AdmissionRequest, pod: Pod) -> bool:
        """Return whether an update brings no new image."""
        old = request.old_object
        if not isinstance(old, Pod):
            return False
        before = {container.image for _, container in _containers(old.spec)}
        return all(container.image in before for _, container in _containers(pod.spec))


class ExtendedResourceToleration(AdmissionPlugin):
    """Nodes with special hardware are tainted with its name; pods that ask for it tolerate that."""

    name = "ExtendedResourceToleration"

    def handles(self, kind: Kind[Any], operation: Operation, subresource: str) -> bool:
        return kind.type is Pod and operation in ("CREATE", "UPDATE") and not subresource

    def admit(self, request: AdmissionRequest) -> None:
        pod = request.object
        assert isinstance(pod, Pod)
        spec = pod.spec
        names = {name for container in (*spec.initContainers, *spec.containers) for name in container.resources.requests}
        tolerations = [Toleration(key=name, operator="Exists", effect="NoSchedule") for name in sorted(names) if is_extended(name)]
        missing = [toleration for toleration in tolerations if toleration not in spec.tolerations]
        if missing:
            spec.tolerations = [*spec.tolerations, *missing]


class DenyServiceExternalIPs(AdmissionPlugin):
    """Refuses new external addresses of Services, which may belong to others (CVE-2020-8554); existing ones may stay."""

    name = "DenyServiceExternalIPs"

    def handles(self, kind: Kind[Any], operation: Operation, subresource: str) -> bool:
        return kind.type is Service and operation in ("CREATE", "UPDATE") and not subresource

    def validate(self, request: AdmissionRequest) -> None:
        new, old = request.object, request.old_object
        assert isinstance(new, Service)
        allowed = set(old.spec.externalIPs) if isinstance(old, Service) else set()
        if not set(new.spec.externalIPs) <= allowed:
            raise request.forbidden("Use of external IPs is denied by admission control")
