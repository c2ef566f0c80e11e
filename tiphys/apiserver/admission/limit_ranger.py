"""LimitRanger: default requests and limits of containers, and the bounds of containers, pods and claims ("Limit Ranges")."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from tiphys.api.core.v1 import LimitRange, LimitRangeItem, PersistentVolumeClaim, Pod
from tiphys.api.helpers.resources import qos_class
from tiphys.api.helpers.totals import pod_totals
from tiphys.api.machinery.base import Quantity
from tiphys.api.machinery.quantity import ZERO, compare, parse
from tiphys.api.machinery.scheme import Kind
from tiphys.apiserver.admission.chain import AdmissionPlugin, AdmissionRequest, Operation

ANNOTATION: Final = "kubernetes.io/limit-ranger"
Amounts = Mapping[str, Quantity]


class LimitRanger(AdmissionPlugin):
    """See the module. Containers never change after a create but by a resize, so other updates of pods are not looked at."""

    name = "LimitRanger"

    def handles(self, kind: Kind[Any], operation: Operation, subresource: str) -> bool:
        if kind.type is Pod:
            return (operation, subresource) in (("CREATE", ""), ("UPDATE", "resize"))
        return kind.type is PersistentVolumeClaim and operation in ("CREATE", "UPDATE") and not subresource

    def admit(self, request: AdmissionRequest) -> None:
        pod = request.object
        if isinstance(pod, Pod):
            for limits in _ranges(request):
                _fill_in(pod, limits)

    def validate(self, request: AdmissionRequest) -> None:
        for limits in _ranges(request):
            messages = list(dict.fromkeys(_wrong(request.object, limits)))
            if messages:
                raise request.forbidden(messages[0] if len(messages) == 1 else f"[{', '.join(messages)}]")


def _ranges(request: AdmissionRequest) -> Iterable[LimitRange]:
    """The namespace's limit ranges; none for objects that are on their way out."""
    old = request.old_object
    return request.source.objects(LimitRange, request.namespace) if old is None or old.metadata.deletionTimestamp is None else ()


def _fill_in(pod: Pod, limits: LimitRange) -> None:
    requests: dict[str, Quantity] = {}
    caps: dict[str, Quantity] = {}
    for item in limits.spec.limits or []:
        if item.type == "Container":
            requests.update(item.defaultRequest)
            caps.update(item.default)
    notes: list[str] = []
    for what, containers in (("container", pod.spec.containers), ("init container", pod.spec.initContainers)):
        for container in containers:
            own = container.resources
            for field, values, have in (("request", requests, own.requests), ("limit", caps, own.limits)):
                added = sorted(values.keys() - have.keys())
                if added:
                    setattr(own, f"{field}s", {**values, **have})
                    notes.append(f"{', '.join(added)} {field} for {what} {container.name}")
    if notes:
        pod.metadata.annotations = {**pod.metadata.annotations, ANNOTATION: f"LimitRanger plugin set: {'; '.join(notes)}"}
        pod.status.qosClass = qos_class(pod)


def _wrong(obj: Any, limits: LimitRange) -> Iterator[str]:
    for item in limits.spec.limits or []:
        if isinstance(obj, PersistentVolumeClaim) and item.type == "PersistentVolumeClaim":
            yield from _claim(item, obj.spec.resources.requests)
        elif isinstance(obj, Pod) and item.type == "Container":
            for container in (*obj.spec.containers, *obj.spec.initContainers):
                yield from _bounds(item, container.resources.requests, container.resources.limits)
        elif isinstance(obj, Pod) and item.type == "Pod":
            yield from _bounds(item, pod_totals(obj, "requests"), pod_totals(obj, "limits"))


def _claim(item: LimitRangeItem, requests: Amounts) -> Iterator[str]:
    yield from _each(item.min, lambda name, bound: _below(item.type, name, bound, requests, {}))
    yield from _each(item.max, lambda name, bound: _claims_above(item.type, name, bound, requests))


def _bounds(item: LimitRangeItem, requests: Amounts, limits: Amounts) -> Iterator[str]:
    yield from _each(item.min, lambda name, bound: _below(item.type, name, bound, requests, limits))
    yield from _each(item.max, lambda name, bound: _above(item.type, name, bound, requests, limits))
    yield from _each(item.maxLimitRequestRatio, lambda name, bound: _ratio(item.type, name, bound, requests, limits))


def _each(bounds: Amounts, check: Callable[[str, Quantity], str]) -> Iterator[str]:
    for name in sorted(bounds):
        if message := check(name, bounds[name]):
            yield message


def _below(what: str, name: str, bound: Quantity, requests: Amounts, limits: Amounts) -> str:
    begin = f"minimum {name} usage per {what} is {bound}"
    if name not in requests:
        return f"{begin}.  No request is specified"
    if compare(requests[name], bound) < 0:
        return f"{begin}, but request is {requests[name]}"
    if name in limits and compare(limits[name], bound) < 0:
        return f"{begin}, but limit is {limits[name]}"
    return ""


def _above(what: str, name: str, bound: Quantity, requests: Amounts, limits: Amounts) -> str:
    begin = f"maximum {name} usage per {what} is {bound}"
    if name not in limits:
        return f"{begin}.  No limit is specified"
    if compare(limits[name], bound) > 0:
        return f"{begin}, but limit is {limits[name]}"
    if name in requests and compare(requests[name], bound) > 0:
        return f"{begin}, but request is {requests[name]}"
    return ""


def _claims_above(what: str, name: str, bound: Quantity, requests: Amounts) -> str:
    """Claims have no limits: their request is what counts."""
    begin = f"maximum {name} usage per {what} is {bound}"
    if name not in requests:
        return f"{begin}.  No request is specified"
    return f"{begin}, but request is {requests[name]}" if compare(requests[name], bound) > 0 else ""


def _ratio(what: str, name: str, bound: Quantity, requests: Amounts, limits: Amounts) -> str:
    begin = f"{name} max limit to request ratio per {what} is {bound}"
    request, limit = parse(requests.get(name, ZERO)), parse(limits.get(name, ZERO))
    if not request:
        return f"{begin}, but no request is specified or request is 0"
    if not limit:
        return f"{begin}, but no limit is specified or limit is 0"
    return f"{begin}, but provided ratio is {limit / request:.6f}" if limit / request > parse(bound) else ""
