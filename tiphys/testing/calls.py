"""Requests as tests ask about them, and patterns that select some of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from tiphys.apiserver.chain.routes import resolve
from tiphys.wire.http import Request

READS = frozenset(("get", "list", "watch"))
WRITES = frozenset(("create", "update", "patch", "delete", "deletecollection"))


@dataclass(frozen=True)
class Call:
    """One request. Requests outside of resources (`/version`, discovery) have their path as `resource`."""

    verb: str
    """get, list, watch, create, update, patch, delete or deletecollection."""
    resource: str
    namespace: str = ""
    name: str = ""
    subresource: str = ""
    group: str = ""
    request: Request = field(default_factory=lambda: Request("GET", "/"), compare=False, repr=False)

    @property
    def writes(self) -> bool:
        """Whether the request changes something."""
        return self.verb in WRITES

    def __str__(self) -> str:
        target = f"{self.resource}/{self.subresource}" if self.subresource else self.resource
        return " ".join(part for part in (self.verb, target, "/".join(filter(None, (self.namespace, self.name)))) if part)


Where = str | Callable[[Call], bool]
"""Pattern of requests (see `matcher`), or a predicate."""


def call_of(request: Request) -> Call:
    """Return what a request asks for, as the API server understands it."""
    info = resolve(request)
    if not info.is_resource:
        return Call(info.verb, info.path, request=request)
    return Call(info.verb, info.resource, info.namespace, info.name, info.subresource, info.group, request=request)


def matcher(where: Where) -> Callable[[Call], bool]:
    """Return the predicate for a pattern: a verb, and resources written as in the rules of a role.

        "create pods"             "update deployments/scale"    "patch */status"
        "write pods/*"            "read"                        "*"

    The verb may also be `read` (get, list, watch), `write` (whatever changes something) or `*`. `pods` are pods without their
    subresources, `pods/*` the subresources alone, `*` (which may be left out) all resources with their subresources. Raises ValueError
    for a verb that does not exist, so that a misspelled fault is no fault that never happens.
    """
    if not isinstance(where, str):
        return where
    verb, _, target = where.strip().partition(" ")
    verbs = {"read": READS, "write": WRITES, "*": READS | WRITES}.get(verb, frozenset((verb,)))
    if not verbs <= READS | WRITES:
        raise ValueError(f"{where!r}: {verb!r} is no verb; use one of {', '.join(sorted(READS | WRITES))}, read, write or *")
    resource, slash, subresource = (target.strip() or "*").partition("/")

    def matches(call: Call) -> bool:
        if call.verb not in verbs or resource not in ("*", call.resource):
            return False
        if not slash:
            return resource == "*" or not call.subresource
        return bool(call.subresource) and subresource in ("*", call.subresource)

    return matches
