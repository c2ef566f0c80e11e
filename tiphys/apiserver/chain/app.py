"""The chain that every request passes, top to bottom.

    request > authenticate > impersonate > priority and fairness > authorize > route > verb > response

An error anywhere becomes a Status (`failures`). Admission and validation
are part of the verbs that write (`verbs.pipeline`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import msgspec

from tiphys.aio.clock import monotonic
from tiphys.api.kinds import SCHEME
from tiphys.api.machinery.errors import BadRequest, MethodNotSupported, NotFound, StatusError, Unauthorized
from tiphys.api.machinery.scheme import Kind
from tiphys.api.metrics.kinds import KINDS as METRICS
from tiphys.apiserver import components
from tiphys.apiserver.answers import render
from tiphys.apiserver.answers.failures import failure_of
from tiphys.apiserver.auth.attributes import Attributes, refusal, selected_name
from tiphys.apiserver.auth.authenticate import AuthenticatorChain
from tiphys.apiserver.auth.impersonate import impersonate
from tiphys.apiserver.auth.user import User
from tiphys.apiserver.chain import reviews
from tiphys.apiserver.chain.aside import LARGE
from tiphys.apiserver.chain.bodies import Bodies, is_yaml
from tiphys.apiserver.chain.context import Context, Services
from tiphys.apiserver.chain.options import RequestTimeout, request_timeout
from tiphys.apiserver.chain.paths import Paths
from tiphys.apiserver.chain.routes import RequestInfo, resolve
from tiphys.apiserver.flowcontrol.fairness import Fairness
from tiphys.apiserver.flowcontrol.levels import Flow
from tiphys.apiserver.flowcontrol.work import READ, WRITE, estimate, is_long_running
from tiphys.apiserver.metrics import CONNECTS, RequestMetrics
from tiphys.apiserver.resource_metrics import serve as resource_metrics
from tiphys.apiserver.server_metrics import AccessMetrics
from tiphys.apiserver.subresources import binding, connect, eviction, finalize, proxy, scale, token
from tiphys.apiserver.verbs.create import create
from tiphys.apiserver.verbs.delete import delete, delete_collection
from tiphys.apiserver.verbs.patch import patch
from tiphys.apiserver.verbs.read import get, list_
from tiphys.apiserver.verbs.update import update
from tiphys.apiserver.verbs.watch import watch
from tiphys.wire.http import Request, Response

Verb = Callable[[Context], Awaitable[Response]]

VERBS: dict[str, Verb] = {
    "get": get,
    "list": list_,
    "watch": watch,
    "create": create,
    "update": update,
    "patch": patch,
    "delete": delete,
    "deletecollection": delete_collection,
}

COMPUTED: dict[str, dict[str, Verb]] = {
    "v1/componentstatuses": {"get": components.get, "list": components.list_},
    "v1/bindings": {"create": binding.create_beside},
    **{kind.ident: {"get": resource_metrics.get, "list": resource_metrics.list_} for kind in METRICS},
    **{kind.ident: {"create": reviews.review} for kind in SCHEME if kind.question},
}
"""Kinds that are not stored but computed on request, by their name in discovery."""

_PROXIES: dict[str, Verb] = {"v1/pods": proxy.proxy_pod, "v1/services": proxy.proxy_service, "v1/nodes": proxy.proxy_node}
"""Handlers of the subresource `proxy`, by the kind's name in discovery."""

SUBRESOURCES: dict[tuple[str, str], Verb] = {
    ("status", "get"): get,
    ("status", "update"): update,
    ("status", "patch"): patch,
    **{
        (part, name): verb
        for kind in SCHEME
        for part in kind.rules.parts
        for name, verb in (("get", get), ("update", update), ("patch", patch))
    },
    ("scale", "get"): scale.get,
    ("scale", "update"): scale.update,
    ("scale", "patch"): scale.patch,
    ("binding", "create"): binding.create,
    ("eviction", "create"): eviction.create,
    ("finalize", "update"): finalize.update,
    ("token", "create"): token.create,
    ("log", "get"): connect.log,
    ("exec", "get"): connect.exec_,
    ("exec", "create"): connect.exec_,
    ("attach", "get"): connect.attach,
    ("attach", "create"): connect.attach,
    ("portforward", "get"): connect.port_forward,
    ("portforward", "create"): connect.port_forward,
}

ALWAYS_ALLOWED_PATHS = frozenset(("/healthz", "/livez", "/readyz"))


_INTO_PODS = frozenset(("exec", "attach", "portforward"))
_COLLECTION_VERBS = frozenset(("create", "deletecollection", "list", "watch"))
_ALL_NAMESPACES = frozenset(("list", "watch"))
_NOT_ALLOWED = "the server does not allow this method on the requested resource"


