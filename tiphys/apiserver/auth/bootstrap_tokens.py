"""Tokens with which new nodes introduce themselves: `<id>.<secret>`, each in its own Secret ("Authenticating with Bootstrap Tokens")."""

from __future__ import annotations

import hmac
import re
from collections.abc import Sequence
from datetime import datetime

from tiphys.aio.clock import Clock
from tiphys.api.core.v1 import Secret
from tiphys.apiserver.auth.authenticate import Identified, with_authenticated
from tiphys.apiserver.auth.source import ObjectSource
from tiphys.apiserver.auth.user import User

NAMESPACE = "kube-system"
NAME_PREFIX = "bootstrap-token-"
TYPE = "bootstrap.kubernetes.io/token"
USER_PREFIX = "system:bootstrap:"
GROUP = "system:bootstrappers"
_TOKEN = re.compile(r"([a-z0-9]{6})\.([a-z0-9]{16})")
_EXTRA_GROUP = re.compile(r"system:bootstrappers:[a-z0-9:-]{0,255}[a-z0-9]")


class BootstrapTokens:
    """Knows the tokens in Secrets `kube-system/bootstrap-token-<id>`. They are for this API server's `audiences` only."""

    def __init__(self, source: ObjectSource, *, audiences: Sequence[str], clock: Clock) -> None:
        self._source = source
        self._audiences = tuple(audiences)
        self._clock = clock

    def identify(self, token: str, audiences: Sequence[str]) -> Identified | None:
        """The user `system:bootstrap:<id>`. Any invalid token is left to other authenticators."""
        parts = _TOKEN.fullmatch(token)
        if parts is None:
            return None
        common = tuple(audience for audience in self._audiences if audience in audiences) if audiences else self._audiences
        name, secret = parts.groups()
        groups = self._groups(name, secret) if common else None
        return None if groups is None else Identified(with_authenticated(User(USER_PREFIX + name, groups=groups)), common)

    def _groups(self, name: str, secret: str) -> tuple[str, ...] | None:
        """The groups of a token that holds, None of one that does not."""
        obj = self._source.get(Secret, NAMESPACE, NAME_PREFIX + name)
        if obj is None or obj.metadata.deletionTimestamp is not None or obj.type != TYPE:
            return None
        data = {key: value.decode(errors="replace") for key, value in obj.data.items()}
        if not hmac.compare_digest(data.get("token-secret", "").encode(), secret.encode()) or data.get("token-id") != name:
            return None
        if data.get("usage-bootstrap-authentication") != "true" or _is_over(data.get("expiration", ""), self._clock.now()):
            return None
        extra = [group for group in data.get("auth-extra-groups", "").split(",") if group]
        if not all(_EXTRA_GROUP.fullmatch(group) for group in extra):
            return None
        return tuple(sorted({GROUP, *extra}))


def _is_over(expiration: str, now: datetime) -> bool:
    """Return whether the time has passed; True for one that cannot be read."""
    if not expiration:
        return False
    try:
        end = datetime.fromisoformat(expiration)
    except ValueError:
        return True
    return end.tzinfo is None or end <= now
