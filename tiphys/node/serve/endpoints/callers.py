"""Authentication and authorization of callers ("Kubelet authentication/authorization"; KEP-2862, fine-grained authorization).

A caller shows a client certificate of the cluster's authority or a bearer token, which the API server reviews; what the caller may do is
decided by the API server too. The administrators' group and the API server's own certificate pass without asking, so the calls of `kubectl
logs` and `exec` cost nothing more and go on when the API server is busy.
"""

from __future__ import annotations

import logging

from tiphys.aio.clock import Clock
from tiphys.api.authorization.v1 import ResourceAttributes
from tiphys.client.client import Client
from tiphys.node.serve.endpoints.refusal import Refusal
from tiphys.runtime.delegated import UNREACHABLE, Caller, Reviews
from tiphys.wire.http import PeerIdentity, Request

log = logging.getLogger(__name__)

MASTERS = "system:masters"

_VERBS = {"POST": "create", "GET": "get", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_FINE = {"pods": "pods", "runningpods": "pods", "healthz": "healthz", "configz": "configz"}
_OWN = {"stats": "stats", "metrics": "metrics", "logs": "log", "checkpoint": "checkpoint", "statusz": "statusz", "flagz": "configz"}


def verb_of(method: str) -> str:
    """The API's verb for an HTTP method, "" for one without."""
    return _VERBS.get(method, "")


def subresources_of(path: str) -> list[str]:
    """Subresources of the node, any of which opens the path: the finer one first, then `proxy` where the path has none of its own."""
    head = path.strip("/").partition("/")[0]
    if head in _OWN:
        return [_OWN[head]]
    return [_FINE[head], "proxy"] if head in _FINE else ["proxy"]


class Callers:
    """Authenticates and authorizes the requests of one node's server."""

    def __init__(self, client: Client, clock: Clock, *, node: str, trusted: tuple[str, ...]) -> None:
        self.node = node
        self.trusted = trusted
        """Common names of certificates that may do everything."""
        self._reviews = Reviews(client, clock)

    async def check(self, request: Request) -> None:
        """Raise Refusal unless the request's caller is known (401) and may make it (403)."""
        if self._is_trusted(request.peer):
            return
        caller = await self._reviews.authenticate(request)
        if caller is None:
            raise Refusal(401, "Unauthorized")
        if MASTERS in caller.groups:
            return
        verb, subresources = verb_of(request.method), subresources_of(request.path)
        for subresource in subresources:
            if await self._may(caller, verb, subresource):
                return
        listed = " ".join(subresources)
        raise Refusal(403, f"Forbidden (user={caller.name}, verb={verb}, resource=nodes, subresource(s)=[{listed}])")

    def _is_trusted(self, peer: PeerIdentity) -> bool:
        return bool(peer.common_name) and (MASTERS in peer.organizations or peer.common_name in self.trusted)

    async def _may(self, caller: Caller, verb: str, subresource: str) -> bool:
        attributes = ResourceAttributes(verb=verb, version="v1", resource="nodes", subresource=subresource, name=self.node)
        try:
            return await self._reviews.may(caller, attributes)
        except UNREACHABLE as error:
            log.warning("access not reviewed", extra={"user": caller.name, "error": str(error)})
            message = f"Authorization error (user={caller.name}, verb={verb}, resource=nodes, subresource={subresource})"
            raise Refusal(500, message) from error