class App:
    """Answers requests: the same whether they come over TLS or from a controller in the same process."""

    def __init__(
        self, services: Services, authenticators: AuthenticatorChain, paths: Paths, metrics: RequestMetrics, fairness: Fairness
    ) -> None:
        self.services = services
        self.fairness = fairness
        self._authenticators = authenticators
        self._paths = paths
        self._bodies = Bodies()
        self._metrics = metrics
        self._answering: set[asyncio.Future[Response]] = set()
        """Requests with a deadline of their own that are being answered, or are finished though it has passed."""
        self._access = AccessMetrics(metrics.registry)

    def handle(self, request: Request) -> Coroutine[Any, Any, Response]:
        """The answer to a request; never raises but for cancellation. With `timeout` in its query it is 504 when that time is over."""
        if request.query and request.param("timeout") and not is_long_running(request):
            return self._within_timeout(request)
        return self._handle(request)

    async def _within_timeout(self, request: Request) -> Response:
        """The answer, or when its time is over the 504. What the request began is finished all the same: a write may be half done."""
        try:
            seconds = request_timeout(request)
        except BadRequest as error:
            return render.failure(error, request)
        if seconds <= 0:
            return await self._handle(request)
        answering = asyncio.ensure_future(self._handle(request))
        self._answering.add(answering)
        answering.add_done_callback(self._answering.discard)
        done, _ = await asyncio.wait((answering,), timeout=seconds)
        return answering.result() if done else render.failure(RequestTimeout(), request)

    async def _handle(self, request: Request) -> Response:
        started = began = monotonic()
        info = resolve(request)
        kind = self.services.scheme.by_resource(info.group, info.version, info.resource) if info.is_resource else None
        fairness = self.fairness
        flow: Flow | None = None
        seats = -1
        work = READ
        long = ctx = None
        if kind is not None and (info.verb == "watch" or info.subresource in CONNECTS):
            long, status = self._metrics.begin_long(request, info, kind, monotonic)
        try:
            known = self._authenticators.recognize(request)
            if known is not None:
                self._access.recognized(known.name)
                user = known
            else:
                user = await self._authenticators.authenticate(request)
                self._access.authenticated(user.name, monotonic() - started)
            user = impersonate(request, user, self.services.authorizer)
            flow = fairness.flow_of(user, info)
            if info.verb != "get" or info.subresource:
                work = estimate(info, request, kind, self.services.storage)
            width = work.seats if work.seats <= 1 else min(work.seats, flow.level.widest)
            if not fairness.enter(flow, width, work is WRITE):
                await fairness.wait(flow, width, work.seconds, (request, info, user), writes=work is WRITE)
                began = monotonic()
            seats = width
            if info.is_resource or info.path not in ALWAYS_ALLOWED_PATHS:
                self._authorize(user, info, request)
            if info.is_resource:
                ctx = self._context(request, info, kind, user)
                verb = _verb(ctx)
                if request.body and info.subresource != "proxy" and is_yaml(request):
                    ctx.parsed = await self._bodies.parse(request)
                response = await verb(ctx)
            else:
                response = await self._paths.handle(request, user)
        except Exception as error:
            if ctx is not None and isinstance(error, StatusError):
                error.warnings = ctx.warnings
            if isinstance(error, Unauthorized) and flow is None:
                self._access.refused(monotonic() - started)
            response = render.failure(failure_of(error, request), request)
        except BaseException:
            if flow is not None and seats >= 0:
                fairness.leave(flow, seats, work is WRITE)
            if long is not None:
                long.done()
            raise
        ended = monotonic()
        if flow is not None:
            if seats >= 0:
                fairness.done(flow, seats, work, min(ended - began, work.most), request, response, waited=began is not started)
            headers = response.headers
            response.headers = flow.json_headers if headers is render.JSON_HEADERS else {**headers, **flow.headers}
        if long is None:
            self._metrics.observe(request, info, kind, response, ended - started, began - started)
        else:
            status[0] = response.status
            long.follow(response)
        return response

    def _context(self, request: Request, info: RequestInfo, kind: Kind[Any] | None, user: User) -> Context:
        if kind is None:
            raise NotFound.path()
        ctx = Context(request, info, kind, user, self.services)
        if kind.deprecated:
            ctx.warnings = [kind.deprecated]
        if len(request.body) > LARGE:
            ctx.large = True
        return ctx

    def _authorize(self, user: User, info: RequestInfo, request: Request) -> None:
        selects = request.query and info.verb in ("list", "watch", "deletecollection")
        selector = request.param("fieldSelector") if selects else ""
        # A namespace is in itself: a role in it may allow to read it.
        within = info.name if info.resource == "namespaces" and not info.group else info.namespace
        name = info.name or (selected_name(selector) if selector else "")
        attributes = Attributes(
            user, info.verb, info.group, info.version, info.resource, info.subresource, within, name, info.path, info.is_resource, selector
        )
        decision = self.services.authorizer.authorize(attributes)
        if info.subresource in _INTO_PODS and info.verb == "get" and decision.allowed:
            # WebSocket clients must use GET for a connection that can change as much as any POST.
            attributes = msgspec.structs.replace(attributes, verb="create")
            decision = self.services.authorizer.authorize(attributes)
        if not decision.allowed:
            self._access.denied.inc()
            raise refusal(attributes, decision.reason)
        self._access.allowed.value += 1.0


def _verb(ctx: Context) -> Verb:
    """The handler for the URL and the method; raises NotFound, MethodNotSupported."""
    info, kind = ctx.info, ctx.kind
    _check_shape(info, kind)
    verb: Verb | None
    if info.subresource:
        if info.subresource == "proxy":
            return _PROXIES[kind.ident]
        verb = SUBRESOURCES.get((info.subresource, info.verb))
    else:
        verb = COMPUTED.get(kind.ident, VERBS).get(info.verb) if info.verb in kind.verbs else None
    if verb is None:
        raise MethodNotSupported(_NOT_ALLOWED)
    return verb


def _check_shape(info: RequestInfo, kind: Kind[Any]) -> None:
    """Check that the URL exists (404) and that it takes the method (405)."""
    if info.subresource:
        for sub in kind.subresources:
            if sub.name == info.subresource:
                break
        else:
            raise NotFound.path()
        if info.rest and info.subresource != "proxy":
            raise NotFound.path()
    elif info.verb == "create" if info.name else info.verb not in _COLLECTION_VERBS:
        raise MethodNotSupported(_NOT_ALLOWED)
    if kind.namespaced != bool(info.namespace):
        if not kind.namespaced or info.name:
            raise NotFound.path()
        if info.verb not in _ALL_NAMESPACES:
            raise MethodNotSupported(_NOT_ALLOWED)
