"""Events, events/v1."""

from __future__ import annotations

from tiphys.api.core.v1.event import EventSource
from tiphys.api.core.v1.reference import ObjectReference
from tiphys.api.machinery.base import MicroTime, Struct, Time, always, constant, null
from tiphys.api.meta.v1.meta import KubeObject


class EventSeries(Struct):
    """An event that happened again."""

    count: int = always(int)
    """Number of occurrences up to the last one."""
    lastObservedTime: MicroTime | None = null()
    """Time of the last occurrence."""


class Event(KubeObject):
    """Something that happened to an object and is worth telling."""

    apiVersion: str = constant("events.k8s.io/v1")
    kind: str = constant("Event")
    eventTime: MicroTime | None = null()
    """Time of the first occurrence."""
    series: EventSeries | None = None
    """Series of further occurrences."""
    reportingController: str = ""
    """Name of the reporting controller, such as `example.com/operator`."""
    reportingInstance: str = ""
    """Instance of the reporting controller."""
    action: str = ""
    """Action that was taken or attempted, in one word."""
    reason: str = ""
    """Reason, in one CamelCase word."""
    regarding: ObjectReference = always(ObjectReference)
    """The object that it is about."""
    related: ObjectReference | None = None
    """Another object that has to do with it."""
    note: str = ""
    """Description of the event, for people."""
    type: str = ""
    """`Normal` or `Warning`."""
    deprecatedSource: EventSource = always(EventSource)
    """The source, as in events of the core group."""
    deprecatedFirstTimestamp: Time | None = null()
    """The first time, as in events of the core group."""
    deprecatedLastTimestamp: Time | None = null()
    """The last time, as in events of the core group."""
    deprecatedCount: int = 0
    """The count, as in events of the core group."""
