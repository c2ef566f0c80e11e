"""Acting as another user: the `Impersonate-*` headers ("User impersonation").

Each part of the requested identity needs the verb `impersonate` on a resource of its own: users, groups, serviceaccounts, uids, userextras.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import unquote

from tiphys.api.machinery.errors import BadRequest
from tiphys.apiserver.auth.attributes import Attributes, refusal
from tiphys.apiserver.auth.authorizer import Authorizer
from tiphys.apiserver.auth.user import (
    ANONYMOUS,
    AUTHENTICATED,
    SERVICE_ACCOUNTS,
    UNAUTHENTICATED,
    User,
    split_service_account,
)
from tiphys.wire.http import Request

PREFIX = "impersonate-"
EXTRA_PREFIX = "impersonate-extra-"
_GROUP = "authentication.k8s.io"


class _Target(NamedTuple):
    name: str
    uid: str
    groups: tuple[str, ...]
    extra: dict[str, tuple[str, ...]]


def impersonate(request: Request, user: User, authorizer: Authorizer) -> User:
    """Return the user that the request acts as: `user` itself when nothing else is asked for.

    Raises Forbidden for a part that `user` may not impersonate and BadRequest for groups, a UID or extras without a user.
    """
    headers = request.headers
    # The names are looked through one by one only where there is such a header: this is asked for every request.
    if PREFIX not in "\n".join(headers) or not any(name.startswith(PREFIX) for name in headers):
        return user
    target = _target(request)
    for attributes in _asks(user, target):
        decision = authorizer.authorize(attributes)
        if not decision.allowed:
            raise refusal(attributes, decision.reason)
    return User(target.name, target.uid, _groups(target), target.extra)


def _target(request: Request) -> _Target:
    headers = request.headers
    name, uid = headers.get("impersonate-user", ""), headers.get("impersonate-uid", "")
    groups = _values(headers.get("impersonate-group", ""))
    extra = {
        unquote(header[len(EXTRA_PREFIX) :]).lower(): _values(value) for header, value in headers.items() if header.startswith(EXTRA_PREFIX)
    }
    if not name:
        raise BadRequest("requested impersonation of groups, a uid or extra without impersonating a user")
    return _Target(name, uid, groups, extra)


def _values(text: str) -> tuple[str, ...]:
    """The values of a header that may be repeated; the transport joins repetitions with commas, as HTTP allows."""
    return tuple(value.strip() for value in text.split(",") if value.strip())


def _asks(user: User, target: _Target) -> Iterator[Attributes]:
    account = split_service_account(target.name)
    if account is not None:
        yield Attributes(user, "impersonate", "", "v1", "serviceaccounts", namespace=account[0], name=account[1])
    else:
        yield Attributes(user, "impersonate", "", "v1", "users", name=target.name)
    for group in target.groups:
        yield Attributes(user, "impersonate", "", "v1", "groups", name=group)
    if target.uid:
        yield Attributes(user, "impersonate", _GROUP, "v1", "uids", name=target.uid)
    for key, values in target.extra.items():
        for value in values:
            yield Attributes(user, "impersonate", _GROUP, "v1", "userextras", key, name=value)


def _groups(target: _Target) -> tuple[str, ...]:
    groups = list(target.groups)
    account = split_service_account(target.name)
    if account is not None and not groups:
        groups = [SERVICE_ACCOUNTS, f"{SERVICE_ACCOUNTS}:{account[0]}"]
    implied = UNAUTHENTICATED if target.name == ANONYMOUS else AUTHENTICATED
    if implied not in groups and UNAUTHENTICATED not in groups:
        groups.append(implied)
    return tuple(groups)
