"""The Scale of custom objects, whose definitions say where replicas are."""

from __future__ import annotations

from typing import Any

from tiphys.api.autoscaling.v1 import ScaleSpec, ScaleStatus
from tiphys.api.custom.object import CustomObject
from tiphys.api.custom.rules import Scaled, WrongScale, at, number_at
from tiphys.api.machinery.errors import BadRequest


def custom_scale(obj: CustomObject) -> tuple[ScaleSpec, ScaleStatus]:
    """Return the object's Scale; raises BadRequest where its content is something else."""
    scale: Scaled = obj.__model__.scale
    try:
        selector = at(obj.content, scale.selector) if scale.selector else ""
        spec = ScaleSpec(replicas=number_at(obj.content, scale.replicas) or 0)
        return spec, ScaleStatus(replicas=number_at(obj.content, scale.status) or 0, selector=selector or "")
    except WrongScale as error:
        raise BadRequest(str(error)) from None


def set_custom_replicas(obj: CustomObject, replicas: int) -> None:
    """Write the replicas where the definition wants them."""
    *above, last = obj.__model__.scale.replicas.removeprefix(".").split(".")
    place: Any = obj.content
    for name in above:
        place = place.setdefault(name, {})
    place[last] = replicas


def nested(path: str, value: Any) -> dict[str, Any]:
    """A document that holds nothing but a value at a path."""
    for name in reversed(path.removeprefix(".").split(".")):
        value = {name: value}
    document: dict[str, Any] = value
    return document
