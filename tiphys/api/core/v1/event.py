"""The core group, v1: event."""

from __future__ import annotations

from tiphys.api.base import MicroTime, Struct, Time, always, constant
from tiphys.api.core.v1.reference import ObjectReference
from tiphys.api.meta.v1.meta import KubeObject


class EventSeries(Struct):
    count: int = 0
    lastObservedTime: MicroTime | None = None


class EventSource(Struct):
    component: str = ""
    host: str = ""


class Event(KubeObject):
    apiVersion: str = constant("v1")
    kind: str = constant("Event")
    involvedObject: ObjectReference = always(ObjectReference)
    reason: str = ""
    message: str = ""
    source: EventSource = always(EventSource)
    firstTimestamp: Time | None = None
    lastTimestamp: Time | None = None
    count: int = 0
    type: str = ""
    eventTime: MicroTime | None = None
    series: EventSeries | None = None
    action: str = ""
    related: ObjectReference | None = None
    reportingComponent: str = always(str)
    reportingInstance: str = always(str)
