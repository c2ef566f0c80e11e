"""The caller, once known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from tiphys.api.authentication.v1 import UserInfo
from tiphys.api.well_known import LOCAL_PATH_USER, LOCAL_PATH_USERS

ANONYMOUS: Final = "system:anonymous"
UNAUTHENTICATED: Final = "system:unauthenticated"
AUTHENTICATED: Final = "system:authenticated"
MASTERS: Final = "system:masters"
NODES: Final = "system:nodes"
NODE_PREFIX: Final = "system:node:"
SERVICE_ACCOUNT_PREFIX: Final = "system:serviceaccount:"
SERVICE_ACCOUNTS: Final = "system:serviceaccounts"


class User(msgspec.Struct, frozen=True):
    """A caller: name, groups and what else the credential said. Equal users may share cached decisions."""

    name: str
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: Mapping[str, tuple[str, ...]] = {}

    @property
    def node(self) -> str:
        """The node that this caller is (user `system:node:NAME` in group `system:nodes`), or ""."""
        if self.name.startswith(NODE_PREFIX) and NODES in self.groups:
            return self.name[len(NODE_PREFIX) :]
        return ""

    @property
    def provisioner_node(self) -> str:
        """The node whose process this caller provisions volumes for, or ""."""
        if self.name.startswith(LOCAL_PATH_USER) and LOCAL_PATH_USERS in self.groups:
            return self.name[len(LOCAL_PATH_USER) :]
        return ""

    def info(self) -> UserInfo:
        """The caller as the authentication API writes it."""
        return UserInfo(username=self.name, uid=self.uid, groups=list(self.groups), extra={k: list(v) for k, v in self.extra.items()})


ANONYMOUS_USER: Final = User(ANONYMOUS, groups=(UNAUTHENTICATED,))


def service_account_user(namespace: str, name: str, *, uid: str = "", extra: Mapping[str, tuple[str, ...]] | None = None) -> User:
    """The user that a service account is, without `system:authenticated`."""
    groups = (SERVICE_ACCOUNTS, f"{SERVICE_ACCOUNTS}:{namespace}")
    return User(f"{SERVICE_ACCOUNT_PREFIX}{namespace}:{name}", uid, groups, extra or {})


def split_service_account(user_name: str) -> tuple[str, str] | None:
    """(namespace, name) of the service account with this user name, or None."""
    if not user_name.startswith(SERVICE_ACCOUNT_PREFIX):
        return None
    namespace, colon, name = user_name[len(SERVICE_ACCOUNT_PREFIX) :].partition(":")
    if not (colon and namespace and name) or ":" in name:
        return None
    return namespace, name
