"""IngressClass: defaults, validation, columns and registration."""

from __future__ import annotations

import re

from tiphys.api.machinery.columns import AGE, NAME, NONE, cell
from tiphys.api.machinery.errors import forbidden, invalid, not_supported, required, too_long
from tiphys.api.machinery.names import dns_subdomain_messages
from tiphys.api.machinery.scheme import Column, Kind, Rules
from tiphys.api.networking import GROUP
from tiphys.api.networking import v1 as networking
from tiphys.api.networking.shared import class_name, validate_reference
from tiphys.api.networking.v1 import IngressClass, IngressClassParametersReference
from tiphys.api.rules.basics import Errors, dns_label, immutable, text


def default_ingress_class(value: IngressClass) -> None:
    """Default the scope of parameters to the cluster."""
    if value.spec.parameters is not None and value.spec.parameters.scope is None:
        value.spec.parameters.scope = "Cluster"


_MAX_CONTROLLER = 250
_HTTP_PATH = r"[A-Za-z0-9/\-._~%!$&'()*+,;=:]+"
_http_path = re.compile(_HTTP_PATH).fullmatch


def validate_ingress_class(value: IngressClass) -> Errors:
    """Return the mistakes in an ingress class ("Ingress: Ingress class")."""
    errors: Errors = []
    controller = value.spec.controller
    if len(controller) > _MAX_CONTROLLER:
        errors.append(too_long("spec.controller", _MAX_CONTROLLER))
    _prefixed_path(errors, "spec.controller", controller)
    if value.spec.parameters is not None:
        _parameters(errors, "spec.parameters", value.spec.parameters)
    return errors


def validate_ingress_class_update(new: IngressClass, old: IngressClass) -> Errors:
    """Refuse changes of the controller."""
    errors: Errors = []
    immutable(errors, "spec.controller", new.spec.controller, old.spec.controller)
    return errors


def _prefixed_path(errors: Errors, path: str, value: str) -> None:
    """A domain and a path: who handles the class."""
    if not value:
        errors.append(required(path))
        return
    host, _, rest = value.partition("/")
    if not host or not rest:
        errors.append(invalid(path, value, 'must be a domain-prefixed path (such as "acme.io/foo")'))
        return
    text(errors, path, host, dns_subdomain_messages(host))
    if not _http_path(rest):
        errors.append(invalid(path, rest, f"Invalid path (regex used for validation is '{_HTTP_PATH}')"))


def _parameters(errors: Errors, path: str, value: IngressClassParametersReference) -> None:
    validate_reference(errors, path, value)
    if value.scope is None:
        errors.append(required(f"{path}.scope"))
    elif value.scope not in ("Cluster", "Namespace"):
        errors.append(not_supported(f"{path}.scope", value.scope, ("Cluster", "Namespace")))
    elif value.scope == "Cluster":
        if value.namespace is not None:
            errors.append(forbidden(f"{path}.namespace", "`parameters.scope` is set to 'Cluster'"))
    elif value.namespace is None:
        errors.append(required(f"{path}.namespace", "`parameters.scope` is set to 'Namespace'"))
    else:
        dns_label(errors, f"{path}.namespace", value.namespace)


class IngressClassRules(Rules[IngressClass]):
    default = staticmethod(default_ingress_class)
    validate = staticmethod(validate_ingress_class)
    validate_update = staticmethod(validate_ingress_class_update)


def _parameters_cell(value: IngressClass) -> str:
    parameters = value.spec.parameters
    if parameters is None:
        return NONE
    kind = parameters.kind if parameters.apiGroup is None else f"{parameters.kind}.{parameters.apiGroup}"
    return f"{kind}/{parameters.name}"


COLUMNS = (
    Column("Name", cell(class_name), format="name", description=NAME.description),
    Column("Controller", cell(lambda obj: obj.spec.controller), description="Who handles ingresses of the class."),
    Column("Parameters", cell(_parameters_cell), description="The object with its settings."),
    AGE,
)

INGRESS_CLASSES: Kind[networking.IngressClass] = Kind(
    type=networking.IngressClass,
    plural="ingressclasses",
    rules=IngressClassRules(),
    columns=COLUMNS,
    group=GROUP,
    namespaced=False,
)
