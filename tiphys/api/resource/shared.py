"""Rules that several kinds of `resource.k8s.io` share."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Sequence
from typing import TypeVar

from tiphys.api.core.volumes.sources import driver_name
from tiphys.api.machinery.errors import duplicate, invalid, required, too_long, too_many
from tiphys.api.machinery.names import c_identifier
from tiphys.api.rules.basics import Errors, dns_subdomain, label_name

MAX_BINDING_CONDITIONS = 4
MAX_POOL_NAME = 253
MAX_ID = 32
EFFECTS = ("NoExecute", "NoSchedule", "None")
_UUID = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
REFERENCE = "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'"
ItemT = TypeVar("ItemT")
Check = Callable[[Errors, str, ItemT], None]


def validate_items(errors: Errors, path: str, items: Sequence[ItemT], limit: int, check: Check[ItemT]) -> bool:
    """Each item, unless there are too many to look at; returns whether there were not."""
    if 0 <= limit < len(items):
        errors.append(too_many(path, len(items), limit))
        return False
    for index, item in enumerate(items):
        check(errors, f"{path}[{index}]", item)
    return True


def validate_unique_items(
    errors: Errors,
    path: str,
    items: Sequence[ItemT],
    limit: int,
    check: Check[ItemT],
    key: Callable[[ItemT], Hashable] = lambda item: str(item),
) -> None:
    """Each item, and that no two have the same key."""
    if not validate_items(errors, path, items, limit, check):
        return
    seen: set[Hashable] = set()
    for index, item in enumerate(items):
        name = key(item)
        if name in seen:
            errors.append(duplicate(f"{path}[{index}]", name))
        seen.add(name)


def pool_name(errors: Errors, path: str, name: str) -> None:
    """One or more DNS subdomains with slashes in between."""
    if not name:
        errors.append(required(path))
        return
    if len(name) > MAX_POOL_NAME:
        errors.append(too_long(path, MAX_POOL_NAME))
    for part in name.split("/"):
        dns_subdomain(errors, path, part)


def qualified_name(errors: Errors, path: str, name: str) -> None:
    """The name of an attribute or a capacity: an identifier, which a domain may precede."""
    domain, slash, identifier = name.rpartition("/")
    if "/" in domain:
        return
    if slash:
        if domain:
            driver_name(errors, path, domain)
        else:
            errors.append(invalid(path, "", "the domain must not be empty"))
        if not identifier:
            errors.append(invalid(path, "", "the name must not be empty"))
            return
    if len(identifier) > MAX_ID:
        errors.append(too_long(path, MAX_ID))
    if message := c_identifier(identifier):
        errors.append(invalid(path, identifier, message))


def fully_qualified_name(errors: Errors, path: str, name: str) -> None:
    """A name with a domain before it."""
    qualified_name(errors, path, name)
    if "/" not in name:
        errors.append(invalid(path, name, "a fully qualified name must be a domain and a name separated by a slash"))


def uid(errors: Errors, path: str, value: str) -> None:
    """A UUID in lower case."""
    if not _UUID.fullmatch(value):
        message = "uid must be in RFC 4122 normalized form, `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx` with lowercase hexadecimal characters"
        errors.append(invalid(path, value, message))


def binding_conditions(errors: Errors, path: str, binding: Sequence[str], failed: Sequence[str]) -> None:
    """Conditions that a device must have before its pod is bound, and those after which it never will be."""
    for name, values in (("bindingConditions", binding), ("bindingFailureConditions", failed)):
        validate_items(errors, f"{path}.{name}", values, MAX_BINDING_CONDITIONS, label_name)
        seen: set[str] = set()
        for index, value in enumerate(values):
            if value in seen:
                errors.append(duplicate(f"{path}.{name}[{index}]", value))
            seen.add(value)
            if values is failed and value in binding:
                message = "bindingFailureConditions must not overlap with bindingConditions"
                errors.append(invalid(f"{path}.{name}[{index}]", value, message))
    if failed and not binding:
        errors.append(invalid(f"{path}.bindingConditions", binding, "bindingConditions are required to use bindingFailureConditions"))
    if binding and not failed:
        message = "bindingFailureConditions are required to use bindingConditions"
        errors.append(invalid(f"{path}.bindingFailureConditions", failed, message))
