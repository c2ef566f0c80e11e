"""Use of a quota by an object: every kind is counted; pods, services and claims use more.

An evaluator knows which of a quota's resources are its kind's, which writes can change their usage, and how much one object uses.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final

from tiphys.api.core.pods.resources import is_extended, is_native
from tiphys.api.core.v1 import Container, PersistentVolumeClaim, Pod, Service
from tiphys.api.helpers.totals import charged_totals
from tiphys.api.machinery.base import Quantity
from tiphys.api.machinery.cached import cached
from tiphys.api.machinery.durations import later
from tiphys.api.machinery.quantity import compare, format_value, whole
from tiphys.api.machinery.scheme import Kind
from tiphys.api.quota import scopes
from tiphys.api.quota.amounts import ONE, Amounts
from tiphys.api.resource.v1 import DeviceSubRequest, ExactDeviceRequest, ResourceClaim

_ALIASES: Final = {name: name for name in ("configmaps", "resourcequotas", "replicationcontrollers", "secrets")}
_UNCOUNTED: Final = frozenset(("events", "events.events.k8s.io"))
_COMPUTE: Final = ("cpu", "memory", "ephemeral-storage")
_DEMANDED: Final = frozenset(("cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory"))
"""A quota of these demands that every container says how much it wants."""
_STORAGE_CLASS: Final = ".storageclass.storage.k8s.io/"
RESOURCE_GROUP: Final = "resource.k8s.io"
_DEVICES: Final = ".deviceclass.resource.k8s.io/devices"
_MOST_DEVICES: Final = 32
"""Devices that one claim can be given: the amount that a request for all of them counts as."""
_BETA_CLASS: Final = "volume.beta.kubernetes.io/storage-class"


def count_name(plural: str, group: str = "") -> str:
    """`count/pods`, `count/deployments.apps`."""
    return f"count/{plural}.{group}" if group else f"count/{plural}"


class Evaluator:
    """Objects that are only counted, and the base of the others."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = frozenset(names)
        self._each: Amounts = dict.fromkeys(sorted(self._names), ONE)

    def resources(self, hard: Iterable[str]) -> list[str]:
        """Those of a quota's resources that this kind uses."""
        return [name for name in hard if name in self._names]

    reads = False
    """True if usage depends on the content of an object: others need not be read to be counted."""
    updates: tuple[str, ...] = ()
    """Subresources ("" is the object itself) whose updates can change an object's usage."""

    def concerns(self, operation: str, subresource: str) -> bool:
        """True if writes of a sort can change what objects use."""
        return (operation == "CREATE" and not subresource) or (operation == "UPDATE" and subresource in self.updates)

    def changes(self, subresource: str, new: Any, old: Any) -> bool:
        """True if an update that `concerns` changes the object's usage."""
        return True

    def lacking(self, required: Sequence[str], obj: Any) -> str:
        """Return the fields that the object must specify and does not, or ""."""
        return ""

    def usage(self, obj: Any, now: datetime) -> Amounts:
        """Return the amounts that the object uses."""
        return self._each


class PodEvaluator(Evaluator):
    """Requests, limits and number of pods. Finished pods and those past their grace only count as objects."""

    def __init__(self) -> None:
        base = (name for what in _COMPUTE for name in (what, f"requests.{what}", f"limits.{what}"))
        super().__init__(("count/pods", "pods", *base))

    def resources(self, hard: Iterable[str]) -> list[str]:
        return [name for name in hard if name in self._names or _is_pods_own(name)]

    reads = True
    updates = ("", "resize")

    def changes(self, subresource: str, new: Pod, old: Pod) -> bool:
        return subresource == "resize" or scopes.is_terminating(new) != scopes.is_terminating(old)

    def lacking(self, required: Sequence[str], obj: Pod) -> str:
        demanded = sorted(_DEMANDED.intersection(required))
        resources = obj.spec.resources
        if not demanded or (resources is not None and (resources.requests or resources.limits)):
            return ""
        missing = {name: _without(name, (*obj.spec.containers, *obj.spec.initContainers)) for name in demanded}
        message = "; ".join(f"{name} for: {','.join(sorted(where))}" for name, where in missing.items() if where)
        return f"must specify {message}" if message else ""

    def usage(self, obj: Pod, now: datetime) -> Amounts:
        used: Amounts = {"count/pods": ONE}
        if not is_charged(obj, now):
            return used
        requests, limits = charged_totals(obj, "requests"), charged_totals(obj, "limits")
        used["pods"] = ONE
        for name, quantity in requests.items():
            if name in _COMPUTE or name.startswith("hugepages-"):
                used[name] = used[f"requests.{name}"] = quantity
            elif is_extended(name):
                used[f"requests.{name}"] = quantity
        for name in _COMPUTE:
            if name in limits:
                used[f"limits.{name}"] = limits[name]
        return used


