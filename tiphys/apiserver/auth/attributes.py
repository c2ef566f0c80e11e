"""Attributes of a request, as authorizers see them."""

from __future__ import annotations

import msgspec

from tiphys.api.machinery.errors import Forbidden
from tiphys.api.meta.v1.status import StatusDetails
from tiphys.apiserver.auth.user import User

READ_VERBS = frozenset({"get", "list", "watch"})


class Attributes(msgspec.Struct, frozen=True):
    """One requested action: a verb on a resource, or on a path when `is_resource` is false.

    `name` of a list, watch or deletecollection is the one that a `metadata.name=x` field selector asks for, else "". `field_selector` is
    the text of the query; only the Node authorizer reads it.
    """

    user: User
    verb: str
    group: str = ""
    version: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""
    is_resource: bool = True
    field_selector: str = ""

    @property
    def target(self) -> str:
        """The resource as roles write it: `pods` or `pods/log`."""
        return f"{self.resource}/{self.subresource}" if self.subresource else self.resource


def selected_name(field_selector: str) -> str:
    """The name in `metadata.name=NAME`, or "": a list or watch of one object is authorized like a request for that object."""
    for part in field_selector.split(","):
        field, equals, value = part.partition("=")
        if equals and field == "metadata.name":
            return value.removeprefix("=")
    return ""


def refusal(attributes: Attributes, reason: str = "") -> Forbidden:
    """The 403 for a request that is not allowed, in the words that clients match on."""
    what = f'User "{attributes.user.name}" cannot {attributes.verb} '
    if not attributes.is_resource:
        text = f'{what}path "{attributes.path}"'
        text = f"forbidden: {text}: {reason}" if reason else f"forbidden: {text}"
        return Forbidden(text, details=StatusDetails())
    where = f'in the namespace "{attributes.namespace}"' if attributes.namespace else "at the cluster scope"
    why = f'{what}resource "{attributes.target}" in API group "{attributes.group}" {where}'
    if reason:
        why = f"{why}: {reason}"
    return Forbidden.resource(attributes.resource, attributes.name, why, group=attributes.group)
