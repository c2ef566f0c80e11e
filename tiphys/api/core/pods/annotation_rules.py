"""Annotations that fields have replaced: they are still validated, and must not contradict the fields.

See "Restrict a Container's Access to Resources with AppArmor" and "Restrict a Container's Syscalls with seccomp".
"""

from __future__ import annotations

from typing import Final

from tiphys.api.core.pods.windows import containers
from tiphys.api.core.v1 import AppArmorProfile, Pod, PodSpec, SeccompProfile, SecurityContext
from tiphys.api.machinery.errors import forbidden, invalid, quoted
from tiphys.api.rules.basics import Errors, relative_path
from tiphys.api.well_known import CONFIG_MIRROR, POD_DELETION_COST

APP_ARMOR: Final = "container.apparmor.security.beta.kubernetes.io/"
"""Prefix of annotations that name the AppArmor profile of a container."""

SECCOMP: Final = "seccomp.security.alpha.kubernetes.io/pod"
CONTAINER_SECCOMP: Final = "container.seccomp.security.alpha.kubernetes.io/"
_LOCALHOST: Final = "localhost/"
_TYPES: Final = {"unconfined": "Unconfined", "runtime/default": "RuntimeDefault"}
_SECCOMP_TYPES: Final = {**_TYPES, "docker/default": "RuntimeDefault"}
_COST_LIMIT: Final = 1 << 31


def mentions_kubernetes(annotations: dict[str, str]) -> bool:
    """True if any annotation may be one that has rules: their keys have prefixes of the project, which few pods use."""
    for key in annotations:  # noqa: SIM110 (twice as fast as any(), and asked several times for every pod)
        if "kubernetes.io/" in key:
            return True
    return False


def validate(errors: Errors, path: str, annotations: dict[str, str], spec: PodSpec) -> None:
    """The annotations at `path` of a pod, new or changed, or of a template."""
    mirror = annotations.get(CONFIG_MIRROR)
    if mirror is not None and not spec.nodeName:
        errors.append(invalid(f"{path}[{CONFIG_MIRROR}]", mirror, "must set spec.nodeName if mirror pod annotation is set"))
    cost = annotations.get(POD_DELETION_COST)
    if cost is not None and not _is_cost(cost):
        errors.append(invalid(f"{path}[{POD_DELETION_COST}]", cost, "must be a 32bit integer"))
    if SECCOMP in annotations:
        _seccomp_profile(errors, f"{path}.{SECCOMP}", annotations[SECCOMP])
    for key, value in annotations.items():
        if key.startswith(CONTAINER_SECCOMP):
            _seccomp_profile(errors, f"{path}.{key}", value)
    for key, value in annotations.items():
        if not key.startswith(APP_ARMOR):
            continue
        name = key.removeprefix(APP_ARMOR)
        if all(container.name != name for _, container in containers("", spec)):
            errors.append(invalid(f"{path}[{key}]", name, "container not found"))
        if value and value not in _TYPES and not value.startswith(_LOCALHOST):
            errors.append(invalid(f"{path}[{key}]", value, f"invalid AppArmor profile name: {quoted(value)}"))


def validate_profiles(errors: Errors, path: str, annotations: dict[str, str], spec: PodSpec) -> None:
    """Profiles of a new pod whose fields are in the spec at `path` are those of its annotations, if both are set."""
    whole = spec.securityContext
    if not any(key == SECCOMP or key.startswith((CONTAINER_SECCOMP, APP_ARMOR)) for key in annotations):
        return
    if whole is not None and whole.seccompProfile is not None and SECCOMP in annotations:
        _match(errors, f"{path}.securityContext.seccompProfile", "seccomp", annotations[SECCOMP], whole.seccompProfile)
    for here, container in containers(path, spec):
        own: SecurityContext | None = container.securityContext
        key = CONTAINER_SECCOMP + container.name
        if own is not None and own.seccompProfile is not None and key in annotations:
            _match(errors, f"{here}.securityContext.seccompProfile", "seccomp", annotations[key], own.seccompProfile)
    for here, container in containers(path, spec) if not _is_windows(spec) else ():
        own = container.securityContext
        profile = (own.appArmorProfile if own is not None else None) or _of_pod(spec)
        key = APP_ARMOR + container.name
        if profile is not None and key in annotations:
            _match(errors, f"{here}.securityContext.appArmorProfile", "apparmor", annotations[key], profile)