@cached()
def _is_pods_own(name: str) -> bool:
    if name.startswith(("hugepages-", "requests.hugepages-")):
        return True
    return name.startswith("requests.") and (not is_native(name) or name.startswith("requests.deviceclass.resource.kubernetes.io/"))


def _without(name: str, containers: Iterable[Container]) -> set[str]:
    """The containers that do not say how much they want of a resource."""
    which, _, bare = name.rpartition(".")
    side = "limits" if which == "limits" else "requests"
    return {container.name for container in containers if bare not in getattr(container.resources, side)}


def is_charged(pod: Pod, now: datetime) -> bool:
    """True if a pod still uses its requests: not when it has finished or should be gone."""
    if pod.status.phase in ("Failed", "Succeeded"):
        return False
    gone = gone_at(pod)
    return gone is None or now <= gone


def gone_at(pod: Pod) -> datetime | None:
    """Return when a pod that is being deleted stops being charged."""
    meta = pod.metadata
    if meta.deletionTimestamp is None or meta.deletionGracePeriodSeconds is None:
        return None
    return later(meta.deletionTimestamp, meta.deletionGracePeriodSeconds)


class ServiceEvaluator(Evaluator):
    """Services, their node ports and load balancers. The type of a service can change."""

    def __init__(self) -> None:
        super().__init__(("count/services", "services", "services.nodeports", "services.loadbalancers"))

    reads = True
    updates = ("",)

    def usage(self, obj: Service, now: datetime) -> Amounts:
        spec = obj.spec
        ports = 0
        if spec.type == "NodePort" or (spec.type == "LoadBalancer" and spec.allocateLoadBalancerNodePorts is not False):
            ports = len(spec.ports)
        elif spec.type == "LoadBalancer":
            ports = sum(1 for port in spec.ports if port.nodePort)
        balancers = 1 if spec.type == "LoadBalancer" else 0
        return {
            "count/services": ONE,
            "services": ONE,
            "services.nodeports": format_value(ports),
            "services.loadbalancers": format_value(balancers),
        }


class ClaimEvaluator(Evaluator):
    """Claims and their storage, altogether and per storage class."""

    def __init__(self) -> None:
        super().__init__(("count/persistentvolumeclaims", "persistentvolumeclaims", "requests.storage"))

    def resources(self, hard: Iterable[str]) -> list[str]:
        ends = (f"{_STORAGE_CLASS}persistentvolumeclaims", f"{_STORAGE_CLASS}requests.storage")
        return [name for name in hard if name in self._names or name.endswith(ends)]

    reads = True
    updates = ("", "status")

    def changes(self, subresource: str, new: PersistentVolumeClaim, old: PersistentVolumeClaim) -> bool:
        if not subresource:
            return True
        allocated = new.status.allocatedResources.get("storage") != old.status.allocatedResources.get("storage")
        return allocated or scopes.volume_classes(new) != scopes.volume_classes(old)

    def usage(self, obj: PersistentVolumeClaim, now: datetime) -> Amounts:
        used: Amounts = {"persistentvolumeclaims": ONE, "count/persistentvolumeclaims": ONE}
        storage = _storage(obj)
        if storage is not None:
            used["requests.storage"] = storage
        name = obj.metadata.annotations.get(_BETA_CLASS) or obj.spec.storageClassName
        if name:
            used[f"{name}{_STORAGE_CLASS}persistentvolumeclaims"] = ONE
            if storage is not None:
                used[f"{name}{_STORAGE_CLASS}requests.storage"] = storage
        return used


