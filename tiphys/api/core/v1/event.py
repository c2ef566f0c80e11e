"""The core group, v1: event."""

from __future__ import annotations

from tiphys.api.core.v1.reference import ObjectReference
from tiphys.api.machinery.base import MicroTime, Struct, Time, always, constant, null
from tiphys.api.meta.v1.meta import KubeObject


class EventSeries(Struct):
    """An event that keeps happening."""

    count: int = 0
    """Number of occurrences so far."""
    lastObservedTime: MicroTime | None = null()
    """Time of the last occurrence."""


class EventSource(Struct):
    """Component that reported an event."""

    component: str = ""
    """The program."""
    host: str = ""
    """The node it runs on."""


class Event(KubeObject):
    """Something that happened to an object. Kept for an hour."""

    apiVersion: str = constant("v1")
    kind: str = constant("Event")
    involvedObject: ObjectReference = always(ObjectReference)
    """Object that the event is about."""
    reason: str = ""
    """Reason for the event, in one CamelCase word."""
    message: str = ""
    """Description of what happened, for people."""
    source: EventSource = always(EventSource)
    """Component that reported the event."""
    firstTimestamp: Time | None = null()
    """Time of the first occurrence."""
    lastTimestamp: Time | None = null()
    """Time of the last occurrence."""
    count: int = 0
    """Number of occurrences."""
    type: str = ""
    """`Normal` or `Warning`."""
    eventTime: MicroTime | None = null()
    """Time of the event, to the microsecond, for events of the newer style."""
    series: EventSeries | None = None
    """Series that the event belongs to, if it repeats."""
    action: str = ""
    """Action that was taken or attempted."""
    related: ObjectReference | None = None
    """Another object that it is about."""
    reportingComponent: str = always(str)
    """The program that reported it, such as `kubernetes.io/kubelet`."""
    reportingInstance: str = always(str)
    """The instance of that program."""
