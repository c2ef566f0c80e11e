"""API services."""

from __future__ import annotations

from typing import Any

from tiphys.api.apiregistration.v1 import APIService
from tiphys.api.columns.base import AGE, NAME, cell
from tiphys.api.helpers.api_services import AVAILABLE, available
from tiphys.api.kinds.rules_core import Uncounted
from tiphys.api.machinery.errors import FieldError
from tiphys.api.machinery.names import path_segment
from tiphys.api.machinery.scheme import METADATA_STAYS, Column, Kind
from tiphys.api.machinery.subresources import STATUS
from tiphys.api.validation import apiregistration

HTTPS_PORT = 443


class APIServiceRules(Uncounted[APIService]):
    names_finalizers = False
    needs_version = True
    resets = METADATA_STAYS

    def default(self, obj: APIService) -> None:
        if obj.spec.service is not None and obj.spec.service.port is None:
            obj.spec.service.port = HTTPS_PORT

    def prepare_create(self, obj: APIService) -> None:
        if obj.spec.service is None:
            obj.status.conditions = [available(obj, obj.metadata.creationTimestamp)]

    def validate_name(self, name: str) -> str:
        return path_segment(name)

    def validate(self, obj: APIService) -> list[FieldError]:
        return apiregistration.validate(obj)

    def prepare_status_update(self, new: APIService, old: APIService) -> None:
        new.metadata.labels, new.metadata.annotations = old.metadata.labels, old.metadata.annotations

    def validate_status_update(self, new: APIService, old: APIService) -> list[FieldError]:
        return apiregistration.validate_status(new)


def _service(service: APIService) -> str:
    backend = service.spec.service
    return "Local" if backend is None else f"{backend.namespace}/{backend.name}"


def _available(service: APIService) -> str:
    for condition in service.status.conditions:
        if condition.type == AVAILABLE:
            return f"{condition.status} ({condition.reason})" if condition.status != "True" and condition.reason else condition.status
    return "Unknown"


API_SERVICES: Kind[APIService] = Kind(
    type=APIService,
    plural="apiservices",
    rules=APIServiceRules(),
    columns=(
        NAME,
        Column("Service", cell(_service), description="The Service behind it, or Local."),
        Column("Available", cell(_available), description="Whether it is available."),
        AGE,
    ),
    group="apiregistration.k8s.io",
    namespaced=False,
    categories=("api-extensions",),
    subresources=(STATUS,),
)

KINDS: tuple[Kind[Any], ...] = (API_SERVICES,)