def _storage(claim: PersistentVolumeClaim) -> Quantity | None:
    """Return the storage that a claim requests, or that is allocated to it when that is more, in whole bytes."""
    requested = claim.spec.resources.requests.get("storage")
    if requested is None:
        return None
    allocated = claim.status.allocatedResources.get("storage")
    largest = allocated if allocated is not None and compare(allocated, requested) > 0 else requested
    rounded = format_value(whole(largest))
    return largest if not compare(largest, rounded) else rounded


class DeviceClaimEvaluator(Evaluator):
    """Claims of devices and the devices of each class that they can get at most (KEP-4381)."""

    reads = True
    updates = ("",)

    def __init__(self) -> None:
        super().__init__((count_name("resourceclaims", RESOURCE_GROUP),))

    def resources(self, hard: Iterable[str]) -> list[str]:
        return [name for name in hard if name in self._names or name.endswith(_DEVICES)]

    def usage(self, obj: ResourceClaim, now: datetime) -> Amounts:
        numbers: Counter[str] = Counter()
        for request in obj.spec.devices.requests or []:
            most: dict[str, int] = {}
            wishes: Sequence[ExactDeviceRequest | DeviceSubRequest] = request.firstAvailable
            if request.exactly is not None and not wishes:
                wishes = (request.exactly,)
            for wish in wishes:
                most[wish.deviceClassName] = max(most.get(wish.deviceClassName, 0), _devices(wish))
            numbers.update(most)
        return {**self._each, **{f"{name}{_DEVICES}": format_value(number) for name, number in numbers.items()}}


def _devices(wish: ExactDeviceRequest | DeviceSubRequest) -> int:
    if wish.allocationMode == "All":
        return _MOST_DEVICES
    return wish.count if wish.allocationMode == "ExactCount" else 0


_SPECIAL: Final[dict[tuple[str, str], Evaluator]] = {
    ("pods", ""): PodEvaluator(),
    ("services", ""): ServiceEvaluator(),
    ("persistentvolumeclaims", ""): ClaimEvaluator(),
    ("resourceclaims", RESOURCE_GROUP): DeviceClaimEvaluator(),
}


@cached()
def _evaluator(resource: tuple[str, str]) -> Evaluator:
    plural, group = resource
    if special := _SPECIAL.get((plural, group)):
        return special
    names = [count_name(plural, group)]
    if not group and plural in _ALIASES:
        names.append(_ALIASES[plural])
    return Evaluator(names)


def evaluator_for(plural: str, group: str = "") -> Evaluator:
    """Return the evaluator of a resource."""
    return _evaluator((plural, group))


def tracked(hard: Iterable[str]) -> set[tuple[str, str]]:
    """The resources, as plural and group, whose objects a quota is about, as far as the names tell."""
    resources: set[tuple[str, str]] = set()
    for name in hard:
        if name.startswith("count/"):
            plural, _, group = name.removeprefix("count/").partition(".")
            resources.add((plural, group))
        elif name in _ALIASES:
            resources.add((name, ""))
        else:
            resources.update(resource for resource, evaluator in _SPECIAL.items() if evaluator.resources((name,)))
    return resources


def evaluator_of(kind: Kind[Any]) -> Evaluator | None:
    """Return the evaluator of a kind; None for kinds that quotas do not count: not namespaced, not stored, or events."""
    if not kind.namespaced or "list" not in kind.verbs or kind.resource in _UNCOUNTED:
        return None
    return _evaluator((kind.plural, kind.group))
