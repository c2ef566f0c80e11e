"""The core group, v1: event."""

from __future__ import annotations

from tiphys.api.core.v1.reference import ObjectReference
from tiphys.api.machinery.base import MicroTime, Struct, Time, always, constant, null
from tiphys.api.meta.v1.meta import KubeObject


class EventSeries(Struct):
    """An event that keeps happening."""

    count: int = 0
    """How often so far."""
    lastObservedTime: MicroTime | None = null()
    """When last."""


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
    """What it happened to."""
    reason: str = ""
    """What happened, in one word."""
    message: str = ""
    """What happened, in words."""
    source: EventSource = always(EventSource)
    """Who reported it."""
    firstTimestamp: Time | None = null()
    """When it happened first."""
    lastTimestamp: Time | None = null()
    """When it happened last."""
    count: int = 0
    """How often it happened."""
    type: str = ""
    """`Normal` or `Warning`."""
    eventTime: MicroTime | None = null()
    """When it happened, to the microsecond, for events of the newer style."""
    series: EventSeries | None = None
    """How it goes on, if it does."""
    action: str = ""
    """What was done or tried."""
    related: ObjectReference | None = None
    """Another object that it is about."""
    reportingComponent: str = always(str)
    """The program that reported it, such as `kubernetes.io/kubelet`."""
    reportingInstance: str = always(str)
    """The instance of that program."""
