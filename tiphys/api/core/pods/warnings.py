"""Warnings about a pod, or a template of pods, that is allowed but probably not intended."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from heapq import merge
from operator import itemgetter

from tiphys.api.core.persistent_volume_claim import size_warnings
from tiphys.api.core.pods.annotation_rules import CONTAINER_SECCOMP, SECCOMP, app_armor_warnings
from tiphys.api.core.v1 import (
    Container,
    ContainerPort,
    EphemeralContainer,
    NodeSelectorTerm,
    PodAffinityTerm,
    PodSpec,
    PodTemplateSpec,
    Volume,
)
from tiphys.api.enforcement import warn
from tiphys.api.helpers.node_labels import DEPRECATED, expression_warnings
from tiphys.api.machinery.base import Quantity
from tiphys.api.machinery.names import label_value_messages
from tiphys.api.machinery.quantity import is_whole
from tiphys.api.machinery.remembered import Remembered
from tiphys.api.machinery.sink import MAX_WARNINGS, Full, Warnings
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.api.rules.addresses import ip_warnings

_ANNOTATIONS = {
    "scheduler.alpha.kubernetes.io/critical-pod": 'non-functional in v1.16+; use the "priorityClassName" field instead',
    "security.alpha.kubernetes.io/sysctls": 'non-functional in v1.11+; use the "sysctls" field instead',
    "security.alpha.kubernetes.io/unsafe-sysctls": 'non-functional in v1.11+; use the "sysctls" field instead',
}

_USE_PROFILE = 'non-functional in v1.27+; use the "seccompProfile" field instead'

_VOLUMES = {
    "photonPersistentDisk": "deprecated in v1.11, non-functional in v1.16+",
    "gitRepo": "deprecated in v1.11, and disabled by default in v1.33+",
    "scaleIO": "deprecated in v1.16, non-functional in v1.22+",
    "flocker": "deprecated in v1.22, non-functional in v1.25+",
    "storageos": "deprecated in v1.22, non-functional in v1.25+",
    "quobyte": "deprecated in v1.22, non-functional in v1.25+",
    "glusterfs": "deprecated in v1.25, non-functional in v1.26+",
    "cephfs": "deprecated in v1.28, non-functional in v1.31+",
    "rbd": "deprecated in v1.28, non-functional in v1.31+",
}

_NAMES = {"storageos": "storageOS"}
"""Sources that warnings call by another name."""

_NO_SELECTOR = "a null labelSelector results in matching no pod"
_WHOLE = ("memory", "ephemeral-storage")
_AnyContainer = Container | EphemeralContainer

_Path = tuple[str, str]
"""A path in a volume, and what puts a file there."""
_Place = tuple[int, str, ContainerPort]
"""A definition of a port: how many come before it in the pod, where it is, and itself."""
_order = itemgetter(0)
MOST_OVERLAPS = 1000
"""Pairs of overlapping paths that are looked for in one volume: more than there is room for in the headers of an answer."""


def template_warnings(path: str, template: PodTemplateSpec) -> list[str]:
    """Warnings about the template at `path`."""
    return [*_template_warnings((path, template))]


def _warn_of_template(item: tuple[str, PodTemplateSpec]) -> list[str]:
    path, template = item
    warnings = annotation_warnings(f"{path}.metadata", template.metadata, template.spec)
    return warnings + spec_warnings(f"{path}.spec", template.spec)


_template_warnings = Remembered(_warn_of_template)


def spec_warnings(here: str, spec: PodSpec) -> list[str]:
    """Warnings about the spec of a pod, which is `here`: all that an answer has room for."""
    warnings = Warnings()
    with suppress(Full):
        _look(warnings, here, spec)
    return warnings


def _look(warnings: Warnings, here: str, spec: PodSpec) -> None:
    if spec.nodeSelector or spec.affinity is not None or spec.topologySpreadConstraints:
        _steering(warnings, here, spec)
    for index, volume in enumerate(spec.volumes):
        _deprecated(warnings, f"{here}.volumes[{index}]", volume)
    for volume in spec.volumes:
        _volume_files(warnings, volume)
    _repeated(warnings, here, spec)
    _amounts(warnings, f"{here}.overhead", spec.overhead)
    containers = list(_containers(here, spec))
    for where, container in containers:
        resources = container.resources
        _amounts(warnings, f"{where}.resources.limits", resources.limits)
        _amounts(warnings, f"{where}.resources.requests", resources.requests)
        if len(container.env) > 1:
            _env(warnings, where, container)
    if any(container.ports for _, container in containers):
        _ports(warnings, containers)
    if (spec.terminationGracePeriodSeconds or 0) < 0:
        warnings.append(f"{here}.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1")
    _pod_affinity(warnings, here, spec)
    if spec.dnsConfig is not None:
        for index, nameserver in enumerate(spec.dnsConfig.nameservers):
            warnings += ip_warnings(f"{here}.dnsConfig.nameservers[{index}]", nameserver)
    for index, alias in enumerate(spec.hostAliases):
        warnings += ip_warnings(f"{here}.hostAliases[{index}].ip", alias.ip)
    warnings += warn.warnings(here, spec)


def _containers(path: str, spec: PodSpec) -> Iterator[tuple[str, _AnyContainer]]:
    for name in ("initContainers", "containers", "ephemeralContainers"):
        group: Sequence[_AnyContainer] = getattr(spec, name)
        for index, container in enumerate(group):
            yield f"{path}.{name}[{index}]", container


def _steering(warnings: list[str], path: str, spec: PodSpec) -> None:
    warnings += [f"{path}.nodeSelector[{key}]: {DEPRECATED[key]}" for key in spec.nodeSelector if key in DEPRECATED]
    affinity = spec.affinity
    if affinity is not None and affinity.nodeAffinity is not None:
        needed = affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution
        here = f"{path}.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms"
        for index, term in enumerate(needed.nodeSelectorTerms if needed is not None else ()):
            _node_term(warnings, f"{here}[{index}]", term)
        here = f"{path}.affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution"
        for index, preferred in enumerate(affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution):
            _node_term(warnings, f"{here}[{index}].preference", preferred.preference, values=True)
    for index, constraint in enumerate(spec.topologySpreadConstraints):
        here = f"{path}.topologySpreadConstraints[{index}]"
        if constraint.topologyKey in DEPRECATED:
            warnings.append(f"{here}.topologyKey: {constraint.topologyKey} is {DEPRECATED[constraint.topologyKey]}")
        if constraint.labelSelector is None:
            warnings.append(f"{here}.labelSelector: {_NO_SELECTOR}")


def _pod_affinity(warnings: list[str], path: str, spec: PodSpec) -> None:
    affinity = spec.affinity
    if affinity is None:
        return
    for name, terms in (("podAffinity", affinity.podAffinity), ("podAntiAffinity", affinity.podAntiAffinity)):
        if terms is not None:
            here = f"{path}.affinity.{name}"
            _pod_terms(warnings, f"{here}.required", "", terms.requiredDuringSchedulingIgnoredDuringExecution)
            weighted = [one.podAffinityTerm for one in terms.preferredDuringSchedulingIgnoredDuringExecution]
            _pod_terms(warnings, f"{here}.preferred", ".podAffinityTerm", weighted)


def _node_term(warnings: list[str], path: str, term: NodeSelectorTerm, *, values: bool = False) -> None:
    warnings += expression_warnings(f"{path}.matchExpressions", term.matchExpressions)
    if values:
        for index, expression in enumerate(term.matchExpressions):
            for number, value in enumerate(expression.values):
                here = f"{path}.matchExpressions[{index}].values[{number}]"
                warnings += [f"{here}: {value} is invalid, {wrong}" for wrong in label_value_messages(value)]


def _pod_terms(warnings: list[str], path: str, below: str, terms: Sequence[PodAffinityTerm]) -> None:
    for index, term in enumerate(terms):
        if term.labelSelector is None:
            warnings.append(f"{path}DuringSchedulingIgnoredDuringExecution[{index}]{below}.labelSelector: {_NO_SELECTOR}")


def annotation_warnings(path: str, meta: ObjectMeta, spec: PodSpec) -> list[str]:
    """Warnings about the annotations of a pod whose metadata are at `path`."""
    here = f"{path}.annotations"
    warnings = app_armor_warnings(here, meta.annotations, spec) if meta.annotations else []
    if not any(".alpha.kubernetes.io/" in key for key in meta.annotations):
        return warnings
    warnings += [f"{here}[{key}]: {text}" for key, text in _ANNOTATIONS.items() if key in meta.annotations]
    profiled = spec.securityContext is not None and spec.securityContext.seccompProfile is not None
    if SECCOMP in meta.annotations and not profiled:
        warnings.append(f"{here}[{SECCOMP}]: {_USE_PROFILE}")
    for _, container in _containers("", spec):
        key = CONTAINER_SECCOMP + container.name
        if key in meta.annotations and (container.securityContext is None or container.securityContext.seccompProfile is None):
            warnings.append(f"{here}[{key}]: {_USE_PROFILE}")
    return warnings


def _deprecated(warnings: list[str], path: str, volume: Volume) -> None:
    if volume.ephemeral is not None and volume.ephemeral.volumeClaimTemplate is not None:
        warnings += size_warnings(f"{path}.ephemeral.volumeClaimTemplate.spec", volume.ephemeral.volumeClaimTemplate.spec)
    elif volume.emptyDir is None and volume.persistentVolumeClaim is None and volume.hostPath is None:
        warnings += [f"{path}.{_NAMES.get(name, name)}: {text}" for name, text in _VOLUMES.items() if getattr(volume, name) is not None]


def _volume_files(warnings: list[str], volume: Volume) -> None:
    if volume.configMap is not None:
        _overlaps(warnings, volume.name, f'ConfigMap "{volume.configMap.name}"', [(item.path, "") for item in volume.configMap.items])
    if volume.secret is not None:
        _overlaps(warnings, volume.name, f'Secret "{volume.secret.secretName}"', [(item.path, "") for item in volume.secret.items])
    if volume.downwardAPI is not None:
        _overlaps(warnings, volume.name, "DownwardAPI", [(item.path, "") for item in volume.downwardAPI.items])
    if volume.projected is None:
        return
    paths: list[_Path] = []
    for source in volume.projected.sources:
        if source.configMap is not None:
            paths += [(item.path, f'ConfigMap "{source.configMap.name}"') for item in source.configMap.items]
        elif source.secret is not None:
            paths += [(item.path, f'Secret "{source.secret.name}"') for item in source.secret.items]
        elif source.downwardAPI is not None:
            paths += [(item.path, "DownwardAPI") for item in source.downwardAPI.items]
        elif source.serviceAccountToken is not None:
            paths.append((source.serviceAccountToken.path, "ServiceAccountToken"))
        else:
            warnings.append(f'volume "{volume.name[:MAX_WARNINGS]}" (Projected) has no sources provided')
    _overlaps(warnings, volume.name, "Projected", paths)


def _overlaps(warnings: list[str], name: str, kind: str, paths: Sequence[_Path]) -> None:
    """Files that are put over each other, or where another one needs a directory."""
    if len(paths) < 2:
        return
    plain = {path for path, _ in paths}
    if len(plain) == len(paths) and not any("/" in path for path in plain):
        return
    files = [(path.rstrip("/"), source) for path, source in paths]
    for later, earlier in sorted(overlapping([path for path, _ in files])):
        both = f"{_file(*files[later])} with {_file(*files[earlier])}"
        warnings.append(f'volume "{name[:MAX_WARNINGS]}" ({kind[:MAX_WARNINGS]}): overlapping paths: {both}')


def overlapping(paths: Sequence[str]) -> list[tuple[int, int]]:
    """Return the pairs of paths that are equal or of which one is within the other, by their indexes, the greater one first.

    They are MOST_OVERLAPS at most. In the order of the paths' parts what lies within a path follows it.
    """
    pairs: list[tuple[int, int]] = []
    above: list[int] = []
    for index in sorted(range(len(paths)), key=lambda index: paths[index].split("/")):
        while above and not _is_within(paths[index], paths[above[-1]]):
            above.pop()
        for other in above:
            pairs.append((max(index, other), min(index, other)))
            if len(pairs) >= MOST_OVERLAPS:
                return pairs
        above.append(index)
    return pairs


def _is_within(path: str, other: str) -> bool:
    return path.startswith(other) and path[len(other) : len(other) + 1] in ("", "/")


def _file(path: str, source: str) -> str:
    path = path[:MAX_WARNINGS]
    return f'"{path}" ({source[:MAX_WARNINGS]})' if source else f'"{path}"'


def _repeated(warnings: list[str], path: str, spec: PodSpec) -> None:
    if len(spec.hostAliases) > 1:
        seen: set[str] = set()
        for index, alias in enumerate(spec.hostAliases):
            if alias.ip in seen:
                warnings.append(f'{path}.hostAliases[{index}].ip: duplicate ip "{alias.ip}"')
            seen.add(alias.ip)
    if spec.imagePullSecrets:
        seen = set()
        for index, secret in enumerate(spec.imagePullSecrets):
            here = f"{path}.imagePullSecrets[{index}].name"
            if secret.name in seen:
                warnings.append(f'{here}: duplicate name "{secret.name}"')
            seen.add(secret.name)
        for index, secret in enumerate(spec.imagePullSecrets):
            if not secret.name:
                warnings.append(f'{path}.imagePullSecrets[{index}].name: invalid empty name ""')


def _amounts(warnings: list[str], path: str, listed: Mapping[str, Quantity]) -> None:
    for name in _WHOLE if listed else ():
        value = listed.get(name)
        if value is not None and not is_whole(value):
            warnings.append(f'{path}[{name}]: fractional byte value "{value}" is invalid, must be an integer')


def _env(warnings: list[str], path: str, container: _AnyContainer) -> None:
    seen: set[str] = set()
    for index, variable in enumerate(container.env):
        name, itself = variable.name, f"$({variable.name})"
        if name in seen and (variable.valueFrom is not None or variable.value == itself or itself not in variable.value):
            warnings.append(f'{path}.env[{index}]: hides previous definition of "{name}", which may be dropped when using apply')
        seen.add(name)


class _SamePort:
    """The definitions of one port of a pod, in their order: where each one is. It finds those that do not go with another one."""

    __slots__ = ("_all", "_by_host", "_on_address", "_without_host")

    def __init__(self) -> None:
        self._all: list[_Place] = []
        self._without_host: list[_Place] = []
        self._by_host: dict[tuple[int, str], list[_Place]] = {}
        self._on_address: dict[int, list[_Place]] = {}
        """By host port, those that name an address of the host."""

    def clashes(self, port: ContainerPort) -> Iterable[_Place]:
        """Return the earlier definitions that a warning is due about."""
        host = port.hostPort
        if not host:
            return self._all
        same = self._by_host.get((host, port.hostIP), ())
        ambiguous = self._by_host.get((host, ""), ()) if port.hostIP else self._on_address.get(host, ())
        return merge(self._without_host, same, ambiguous, key=_order)

    def add(self, place: _Place) -> None:
        port = place[2]
        self._all.append(place)
        if not port.hostPort:
            self._without_host.append(place)
        else:
            self._by_host.setdefault((port.hostPort, port.hostIP), []).append(place)
            if port.hostIP:
                self._on_address.setdefault(port.hostPort, []).append(place)


def _ports(warnings: list[str], containers: Sequence[tuple[str, _AnyContainer]]) -> None:
    known: dict[tuple[int, str], _SamePort] = {}
    number = 0
    for where, container in containers:
        for index, port in enumerate(container.ports):
            here = f"{where}.ports[{index}]"
            if port.hostIP and not port.hostPort:
                shown = f"Name:{port.name} HostPort:0 ContainerPort:{port.containerPort} Protocol:{port.protocol} HostIP:{port.hostIP}"
                warnings.append(f"{here}: hostIP set without hostPort: {{{shown}}}")
            others = known.setdefault((port.containerPort, port.protocol), _SamePort())
            for _, there, other in others.clashes(port):
                if (port.hostIP, port.hostPort) == (other.hostIP, other.hostPort):
                    warnings.append(f"{here}: duplicate port definition with {there}")
                elif not port.hostPort or not other.hostPort:
                    warnings.append(f"{here}: overlapping port definition with {there}")
                else:
                    warnings.append(f"{here}: dangerously ambiguous port definition with {there}")
            others.add((number, here, port))
            number += 1
    _port_names(warnings, containers)


def _port_names(warnings: list[str], containers: Sequence[tuple[str, _AnyContainer]]) -> None:
    names: dict[str, str] = {}
    for where, container in containers:
        for index, port in enumerate(container.ports):
            here = f"{where}.ports[{index}]"
            other = names.setdefault(port.name, here) if port.name else here
            if other != here:
                by = f"services and probes that select ports by name will use {other}"
                warnings.append(f'{here}: duplicate port name "{port.name}" with {other}, {by}')
