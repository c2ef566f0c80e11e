"""AppArmor profiles that are asked for by the annotations of before the field ("Restrict a Container's Access to Resources with AppArmor").

They still count in pods: one that asks for a profile this way must not run without it.
"""

from __future__ import annotations

from collections.abc import Iterator

from tiphys.api.core.v1 import AppArmorProfile, Container, EphemeralContainer, Pod, PodSpec, SecurityContext

PREFIX = "container.apparmor.security.beta.kubernetes.io/"
_LOCALHOST = "localhost/"
_MAX_LOCALHOST = 4095
_AnyContainer = Container | EphemeralContainer


def profile_of(annotation: str) -> AppArmorProfile | None:
    """The profile that an annotation's value means, None for no valid one."""
    if annotation == "unconfined":
        return AppArmorProfile(type="Unconfined")
    if annotation == "runtime/default":
        return AppArmorProfile(type="RuntimeDefault")
    name = annotation.removeprefix(_LOCALHOST)
    if name == annotation or not name.strip() or name != name.strip() or len(name) > _MAX_LOCALHOST:
        return None
    return AppArmorProfile(type="Localhost", localhostProfile=name)


def fields_from_annotations(pod: Pod) -> None:
    """Set the field of every container that has the annotation and not the field, unless the pod's own profile is the same."""
    if pod.spec.os is not None and pod.spec.os.name == "windows":
        return
    outer = pod.spec.securityContext.appArmorProfile if pod.spec.securityContext is not None else None
    for container, annotation in _annotated(pod):
        own = container.securityContext
        profile = profile_of(annotation)
        if profile is None or profile == outer or (own is not None and own.appArmorProfile is not None):
            continue
        if container.securityContext is None:
            container.securityContext = SecurityContext()
        container.securityContext.appArmorProfile = profile


def annotation_warnings(pod: Pod) -> list[str]:
    """Warnings about annotations, in a pod whose fields were set from them: the ones that count, and those that mean nothing."""
    return [
        f'metadata.annotations[{PREFIX}{container.name}]: deprecated since v1.30; use the "appArmorProfile" field instead'
        for container, annotation in _annotated(pod)
        if (profile := profile_of(annotation)) is None or (_own(container) is not None and profile == _own(container))
    ]


def _own(container: _AnyContainer) -> AppArmorProfile | None:
    return container.securityContext.appArmorProfile if container.securityContext is not None else None


def _annotated(pod: Pod) -> Iterator[tuple[_AnyContainer, str]]:
    if not any(key.startswith(PREFIX) for key in pod.metadata.annotations):
        return
    for container in _containers(pod.spec):
        annotation = pod.metadata.annotations.get(PREFIX + container.name)
        if annotation is not None:
            yield container, annotation


def _containers(spec: PodSpec) -> Iterator[_AnyContainer]:
    yield from spec.initContainers
    yield from spec.containers
    yield from spec.ephemeralContainers
