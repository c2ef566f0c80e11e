"""Autoscaling: one kind in two versions, kept as v2."""

from __future__ import annotations

from typing import Any

from tiphys.api.autoscaling import v1, v2
from tiphys.api.autoscaling.conversion import from_v1, to_v1, without_carriers
from tiphys.api.columns.autoscaling import AUTOSCALERS
from tiphys.api.columns.base import of_stored
from tiphys.api.defaults.autoscaling import default_autoscaler
from tiphys.api.kinds.rules_core import Uncounted
from tiphys.api.machinery.errors import FieldError
from tiphys.api.machinery.scheme import Kind, Stored
from tiphys.api.machinery.served import Through
from tiphys.api.machinery.subresources import STATUS
from tiphys.api.validation import autoscaling


class AutoscalerRules(Uncounted[v2.HorizontalPodAutoscaler]):
    def default(self, obj: v2.HorizontalPodAutoscaler) -> None:
        obj.metadata.annotations = without_carriers(obj.metadata.annotations)
        default_autoscaler(obj)

    def validate(self, obj: v2.HorizontalPodAutoscaler) -> list[FieldError]:
        return autoscaling.validate(obj)

    def validate_create(self, obj: v2.HorizontalPodAutoscaler) -> list[FieldError]:
        return autoscaling.validate_against(obj, None)

    def validate_update(self, new: v2.HorizontalPodAutoscaler, old: v2.HorizontalPodAutoscaler) -> list[FieldError]:
        return autoscaling.validate_against(new, old)

    def validate_status_update(self, new: v2.HorizontalPodAutoscaler, old: v2.HorizontalPodAutoscaler) -> list[FieldError]:
        return autoscaling.validate_status(new)


class OldAutoscalerRules(Through[v1.HorizontalPodAutoscaler]):
    def default_here(self, obj: v1.HorizontalPodAutoscaler) -> None:
        if obj.spec.minReplicas is None:
            obj.spec.minReplicas = 1


AUTOSCALERS_V2: Kind[v2.HorizontalPodAutoscaler] = Kind(
    type=v2.HorizontalPodAutoscaler,
    plural="horizontalpodautoscalers",
    group="autoscaling",
    version="v2",
    rules=AutoscalerRules(),
    columns=AUTOSCALERS,
    short_names=("hpa",),
    categories=("all",),
    subresources=(STATUS,),
    unattended=True,
)

_AS_V2: Stored[v1.HorizontalPodAutoscaler] = Stored(AUTOSCALERS_V2, from_v1, to_v1)

AUTOSCALERS_V1: Kind[v1.HorizontalPodAutoscaler] = Kind(
    type=v1.HorizontalPodAutoscaler,
    plural="horizontalpodautoscalers",
    group="autoscaling",
    version="v1",
    rules=OldAutoscalerRules(_AS_V2),
    columns=of_stored(AUTOSCALERS, from_v1),
    short_names=("hpa",),
    categories=("all",),
    subresources=(STATUS,),
    stored=_AS_V2,
    unattended=True,
)

KINDS: tuple[Kind[Any], ...] = (AUTOSCALERS_V2, AUTOSCALERS_V1)
