"""Acting as somebody else: the `Impersonate-*` headers ("User impersonation").

Each part of the wanted identity needs the verb `impersonate` on a resource of its own: users, groups, serviceaccounts, uids, userextras.
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


class _Wanted(NamedTuple):
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
    wanted = _wanted(request)
    for attributes in _asks(user, wanted):
        decision = authorizer.authorize(attributes)
        if not decision.allowed:
            raise refusal(attributes, decision.reason)
    return User(wanted.name, wanted.uid, _groups(wanted), wanted.extra)


def _wanted(request: Request) -> _Wanted:
    headers = request.headers
    name, uid = headers.get("impersonate-user", ""), headers.get("impersonate-uid", "")
    groups = _values(headers.get("impersonate-group", ""))
    extra = {
        unquote(header[len(EXTRA_PREFIX) :]).lower(): _values(value) for header, value in headers.items() if header.startswith(EXTRA_PREFIX)
    }
    if not name:
        raise BadRequest("requested impersonation of groups, a uid or extra without impersonating a user")
    return _Wanted(name, uid, groups, extra)


def _values(text: str) -> tuple[str, ...]:
    """The values of a header that may be repeated; the transport joins repetitions with commas, as HTTP allows."""
    return tuple(value.strip() for value in text.split(",") if value.strip())


def _asks(user: User, wanted: _Wanted) -> Iterator[Attributes]:
    account = split_service_account(wanted.name)
    if account is not None:
        yield Attributes(user, "impersonate", "", "v1", "serviceaccounts", namespace=account[0], name=account[1])
    else:
        yield Attributes(user, "impersonate", "", "v1", "users", name=wanted.name)
    for group in wanted.groups:
        yield Attributes(user, "impersonate", "", "v1", "groups", name=group)
    if wanted.uid:
        yield Attributes(user, "impersonate", _GROUP, "v1", "uids", name=wanted.uid)
    for key, values in wanted.extra.items():
        for value in values:
            yield Attributes(user, "impersonate", _GROUP, "v1", "userextras", key, name=value)


def _groups(wanted: _Wanted) -> tuple[str, ...]:
    groups = list(wanted.groups)
    account = split_service_account(wanted.name)
    if account is not None and not groups:
        groups = [SERVICE_ACCOUNTS, f"{SERVICE_ACCOUNTS}:{account[0]}"]
    implied = UNAUTHENTICATED if wanted.name == ANONYMOUS else AUTHENTICATED
    if implied not in groups and UNAUTHENTICATED not in groups:
        groups.append(implied)
    return tuple(groups)
