"""The subresources that change a part of a pod: `ephemeralcontainers` and `resize`.

See "Ephemeral Containers", "KEP-1287: In-Place Update of Pod Resources" and "KEP-5419: Pod Level Resources Support With In Place Pod
Vertical Scaling".
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Final

from tiphys.api.core.internal import difference
from tiphys.api.core.v1 import Container, Pod, ResourceRequirements
from tiphys.api.helpers.resources import is_sidecar, qos_class
from tiphys.api.machinery.base import Quantity
from tiphys.api.machinery.errors import forbidden, invalid
from tiphys.api.rules.basics import Errors
from tiphys.api.well_known import CONFIG_MIRROR

RESIZED: Final = frozenset(("name", "resources", "resizePolicy"))
"""Fields of a container that a resize reads."""

_RESIZABLE = ("cpu", "memory")
_ONLY = "only cpu and memory resources are mutable"


def keep_but_ephemeral(new: Pod, old: Pod) -> None:
    """Put back all of the spec but its ephemeral containers."""
    spec = copy.copy(old.spec)
    spec.ephemeralContainers = new.spec.ephemeralContainers
    new.spec = spec


def validate_ephemeral(new: Pod, old: Pod) -> Errors:
    """Ephemeral containers can be added, never changed or taken away."""
    if CONFIG_MIRROR in old.metadata.annotations:
        return [forbidden("", "static pods do not support ephemeral containers")]
    errors: Errors = []
    containers = {item.name: item for item in new.spec.ephemeralContainers}
    for item in old.spec.ephemeralContainers:
        message = f'existing ephemeral containers "{item.name}" may not be'
        if item.name not in containers:
            errors.append(forbidden("spec.ephemeralContainers", f"{message} removed\n"))
        elif containers[item.name] != item:
            errors.append(forbidden("spec.ephemeralContainers", f"{message} changed\n{difference(item, containers[item.name])}"))
    return errors


def keep_but_resources(new: Pod, old: Pod) -> None:
    """Put back all of the spec but resources, unless the containers are not the same: that is for validation to say."""
    desired = new.spec
    containers = [_with_resources(*pair) for pair in zip(desired.containers, old.spec.containers, strict=False)]
    init = [_with_resources(*pair) for pair in zip(desired.initContainers, old.spec.initContainers, strict=False)]
    if _names(desired.containers) != _names(old.spec.containers):
        containers = desired.containers
    if _names(desired.initContainers) != _names(old.spec.initContainers):
        init = desired.initContainers
    spec = copy.copy(old.spec)
    spec.containers, spec.initContainers, spec.resources = containers, init, desired.resources
    new.spec = spec


def _names(containers: list[Container]) -> list[str]:
    return [item.name for item in containers]


def _with_resources(desired: Container, container: Container) -> Container:
    merged = copy.copy(container)
    merged.resources, merged.resizePolicy = desired.resources, desired.resizePolicy
    return merged


def validate_resize(new: Pod, old: Pod) -> Errors:
    """Only CPU and memory change, none is taken away, and the pod stays of its class."""
    if CONFIG_MIRROR in old.metadata.annotations:
        return [forbidden("", "static pods cannot be resized")]
    if old.spec.os is not None and old.spec.os.name == "windows":
        return [forbidden("", "windows pods cannot be resized")]
    errors: Errors = []
    if (old.status.qosClass or qos_class(old)) != qos_class(new):
        errors.append(invalid("spec", new.status.qosClass, "Pod QOS Class may not change as a result of resizing"))
    running = (status for status in old.status.containerStatuses if status.state.running is not None)
    first = next(running, None)
    if first is not None and first.resources is None:
        errors.append(forbidden("spec", "Pod running on node without support for resize"))
    _pod_level(errors, new, old)
    misplaced = _order(new, old)
    if misplaced:
        return [*errors, *misplaced]
    pairs = zip(new.spec.initContainers, old.spec.initContainers, strict=True)
    for index, (mine, theirs) in enumerate(pairs):
        _init_container(errors, f"spec.initContainers[{index}]", mine, theirs)
    for index, (mine, theirs) in enumerate(zip(new.spec.containers, old.spec.containers, strict=True)):
        _nothing_removed(errors, f"spec.containers[{index}].resources", "resource", mine.resources, theirs.resources)
        if _undone(mine, theirs) != theirs:
            errors.append(forbidden("spec", _ONLY))
    return errors


def _pod_level(errors: Errors, new: Pod, old: Pod) -> None:
    before, after = old.spec.resources, new.spec.resources
    if before is None and after is None:
        return
    if after is None:
        errors.append(forbidden("spec.resources", "pod-level resources cannot be removed"))
        return
    if before is not None:
        _nothing_removed(errors, "spec.resources", "pod-level resource", after, before)
    known = before or ResourceRequirements()
    if _without_resizable(after) != _without_resizable(known):
        errors.append(forbidden("spec", "only cpu and memory resources are mutable at pod-level"))


def _order(new: Pod, old: Pod) -> Errors:
    errors: Errors = []
    for kind in ("containers", "initContainers"):
        mine, theirs = _names(getattr(new.spec, kind)), _names(getattr(old.spec, kind))
        if len(mine) != len(theirs):
            errors.append(forbidden(f"spec.{kind}", f"{kind} may not be added or removed on resize"))
            continue
        message = f"{kind} may not be renamed or reordered on resize"
        pairs = enumerate(zip(mine, theirs, strict=True))
        errors += [forbidden(f"spec.{kind}[{index}].name", message) for index, (now, before) in pairs if now != before]
    return errors


def _init_container(errors: Errors, path: str, new: Container, old: Container) -> None:
    _nothing_removed(errors, f"{path}.resources", "resource", new.resources, old.resources)
    if _undone(new, old) != old:
        errors.append(forbidden(path, "only cpu and memory resources for init or sidecar containers are mutable"))
    restarts = any(policy.restartPolicy == "RestartContainer" for policy in new.resizePolicy)
    if new != old and restarts and not is_sidecar(new):
        message = "non-sidecar init containers with a resize policy of RestartContainer cannot be resized"
        errors.append(forbidden(path, message))


def _nothing_removed(errors: Errors, path: str, what: str, new: ResourceRequirements, old: ResourceRequirements) -> None:
    for name in ("requests", "limits"):
        if getattr(old, name).keys() - getattr(new, name).keys():
            errors.append(forbidden(f"{path}.{name}", f"{what} {name} cannot be removed"))


def _undone(new: Container, old: Container) -> Container:
    """A container with the CPU and memory that it had before."""
    undone = copy.copy(new)
    resources = undone.resources = copy.copy(new.resources)
    resources.limits = _with_old(new.resources.limits, old.resources.limits)
    resources.requests = _with_old(new.resources.requests, old.resources.requests)
    return undone


def _with_old(new: Mapping[str, Quantity], old: Mapping[str, Quantity]) -> dict[str, Quantity]:
    others = {name: value for name, value in new.items() if name not in _RESIZABLE}
    return {**others, **{name: old[name] for name in _RESIZABLE if name in old}}


def _without_resizable(resources: ResourceRequirements) -> list[dict[str, Quantity]]:
    return [{name: value for name, value in one.items() if name not in _RESIZABLE} for one in (resources.limits, resources.requests)]
