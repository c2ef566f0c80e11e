"""Fields of a pod that are stored, but that no part of this cluster acts on yet: whoever sets one is warned."""

from __future__ import annotations

from tiphys.api.core.v1 import Container, EphemeralContainer, PodSpec

_FILE_KEY = "is not supported by this cluster yet, the container will not start"
_USERS = "the container runtime has no user namespaces, the pod will not start"
_RESTART_ALL = "RestartAllContainers is not supported by this cluster yet, the rule has no effect"


def unattended(here: str, spec: PodSpec) -> list[str]:
    """Warnings about the spec of a pod, which is `here`."""
    said: list[str] = []
    if spec.hostUsers is False:
        said.append(f"{here}.hostUsers: {_USERS}")
    for name in ("initContainers", "containers", "ephemeralContainers"):
        group: list[Container | EphemeralContainer] = getattr(spec, name)
        for index, container in enumerate(group):
            _container(said, f"{here}.{name}[{index}]", container)
    return said


def _container(said: list[str], here: str, container: Container | EphemeralContainer) -> None:
    for index, variable in enumerate(container.env):
        if variable.valueFrom is not None and variable.valueFrom.fileKeyRef is not None:
            said.append(f"{here}.env[{index}].valueFrom.fileKeyRef: {_FILE_KEY}")
    for index, rule in enumerate(container.restartPolicyRules):
        if rule.action == "RestartAllContainers":
            said.append(f"{here}.restartPolicyRules[{index}].action: {_RESTART_ALL}")
