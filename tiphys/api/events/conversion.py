"""Events of events.k8s.io/v1 and of the core group: the same content under newer and older names ("KEP-383: New Event API")."""

from __future__ import annotations

from tiphys.api.core import v1 as core
from tiphys.api.events import v1 as events


def to_core(event: events.Event) -> core.Event:
    """The core Event that is stored."""
    series = event.series
    return core.Event(
        metadata=event.metadata,
        involvedObject=event.regarding,
        reason=event.reason,
        message=event.note,
        source=event.deprecatedSource,
        firstTimestamp=event.deprecatedFirstTimestamp,
        lastTimestamp=event.deprecatedLastTimestamp,
        count=event.deprecatedCount,
        type=event.type,
        eventTime=event.eventTime,
        series=None if series is None else core.EventSeries(count=series.count, lastObservedTime=series.lastObservedTime),
        action=event.action,
        related=event.related,
        reportingComponent=event.reportingController,
        reportingInstance=event.reportingInstance,
    )


def from_core(event: core.Event) -> events.Event:
    """A stored Event under the newer names."""
    series = event.series
    return events.Event(
        metadata=event.metadata,
        eventTime=event.eventTime,
        series=None if series is None else events.EventSeries(count=series.count, lastObservedTime=series.lastObservedTime),
        reportingController=event.reportingComponent,
        reportingInstance=event.reportingInstance,
        action=event.action,
        reason=event.reason,
        regarding=event.involvedObject,
        related=event.related,
        note=event.message,
        type=event.type,
        deprecatedSource=event.source,
        deprecatedFirstTimestamp=event.firstTimestamp,
        deprecatedLastTimestamp=event.lastTimestamp,
        deprecatedCount=event.count,
    )
