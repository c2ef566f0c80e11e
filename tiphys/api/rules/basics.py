"""Small checks that many validators share. Each appends mistakes to `errors`; messages are the API's own, which clients match on."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from tiphys.api.machinery.cached import cached
from tiphys.api.machinery.errors import FieldError, duplicate, forbidden, invalid, not_supported, required
from tiphys.api.machinery.names import (
    dns_label_messages,
    dns_subdomain_messages,
    label_value_messages,
    percent,
    port_name_messages,
    port_number,
    qualified_name_messages,
)
from tiphys.api.meta.v1 import LabelSelector, LabelSelectorRequirement

Errors = list[FieldError]
PROTOCOLS = ("SCTP", "TCP", "UDP")
MAX_ID = 2**31 - 1
ANNOTATIONS_LIMIT = 256 * 1024
"""Bytes that the keys and values of all annotations of an object may have together."""
FILE_MODE = "must be a number between 0 and 0777 (octal), both inclusive"
IMMUTABLE = "field is immutable"


def text(errors: Errors, path: str, value: str, messages: Iterable[str]) -> None:
    """One error per message about a text."""
    for message in messages:
        errors.append(invalid(path, value, message))


def label_name(errors: Errors, path: str, value: str) -> None:
    """A label key."""
    if wrong := qualified_name_messages(value):
        text(errors, path, value, wrong)


def dns_label(errors: Errors, path: str, value: str) -> None:
    """A DNS label (RFC 1123)."""
    if wrong := dns_label_messages(value):
        text(errors, path, value, wrong)


def dns_subdomain(errors: Errors, path: str, value: str) -> None:
    """A DNS subdomain (RFC 1123)."""
    if wrong := dns_subdomain_messages(value):
        text(errors, path, value, wrong)


def labels(errors: Errors, path: str, values: Mapping[str, str]) -> None:
    """A map of labels, or a selector made of equalities."""
    for key, value in values.items():
        if wrong := qualified_name_messages(key):
            text(errors, path, key, wrong)
        if value and (wrong := label_value_messages(value)):
            text(errors, path, value, wrong)


def annotation_map(errors: Errors, path: str, values: Mapping[str, str]) -> None:
    """A map of annotations: keys as labels whatever their case, any values, 256 KiB in all."""
    size = 0
    for key, value in values.items():
        if wrong := qualified_name_messages(key.lower()):
            text(errors, path, key, wrong)
        size += _bytes(key) + _bytes(value)
    if size > ANNOTATIONS_LIMIT:
        errors.append(FieldError("FieldValueTooLong", path, f"may not be more than {ANNOTATIONS_LIMIT} bytes"))


def _bytes(value: str) -> int:
    return len(value) if value.isascii() else len(value.encode())


def label_selector(errors: Errors, path: str, selector: LabelSelector | None) -> None:
    """A label selector; None is fine here."""
    if selector is None:
        return
    labels(errors, f"{path}.matchLabels", selector.matchLabels)
    for index, requirement in enumerate(selector.matchExpressions):
        _selector_requirement(errors, f"{path}.matchExpressions[{index}]", requirement)


def _selector_requirement(errors: Errors, path: str, requirement: LabelSelectorRequirement) -> None:
    if requirement.operator in ("In", "NotIn"):
        if not requirement.values:
            errors.append(required(f"{path}.values", "must be specified when `operator` is 'In' or 'NotIn'"))
    elif requirement.operator in ("Exists", "DoesNotExist"):
        if requirement.values:
            errors.append(forbidden(f"{path}.values", "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"))
    else:
        errors.append(invalid(f"{path}.operator", requirement.operator, "not a valid selector operator"))
    label_name(errors, f"{path}.key", requirement.key)
    for index, value in enumerate(requirement.values):
        text(errors, f"{path}.values[{index}]", value, label_value_messages(value))


def non_negative(errors: Errors, path: str, value: int | None) -> None:
    """Zero or more, or absent."""
    if value is not None and value < 0:
        errors.append(invalid(path, value, "must be greater than or equal to 0"))


def positive(errors: Errors, path: str, value: int) -> None:
    """One or more."""
    if value <= 0:
        errors.append(invalid(path, value, "must be greater than 0"))


def in_range(errors: Errors, path: str, value: int, low: int, high: int) -> None:
    """Between two bounds that belong to the range."""
    if not low <= value <= high:
        errors.append(invalid(path, value, f"must be between {low} and {high}, inclusive"))


def identifier(errors: Errors, path: str, value: int | None) -> None:
    """A user or group id."""
    if value is not None and not 0 <= value <= MAX_ID:
        errors.append(invalid(path, value, f"must be between 0 and {MAX_ID}, inclusive"))


def one_of(errors: Errors, path: str, value: str, supported: Sequence[str]) -> None:
    """A required choice."""
    if value not in supported:
        errors.append(not_supported(path, value, supported) if value else required(path))


def port(errors: Errors, path: str, value: int | str | None) -> None:
    """A port by number or by name."""
    if isinstance(value, str):
        text(errors, path, value, port_name_messages(value))
    elif message := port_number(value or 0):
        errors.append(invalid(path, value or 0, message))


def file_mode(errors: Errors, path: str, value: int | None) -> None:
    """Permission bits of a file."""
    if value is not None and not 0 <= value <= 0o777:
        errors.append(invalid(path, value, FILE_MODE))


@cached()
def is_ip(value: str) -> bool:
    """True if the text is an IPv4 or IPv6 address without a zone."""
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return False
    return "%" not in value


def ip(errors: Errors, path: str, value: str) -> None:
    """An IPv4 or IPv6 address."""
    if not is_ip(value):
        errors.append(invalid(path, value, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"))


def cidr(errors: Errors, path: str, value: str) -> None:
    """A range of addresses."""
    try:
        if "/" not in value:
            raise ValueError(value)
        ipaddress.ip_network(value, strict=False)
    except ValueError:
        errors.append(invalid(path, value, "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"))


def endpoint_ip(errors: Errors, path: str, value: str) -> None:
    """An address that traffic may be sent to: no loopback, link-local, multicast or unspecified one."""
    if not is_ip(value):
        ip(errors, path, value)
        return
    address = ipaddress.ip_address(value)
    if address.is_unspecified:
        errors.append(invalid(path, value, f"may not be unspecified ({value})"))
    if address.is_loopback:
        errors.append(invalid(path, value, "may not be in the loopback range (127.0.0.0/8, ::1/128)"))
    if address.is_link_local:
        errors.append(invalid(path, value, "may not be in the link-local range (169.254.0.0/16, fe80::/10)"))
    if address.is_multicast and value.startswith(("224.0.0.", "ff02:", "FF02:")):
        errors.append(invalid(path, value, "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)"))


def int_or_percent(errors: Errors, path: str, value: int | str | None) -> None:
    """A number that is not negative, or a percentage."""
    if isinstance(value, str):
        if message := percent(value):
            errors.append(invalid(path, value, message))
    elif value is not None:
        non_negative(errors, path, value)


def at_most_100_percent(errors: Errors, path: str, value: int | str | None) -> None:
    """A percentage that is not above 100; numbers are not checked."""
    if isinstance(value, str) and not percent(value) and int(value[:-1]) > 100:
        errors.append(invalid(path, value, "must not be greater than 100%"))


def relative_path(errors: Errors, path: str, value: str) -> None:
    """A path inside a directory."""
    if value.startswith("/"):
        errors.append(invalid(path, value, "must be a relative path"))
    no_backsteps(errors, path, value)


def no_backsteps(errors: Errors, path: str, value: str) -> None:
    """A path without `..`."""
    if ".." in value and ".." in value.split("/"):
        errors.append(invalid(path, value, "must not contain '..'"))


def local_path(errors: Errors, path: str, value: str) -> None:
    """A path of a file that is written into a volume; names that start with `..` are the volume's own."""
    relative_path(errors, path, value)
    if value.startswith("..") and not value.startswith("../"):
        errors.append(invalid(path, value, "must not start with '..'"))


def immutable(errors: Errors, path: str, new: Any, old: Any) -> None:
    """Refuse a change."""
    if new != old:
        errors.append(invalid(path, new, IMMUTABLE))


def unique(errors: Errors, path: str, value: str, seen: set[str]) -> None:
    """Not seen before; then it is seen."""
    if value in seen:
        errors.append(duplicate(path, value))
    else:
        seen.add(value)


def listed(values: Collection[str]) -> str:
    """Join values in order, for messages."""
    return ", ".join(sorted(values))
