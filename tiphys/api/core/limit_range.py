"""LimitRange: defaults, validation, columns and registration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tiphys.api.core import v1 as core
from tiphys.api.core.pods.resources import container_resource_messages, is_huge_pages, is_native, resource_messages
from tiphys.api.core.uncounted import Uncounted
from tiphys.api.core.v1 import LimitRange, LimitRangeItem
from tiphys.api.machinery.base import Quantity
from tiphys.api.machinery.errors import duplicate, forbidden, invalid, required
from tiphys.api.machinery.names import qualified_name_messages
from tiphys.api.machinery.quantity import compare, parse
from tiphys.api.machinery.scheme import Kind
from tiphys.api.rules.basics import Errors


def default_limit_range(limits: LimitRange) -> None:
    """For containers a maximum is the default limit, that the default request, and a minimum what is requested at least."""
    for item in limits.spec.limits or []:
        if item.type == "Container":
            item.default = {**item.max, **item.default}
            item.defaultRequest = {**item.min, **item.default, **item.defaultRequest}


_LIMIT_TYPES: Final = frozenset(("Container", "PersistentVolumeClaim", "Pod"))


def validate_limit_range(limits: LimitRange) -> Errors:
    """Return the mistakes in the limits: types, names of resources, and the order of numbers ("Limit Ranges")."""
    errors: Errors = []
    seen: set[str] = set()
    for index, item in enumerate(limits.spec.limits or []):
        path = f"spec.limits[{index}]"
        _limit_type(errors, f"{path}.type", item.type)
        if item.type in seen:
            errors.append(duplicate(f"{path}.type", item.type))
        seen.add(item.type)
        _limit_names(errors, path, item)
        for name in sorted({*item.max, *item.min, *item.default, *item.defaultRequest, *item.maxLimitRequestRatio}):
            _bounds(errors, path, item, name)
    return errors


def _limit_type(errors: Errors, path: str, value: str) -> None:
    wrong = qualified_name_messages(value)
    if not wrong and "/" not in value and value not in _LIMIT_TYPES:
        wrong = ("must be a standard limit type or fully qualified",)
    for message in wrong:
        errors.append(invalid(path, value, message))


def _limit_names(errors: Errors, path: str, item: LimitRangeItem) -> None:
    messages = container_resource_messages if item.type in ("Pod", "Container") else resource_messages
    fields: list[tuple[str, Mapping[str, Quantity]]] = [("max", item.max), ("min", item.min)]
    defaults: list[tuple[str, Mapping[str, Quantity]]] = [("default", item.default), ("defaultRequest", item.defaultRequest)]
    if item.type == "Pod":
        for field, values in defaults:
            if values:
                errors.append(forbidden(f"{path}.{field}", "may not be specified when `type` is 'Pod'"))
    else:
        fields += defaults
    if item.type == "PersistentVolumeClaim" and "storage" not in item.min and "storage" not in item.max:
        errors.append(required(f"{path}.limits", "either minimum or maximum storage value is required, but neither was provided"))
    fields.append(("maxLimitRequestRatio", item.maxLimitRequestRatio))
    for field, values in fields:
        for name in values:
            for message in messages(name):
                errors.append(invalid(f"{path}.{field}[{name}]", name, message))


def _bounds(errors: Errors, path: str, item: LimitRangeItem, name: str) -> None:
    """Check the order of one resource's numbers: of each pair that is given."""
    of_pod = item.type == "Pod"
    low, high = item.min.get(name), item.max.get(name)
    limit = None if of_pod else item.default.get(name)
    request = None if of_pod else item.defaultRequest.get(name)
    for less, less_is, more, more_is, field, blamed in (
        (low, "min value", high, "max value", "min", low),
        (low, "min value", request, "default request value", "defaultRequest", request),
        (request, "default request value", high, "max value", "defaultRequest", request),
        (request, "default request value", limit, "default limit value", "defaultRequest", request),
        (low, "min value", limit, "default value", "default", low),
        (limit, "default value", high, "max value", "default", high),
    ):
        if less is not None and more is not None and compare(less, more) > 0:
            errors.append(invalid(f"{path}.{field}[{name}]", blamed, f"{less_is} {less} is greater than {more_is} {more}"))
    _ratio(errors, f"{path}.maxLimitRequestRatio[{name}]", item.maxLimitRequestRatio.get(name), low, high)
    overcommit = is_native(name) and not is_huge_pages(name)
    if not overcommit and limit is not None and request is not None and compare(limit, request):
        message = f"default value {limit} must equal to defaultRequest value {request} in {name}"
        errors.append(invalid(f"{path}.defaultRequest[{name}]", request, message))


def _ratio(errors: Errors, path: str, ratio: Quantity | None, low: Quantity | None, high: Quantity | None) -> None:
    if ratio is None:
        return
    if parse(ratio) < 1:
        errors.append(invalid(path, ratio, f"ratio {ratio} is less than 1"))
    if low is not None and high is not None and parse(low):
        most = parse(high) / parse(low)
        if parse(ratio) > most:
            errors.append(invalid(path, ratio, f"ratio {ratio} is greater than max/min = {most:.6f}"))


class LimitRangeRules(Uncounted[LimitRange]):
    create_on_update = True

    default = staticmethod(default_limit_range)
    validate = staticmethod(validate_limit_range)


LIMIT_RANGES: Kind[core.LimitRange] = Kind(type=core.LimitRange, plural="limitranges", rules=LimitRangeRules(), short_names=("limits",))
