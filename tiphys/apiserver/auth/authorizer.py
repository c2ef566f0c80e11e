"""The seam between the request chain and whatever decides: an authorizer, and the chain of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from tiphys.apiserver.auth.attributes import Attributes
from tiphys.apiserver.auth.user import MASTERS


class Decision(NamedTuple):
    """An answer. Neither `allowed` nor `denied` means "no opinion": the next authorizer is asked."""

    allowed: bool
    reason: str = ""
    denied: bool = False


NO_OPINION = Decision(False)


class Authorizer(Protocol):
    """Decides from memory: never waits, never raises."""

    def authorize(self, attributes: Attributes) -> Decision: ...


class Superusers:
    """Members of `system:masters` may do everything; this cannot be taken away by roles."""

    def authorize(self, attributes: Attributes) -> Decision:
        return _MASTER if MASTERS in attributes.user.groups else NO_OPINION


class AlwaysAllow:
    """Everybody may do everything: for `--authorization-mode AlwaysAllow` and for tests of other layers."""

    def authorize(self, attributes: Attributes) -> Decision:
        return Decision(True)


class AuthorizerChain:
    """Asks each authorizer in turn; the first that allows or denies decides. Nobody with an opinion means no."""

    def __init__(self, authorizers: Sequence[Authorizer]) -> None:
        self._authorizers = tuple(authorizers)

    def authorize(self, attributes: Attributes) -> Decision:
        reasons: tuple[str, ...] = ()
        for authorizer in self._authorizers:
            decision = authorizer.authorize(attributes)
            if decision.allowed or decision.denied:
                return decision
            if decision.reason:
                reasons += (decision.reason,)
        return Decision(False, ", ".join(reasons)) if reasons else NO_OPINION


_MASTER = Decision(True)
