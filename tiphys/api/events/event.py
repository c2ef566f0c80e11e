"""Event: defaults, validation, columns and registration."""

from __future__ import annotations

from typing import Any

from tiphys.api.core import event as event_rules
from tiphys.api.core.event import NOT_SET, validate_event, validate_series
from tiphys.api.core.v1 import Event
from tiphys.api.events import v1 as events
from tiphys.api.events.conversion import from_core, to_core
from tiphys.api.machinery.columns import of_stored
from tiphys.api.machinery.errors import FieldError, invalid, required
from tiphys.api.machinery.scheme import Kind, Rules, Stored
from tiphys.api.rules.basics import Errors, immutable

_KEPT = (
    *(
        "involvedObject",
        "reason",
        "message",
        "source",
        "firstTimestamp",
        "lastTimestamp",
        "count",
        "type",
        "eventTime",
        "action",
        "related",
    ),
    "reportingInstance",
)


def validate_new_style(event: Event) -> Errors:
    """Return what events.k8s.io/v1 demands besides of a new event."""
    errors = validate_series(event)
    if event.eventTime is None:
        errors.append(required("eventTime"))
    if event.type not in ("Normal", "Warning"):
        errors.append(invalid("type", "", f"has invalid value: {event.type}"))
    old_style = (
        ("firstTimestamp", event.firstTimestamp),
        ("lastTimestamp", event.lastTimestamp),
        ("count", event.count),
        ("source", event.source.component or event.source.host),
    )
    errors += [invalid(name, "", NOT_SET) for name, value in old_style if value]
    return errors


def validate_new_style_update(new: Event, old: Event) -> Errors:
    """events.k8s.io/v1 lets nothing but the series (and metadata) change."""
    errors = validate_series(new) if new.series != old.series else []
    for name in _KEPT:
        immutable(errors, name, getattr(new, name), getattr(old, name))
    immutable(errors, "reportingController", new.reportingComponent, old.reportingComponent)
    return errors


class EventRules(Rules[events.Event]):
    collected = False
    create_on_update = True

    def validate(self, obj: events.Event) -> list[FieldError]:
        return validate_event(to_core(obj), component="reportingController")

    def validate_create(self, obj: events.Event) -> list[FieldError]:
        return validate_new_style(to_core(obj))

    def validate_update(self, new: events.Event, old: events.Event) -> list[FieldError]:
        return validate_new_style_update(to_core(new), to_core(old))


EVENTS: Kind[events.Event] = Kind(
    type=events.Event,
    plural="events",
    group="events.k8s.io",
    rules=EventRules(),
    columns=of_stored(event_rules.EVENTS.columns, to_core),
    short_names=("ev",),
    stored=Stored(event_rules.EVENTS, to_core, from_core),
    selectable={
        "reason": lambda event: event.reason,
        "regarding.kind": lambda event: event.regarding.kind,
        "regarding.namespace": lambda event: event.regarding.namespace,
        "regarding.name": lambda event: event.regarding.name,
        "regarding.uid": lambda event: event.regarding.uid,
        "regarding.apiVersion": lambda event: event.regarding.apiVersion,
        "regarding.resourceVersion": lambda event: event.regarding.resourceVersion,
        "regarding.fieldPath": lambda event: event.regarding.fieldPath,
        "reportingController": lambda event: event.reportingController,
        "type": lambda event: event.type,
    },
)

KINDS: tuple[Kind[Any], ...] = (EVENTS,)
