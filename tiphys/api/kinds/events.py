"""Events, in their own group: the core group's Events under newer names."""

from __future__ import annotations

from typing import Any

from tiphys.api.columns.base import of_stored
from tiphys.api.events import v1 as events
from tiphys.api.events.conversion import from_core, to_core
from tiphys.api.kinds import core
from tiphys.api.machinery.errors import FieldError
from tiphys.api.machinery.scheme import Kind, Rules, Stored
from tiphys.api.validation import events as validation


class EventRules(Rules[events.Event]):
    collected = False
    create_on_update = True

    def validate(self, obj: events.Event) -> list[FieldError]:
        return validation.validate_event(to_core(obj), component="reportingController")

    def validate_create(self, obj: events.Event) -> list[FieldError]:
        return validation.validate_new_style(to_core(obj))

    def validate_update(self, new: events.Event, old: events.Event) -> list[FieldError]:
        return validation.validate_new_style_update(to_core(new), to_core(old))


EVENTS: Kind[events.Event] = Kind(
    type=events.Event,
    plural="events",
    group="events.k8s.io",
    rules=EventRules(),
    columns=of_stored(core.EVENTS.columns, to_core),
    short_names=("ev",),
    stored=Stored(core.EVENTS, to_core, from_core),
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