def validate_change(errors: Errors, path: str, new: dict[str, str], old: dict[str, str]) -> None:
    """Refuse changes of annotations that the pod was made with."""
    for names, verb in ((old, "remove or update"), (new, "add")):
        for key in names:
            what = "AppArmor annotations" if key.startswith(APP_ARMOR) else "mirror pod annotation" if key == CONFIG_MIRROR else ""
            if what and (new.get(key) != old[key] if names is old else key not in old):
                errors.append(forbidden(f"{path}[{key}]", f"may not {verb} {what}"))


def _match(errors: Errors, path: str, what: str, annotation: str, profile: SeccompProfile | AppArmorProfile) -> None:
    types = _SECCOMP_TYPES if what == "seccomp" else _TYPES
    if profile.type == "Localhost":
        if not annotation.startswith(_LOCALHOST):
            errors.append(forbidden(f"{path}.type", f"{what} type in annotation and field must match"))
        elif annotation.removeprefix(_LOCALHOST) != profile.localhostProfile:
            errors.append(forbidden(f"{path}.localhostProfile", f"{what} profile in annotation and field must match"))
    elif profile.type in types.values() and types.get(annotation) != profile.type:
        errors.append(forbidden(f"{path}.type", f"{what} type in annotation and field must match"))


def _seccomp_profile(errors: Errors, path: str, value: str) -> None:
    if value.startswith(_LOCALHOST):
        relative_path(errors, path, value.removeprefix(_LOCALHOST))
    elif value not in _SECCOMP_TYPES:
        errors.append(invalid(path, value, "must be a valid seccomp profile"))


def _is_cost(text: str) -> bool:
    digits = text.removeprefix("-")
    plain = digits.isascii() and digits.isdigit() and (text == "0" or not text.startswith("0"))
    return plain and -_COST_LIMIT <= int(text[:12]) < _COST_LIMIT


def _is_windows(spec: PodSpec) -> bool:
    return spec.os is not None and spec.os.name == "windows"


def _of_pod(spec: PodSpec) -> AppArmorProfile | None:
    return spec.securityContext.appArmorProfile if spec.securityContext is not None else None


def app_armor_profile(annotation: str) -> AppArmorProfile | None:
    """The profile that an annotation names."""
    if annotation in _TYPES:
        return AppArmorProfile(type=_TYPES[annotation])
    name = annotation.removeprefix(_LOCALHOST)
    return AppArmorProfile(type="Localhost", localhostProfile=name) if name and name != annotation and name == name.strip() else None


def adopt_app_armor(pod: Pod) -> None:
    """Copy the profiles that only annotations name to the fields of the containers."""
    if not any(key.startswith(APP_ARMOR) for key in pod.metadata.annotations) or (
        pod.spec.os is not None and pod.spec.os.name == "windows"
    ):
        return
    whole = pod.spec.securityContext and pod.spec.securityContext.appArmorProfile
    for _, container in containers("", pod.spec):
        annotation = pod.metadata.annotations.get(APP_ARMOR + container.name)
        own = container.securityContext
        if annotation is None or (own is not None and own.appArmorProfile is not None):
            continue
        profile = app_armor_profile(annotation)
        if profile is not None and profile != whole:
            own = container.securityContext = own or SecurityContext()
            own.appArmorProfile = profile


def app_armor_warnings(path: str, annotations: dict[str, str], spec: PodSpec) -> list[str]:
    """Warn of annotations at `path` that stand in place of the field."""
    if path == "metadata.annotations" and _is_windows(spec):
        return []  # Nothing is copied there; templates are warned about all the same.
    whole = _of_pod(spec)
    warnings = []
    for _, container in containers("", spec):
        key = APP_ARMOR + container.name
        if key in annotations:
            own = container.securityContext.appArmorProfile if container.securityContext is not None else None
            meant = app_armor_profile(annotations[key])
            if (own is None or own == meant) and (meant is None or meant != whole):
                warnings.append(f'{path}[{key}]: deprecated since v1.30; use the "appArmorProfile" field instead')
    return warnings
