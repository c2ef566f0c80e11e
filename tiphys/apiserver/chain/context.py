"""Context of a verb: the request, its target, its user, and the server's parts."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from random import Random
from typing import Any, ParamSpec, TypeVar

import msgspec

from tiphys.api.machinery.codec import JSON
from tiphys.api.machinery.errors import NotFound
from tiphys.api.machinery.patch import JSON_PATCH, MERGE_PATCH, STRATEGIC_MERGE_PATCH
from tiphys.api.machinery.scheme import Kind, Scheme
from tiphys.api.machinery.yamldoc import Parsed, YAMLError
from tiphys.api.meta.v1.options import CreateOptions
from tiphys.apiserver.admission.chain import AdmissionChain
from tiphys.apiserver.allocate import ServiceAllocator
from tiphys.apiserver.auth.authorizer import Authorizer
from tiphys.apiserver.auth.review import Reviewer
from tiphys.apiserver.auth.token_request import TokenIssuer
from tiphys.apiserver.auth.user import User
from tiphys.apiserver.cache.storage import Storage
from tiphys.apiserver.cache.typed_source import TypedSource
from tiphys.apiserver.chain.aside import Aside
from tiphys.apiserver.chain.options import write_options
from tiphys.apiserver.chain.routes import RequestInfo
from tiphys.apiserver.kubelet import KubeletConnector
from tiphys.apiserver.resource_metrics.collector import Collector
from tiphys.apiserver.settings import DEFAULTS
from tiphys.apiserver.uid import new_uid
from tiphys.wire.http import Request

P = ParamSpec("P")
T = TypeVar("T")

_PLAIN_JSON = frozenset((JSON, JSON_PATCH, MERGE_PATCH, STRATEGIC_MERGE_PATCH))


class Services(msgspec.Struct):
    """The parts of a running API server that verbs use."""

    storage: Storage
    scheme: Scheme
    source: TypedSource
    admission: AdmissionChain
    authorizer: Authorizer
    allocator: ServiceAllocator
    kubelet: KubeletConnector
    now: Callable[[], datetime]
    rng: Random
    tokens: TokenIssuer
    reviewer: Reviewer
    identity_headers: tuple[frozenset[str], tuple[str, ...]]
    """Names and beginnings of names of the headers in which front proxies name callers."""
    aside: Aside
    resource_metrics: Collector
    components: dict[str, Callable[[], str]] = msgspec.field(default_factory=dict)
    """Checks of the parts of the control plane: each returns the reason of a failure, or ""."""
    watch_seconds: float = DEFAULTS.min_request_timeout
    """Minimum seconds that a watch without a timeout is served; at most twice as long, so that not all end together."""

    uid = staticmethod(new_uid)


class Context(msgspec.Struct):
    """One request on one kind."""

    request: Request
    info: RequestInfo
    kind: Kind[Any]
    user: User
    services: Services
    warnings: list[str] = []
    applied: bool = False
    """True if the write is a server-side apply, which brings its managedFields with it."""
    checked: CreateOptions | None = None
    """The options of the write, once they are decoded and checked: see `options`."""
    parsed: Parsed | YAMLError | None = None
    """The outcome of parsing a YAML body."""
    deletes_dry: bool = False
    """True if a deletion is a dry run, which its options may say in the body."""
    large: bool = False
    """True if the body or the object is so large that work on it is done aside (`aside.LARGE`)."""

    @property
    def storage(self) -> Storage:
        return self.services.storage

    @property
    def options(self) -> CreateOptions:
        """The options of a create, an update or a patch; raises BadRequest, Invalid."""
        if self.checked is None:
            self.checked = write_options(self.request, self.info.verb)
        return self.checked

    @property
    def dry_run(self) -> bool:
        """True if nothing is to be stored."""
        return self.deletes_dry or bool(self.request.query and self.options.dryRun)

    def source_bytes(self, stored: int = 0) -> int:
        """Return the bytes of JSON that a write's object is made of: body and stored object; 0 if unknown, as for YAML with its aliases.

        Admission adds no maps to objects, but for pods: what changes that, such as mutating webhooks, must be counted here.
        """
        body = len(self.request.body)
        return body + stored if self.request.headers.get("content-type", JSON) in _PLAIN_JSON else 0

    async def aside(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what a function makes of a large object, on behalf of the user (`Aside.run`)."""
        return await self.services.aside.run(self.user.name, function, *args, **kwargs)

    def not_found(self) -> NotFound:
        """The 404 that names the object of this request."""
        return NotFound.object(self.kind.plural, self.info.name, group=self.kind.group)
