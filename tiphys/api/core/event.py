"""Event: defaults, validation, columns and registration."""

from __future__ import annotations

from datetime import datetime

from tiphys.api.core import v1 as core
from tiphys.api.core.v1 import Event
from tiphys.api.machinery.columns import cell, since
from tiphys.api.machinery.errors import invalid, required
from tiphys.api.machinery.names import dns_label_messages, path_segment
from tiphys.api.machinery.scheme import Column, Kind, Rules
from tiphys.api.rules.basics import Errors, dns_subdomain, label_name

NOT_SET = "needs to be unset"


def validate_event(event: Event, *, component: str = "reportingComponent") -> Errors:
    """The rules of both groups: those of old clients, and stricter ones for events that carry an eventTime.

    `component` is what the group calls the field with the program that reports.
    """
    errors: Errors = []
    about, namespace = event.involvedObject.namespace, event.metadata.namespace
    mismatch = invalid("involvedObject.namespace", about, "does not match event.namespace")
    if event.eventTime is None:
        if (about and namespace != about) or (not about and namespace not in ("", "default")):
            errors.append(mismatch)
    else:
        if not about and namespace not in ("default", "kube-system"):
            errors.append(mismatch)
        if not event.reportingComponent:
            errors.append(required(component))
        label_name(errors, component, event.reportingComponent)
        limits = (("reportingInstance", event.reportingInstance), ("action", event.action), ("reason", event.reason))
        for name, text in limits:
            if not text:
                errors.append(required(name))
            elif len(text.encode()) > 128:
                errors.append(invalid(name, "", "can have at most 128 characters"))
        if len(event.message.encode()) > 1024:
            errors.append(invalid("message", "", "can have at most 1024 characters"))
    if namespace and dns_label_messages(namespace):
        dns_subdomain(errors, "namespace", namespace)
    return errors


def validate_series(event: Event) -> Errors:
    """Return the mistakes in the series of an event."""
    errors: Errors = []
    if event.series is not None:
        if event.series.count < 2:
            errors.append(invalid("series.count", "", "should be at least 2"))
        if event.series.lastObservedTime is None:
            errors.append(required("series.lastObservedTime"))
    return errors


class EventRules(Rules[Event]):
    names_finalizers = False
    collected = False
    create_on_update = True

    validate_name = staticmethod(path_segment)
    validate = staticmethod(validate_event)


def _first_seen(event: Event, now: datetime) -> str:
    return since(event.firstTimestamp or event.eventTime, now)


def _last_seen(event: Event, now: datetime) -> str:
    if event.series is not None:
        return since(event.series.lastObservedTime, now)
    return since(event.lastTimestamp, now) if event.lastTimestamp else _first_seen(event, now)


def _object(event: Event) -> str:
    kind = event.involvedObject.kind.lower()
    return f"{kind}/{event.involvedObject.name}" if event.involvedObject.name else kind


def _source(event: Event) -> str:
    component, instance = event.source.component or event.reportingComponent, event.source.host or event.reportingInstance
    return f"{component}, {instance}" if instance else component


COLUMNS = (
    Column("Last Seen", _last_seen, description="How long ago it happened last."),
    Column("Type", cell(lambda event: event.type), description="Normal or Warning."),
    Column("Reason", cell(lambda event: event.reason), description="What happened, in one word."),
    Column("Object", cell(_object), description="What it happened to."),
    Column("Subobject", cell(lambda event: event.involvedObject.fieldPath), priority=1, description="The part of the object."),
    Column("Source", cell(_source), priority=1, description="Who reported it."),
    Column("Message", cell(lambda event: event.message.strip()), description="What happened, in words."),
    Column("First Seen", _first_seen, priority=1, description="How long ago it happened first."),
    Column(
        "Count",
        cell(lambda event: event.series.count if event.series is not None else event.count or 1),
        priority=1,
        description="How often it happened.",
    ),
    Column("Name", cell(lambda event: event.metadata.name), format="name", priority=1, description="The name of the event itself."),
)

EVENT_TTL = 3600.0
"""Seconds for which an Event is kept."""

EVENTS: Kind[core.Event] = Kind(
    type=core.Event,
    plural="events",
    rules=EventRules(),
    columns=COLUMNS,
    short_names=("ev",),
    ttl=lambda _: EVENT_TTL,
    selectable={
        "involvedObject.kind": lambda event: event.involvedObject.kind,
        "involvedObject.namespace": lambda event: event.involvedObject.namespace,
        "involvedObject.name": lambda event: event.involvedObject.name,
        "involvedObject.uid": lambda event: event.involvedObject.uid,
        "involvedObject.apiVersion": lambda event: event.involvedObject.apiVersion,
        "involvedObject.resourceVersion": lambda event: event.involvedObject.resourceVersion,
        "involvedObject.fieldPath": lambda event: event.involvedObject.fieldPath,
        "reason": lambda event: event.reason,
        "reportingComponent": lambda event: event.reportingComponent,
        "source": lambda event: event.source.component or event.reportingComponent,
        "type": lambda event: event.type,
    },
)
