"""Events, events/v1."""

from tiphys.api.events.v1.types import Event, EventSeries

__all__ = [
    "Event",
    "EventSeries",
]
