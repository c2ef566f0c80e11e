"""Events, events/v1."""

from __future__ import annotations

from tiphys.api.base import MicroTime, Struct, Time, always, constant
from tiphys.api.core.v1.event import EventSource
from tiphys.api.core.v1.reference import ObjectReference
from tiphys.api.meta.v1.meta import KubeObject


class EventSeries(Struct):
    count: int = always(int)
    lastObservedTime: MicroTime | None = None


class Event(KubeObject):
    apiVersion: str = constant("events.k8s.io/v1")
    kind: str = constant("Event")
    eventTime: MicroTime | None = None
    series: EventSeries | None = None
    reportingController: str = ""
    reportingInstance: str = ""
    action: str = ""
    reason: str = ""
    regarding: ObjectReference = always(ObjectReference)
    related: ObjectReference | None = None
    note: str = ""
    type: str = ""
    deprecatedSource: EventSource = always(EventSource)
    deprecatedFirstTimestamp: Time | None = None
    deprecatedLastTimestamp: Time | None = None
    deprecatedCount: int = 0
