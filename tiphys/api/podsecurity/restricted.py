"""The checks of the level restricted: settings of a hardened pod."""

from __future__ import annotations

from typing import Final

from tiphys.api.core.v1 import PodSpec, Volume
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.api.podsecurity.baseline import proc_mount
from tiphys.api.podsecurity.words import Check, Finding, containers, in_user_namespace, named, on_windows, plural, quoted, secured, setters

_VOLUMES: Final = (*("configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image", "persistentVolumeClaim", "projected", "secret"),)
_OTHER_VOLUMES: Final = tuple(name for name in Volume.__struct_fields__ if name != "name" and name not in _VOLUMES)
_CONFINED: Final = ("RuntimeDefault", "Localhost")


def _unless_windows(check: Check) -> Check:
    """Pods for Windows cannot set the fields that these checks require."""
    return lambda meta, spec: None if on_windows(spec) else check(meta, spec)


def _unless_user_namespace(check: Check) -> Check:
    return lambda meta, spec: None if in_user_namespace(spec) else check(meta, spec)


def privilege_escalation(_: ObjectMeta, spec: PodSpec) -> Finding | None:
    names = [
        container.name
        for container in containers(spec)
        if container.securityContext is None or container.securityContext.allowPrivilegeEscalation is not False
    ]
    if not names:
        return None
    return Finding("allowPrivilegeEscalation != false", f"{named(names)} must set securityContext.allowPrivilegeEscalation=false")


def capabilities(_: ObjectMeta, spec: PodSpec) -> Finding | None:
    keeping, adding = [], []
    added: set[str] = set()
    for container in containers(spec):
        settings = container.securityContext.capabilities if container.securityContext is not None else None
        if settings is None or "ALL" not in settings.drop:
            keeping.append(container.name)
        if settings is not None and (more := set(settings.add) - {"NET_BIND_SERVICE"}):
            adding.append(container.name)
            added |= more
    details = []
    if keeping:
        details.append(f'{named(keeping)} must set securityContext.capabilities.drop=["ALL"]')
    if adding:
        details.append(f"{named(adding)} must not include {quoted(sorted(added))} in securityContext.capabilities.add")
    return Finding("unrestricted capabilities", "; ".join(details)) if details else None


def volumes(_: ObjectMeta, spec: PodSpec) -> Finding | None:
    wrong = [volume for volume in spec.volumes if all(getattr(volume, name) is None for name in _VOLUMES)]
    if not wrong:
        return None
    types = sorted({next((name for name in _OTHER_VOLUMES if getattr(volume, name) is not None), "unknown") for volume in wrong})
    names = [volume.name for volume in wrong]
    detail = (
        f"{plural('volume', 'volumes', len(names))} {quoted(names)} {plural('uses', 'use', len(names))}"
        f" {plural('restricted volume type', 'restricted volume types', len(types))} {quoted(types)}"
    )
    return Finding("restricted volume types", detail)


def non_root(_: ObjectMeta, spec: PodSpec) -> Finding | None:
    pod = spec.securityContext.runAsNonRoot if spec.securityContext is not None else None
    values = {name: context.runAsNonRoot for name, context in secured(spec)}
    refusing = [name for name, value in values.items() if value is False]
    if pod is False or refusing:
        return Finding("runAsNonRoot != true", f"{setters(pod is False, refusing)} must not set securityContext.runAsNonRoot=false")
    silent = [container.name for container in containers(spec) if values.get(container.name) is None and not pod]
    if silent:
        return Finding("runAsNonRoot != true", f"pod or {named(silent)} must set securityContext.runAsNonRoot=true")
    return None


def root_user(_: ObjectMeta, spec: PodSpec) -> Finding | None:
    pod = spec.securityContext is not None and spec.securityContext.runAsUser == 0
    names = [name for name, context in secured(spec) if context.runAsUser == 0]
    return Finding("runAsUser=0", f"{setters(pod, names)} must not set runAsUser=0") if pod or names else None


def seccomp(_: ObjectMeta, spec: PodSpec) -> Finding | None:
    profile = spec.securityContext.seccompProfile if spec.securityContext is not None else None
    pod_wrong = profile is not None and profile.type not in _CONFINED
    wrong = {profile.type} if profile is not None and pod_wrong else set()
    bad, silent = [], []
    for container in containers(spec):
        own = container.securityContext.seccompProfile if container.securityContext is not None else None
        if own is None:
            if profile is None or pod_wrong:
                silent.append(container.name)
        elif own.type not in _CONFINED:
            bad.append(container.name)
            wrong.add(own.type)
    if wrong:
        who = setters(pod_wrong, bad)
        return Finding("seccompProfile", f"{who} must not set securityContext.seccompProfile.type to {quoted(sorted(wrong))}")
    if silent:
        detail = f'pod or {named(silent)} must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost"'
        return Finding("seccompProfile", detail)
    return None


CHECKS: Final[dict[str, dict[int, Check]]] = {
    "allowPrivilegeEscalation": {8: privilege_escalation, 25: _unless_windows(privilege_escalation)},
    "capabilities_restricted": {22: capabilities, 25: _unless_windows(capabilities)},
    "procMount_restricted": {35: proc_mount},
    "restrictedVolumes": {0: volumes},
    "runAsNonRoot": {0: non_root, 35: _unless_user_namespace(non_root)},
    "runAsUser": {23: root_user, 35: _unless_user_namespace(root_user)},
    "seccompProfile_restricted": {19: seccomp, 25: _unless_windows(seccomp)},
}
"""Like `baseline.CHECKS`."""

INSTEAD_OF: Final = {
    "capabilities_restricted": "capabilities_baseline",
    "procMount_restricted": "procMount",
    "restrictedVolumes": "hostPathVolumes",
    "seccompProfile_restricted": "seccompProfile_baseline",
}
"""The check of baseline that a stricter one makes needless, where both exist."""
