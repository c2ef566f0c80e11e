"""Events of both groups. Paths of mistakes are those of the core group's fields, as upstream names them in both."""

from __future__ import annotations

from tiphys.api.core.v1 import Event
from tiphys.api.machinery.errors import invalid, required
from tiphys.api.machinery.names import dns_label_messages
from tiphys.api.rules.basics import Errors, dns_subdomain, immutable, label_name

_NOT_SET = "needs to be unset"
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


def validate_new_style(event: Event) -> Errors:
    """What events.k8s.io/v1 demands besides of an event that is made."""
    errors = _series(event)
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
    errors += [invalid(name, "", _NOT_SET) for name, value in old_style if value]
    return errors


def validate_new_style_update(new: Event, old: Event) -> Errors:
    """events.k8s.io/v1 lets nothing but the series (and metadata) change."""
    errors = _series(new) if new.series != old.series else []
    for name in _KEPT:
        immutable(errors, name, getattr(new, name), getattr(old, name))
    immutable(errors, "reportingController", new.reportingComponent, old.reportingComponent)
    return errors


def _series(event: Event) -> Errors:
    errors: Errors = []
    if event.series is not None:
        if event.series.count < 2:
            errors.append(invalid("series.count", "", "should be at least 2"))
        if event.series.lastObservedTime is None:
            errors.append(required("series.lastObservedTime"))
    return errors
