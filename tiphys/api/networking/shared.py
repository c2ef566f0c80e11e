"""Rules and columns that several kinds of `networking.k8s.io` share."""

from __future__ import annotations

from tiphys.api.core.v1 import TypedLocalObjectReference
from tiphys.api.machinery.errors import invalid, required
from tiphys.api.machinery.names import dns_subdomain_messages, path_segment
from tiphys.api.networking.v1 import IngressClass, IngressClassParametersReference
from tiphys.api.rules.basics import Errors, text
from tiphys.api.well_known import DEFAULT_INGRESS_CLASS


def validate_reference(errors: Errors, path: str, reference: TypedLocalObjectReference | IngressClassParametersReference) -> None:
    """A reference to an object: kind and name, and a group that may be empty."""
    if reference.apiGroup is not None:
        text(errors, f"{path}.apiGroup", reference.apiGroup, dns_subdomain_messages(reference.apiGroup))
    for name in ("kind", "name"):
        required_segment(errors, f"{path}.{name}", getattr(reference, name))


def required_segment(errors: Errors, path: str, value: str) -> None:
    """A required name that may stand in a URL."""
    if not value:
        errors.append(required(path))
    elif message := path_segment(value):
        errors.append(invalid(path, value, message))


def class_name(value: IngressClass) -> str:
    """Return the name for a table, with a mark on the default class."""
    default = value.metadata.annotations.get(DEFAULT_INGRESS_CLASS) == "true"
    return f"{value.metadata.name} (default)" if default else value.metadata.name
