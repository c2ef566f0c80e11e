"""The API server put together: store, caches, authentication, authorization, admission, the chain and its door."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import random
import socket
import ssl
from collections.abc import Callable
from typing import Any

from tiphys.aio.certificates import CertificateFiles
from tiphys.aio.clock import Clock, LoopClock
from tiphys.api.core import v1 as core
from tiphys.api.kinds import SCHEME
from tiphys.api.machinery.scheme import Scheme
from tiphys.api.rbac.v1 import ClusterRole
from tiphys.apiserver import components, pod_resources, server_metrics
from tiphys.apiserver.addresses import REPAIR_EVERY, AddressBook
from tiphys.apiserver.admission.plugins import default_chain
from tiphys.apiserver.allocate import ServiceAllocator
from tiphys.apiserver.answers.failures import refusal
from tiphys.apiserver.answers.render import JSON_HEADERS
from tiphys.apiserver.api_services import ApiServiceKeeper
from tiphys.apiserver.auth.authenticate import AuthenticatorChain, BearerAuthenticator, TokenFile
from tiphys.apiserver.auth.authorizer import AuthorizerChain, Superusers
from tiphys.apiserver.auth.bootstrap_tokens import BootstrapTokens
from tiphys.apiserver.auth.escalation import EscalationGuard
from tiphys.apiserver.auth.node import NodeAuthorizer
from tiphys.apiserver.auth.peer_reader import PeerReader
from tiphys.apiserver.auth.rbac import RbacAuthorizer
from tiphys.apiserver.auth.request_header import RequestHeaderAuthenticator, identity_headers
from tiphys.apiserver.auth.review import Reviewer
from tiphys.apiserver.auth.token_request import TokenIssuer
from tiphys.apiserver.auth.tokens import ServiceAccountTokens, SigningKey, discovery_document, key_set
from tiphys.apiserver.authentication_trust import REFRESH_SECONDS, AuthenticationTrust
from tiphys.apiserver.bootstrap import Bootstrap
from tiphys.apiserver.cache.storage import Storage
from tiphys.apiserver.cache.typed_source import TypedSource
from tiphys.apiserver.chain.app import App
from tiphys.apiserver.chain.aside import Aside
from tiphys.apiserver.chain.context import Services
from tiphys.apiserver.chain.paths import Paths
from tiphys.apiserver.crd.keeper import Keeper
from tiphys.apiserver.flowcontrol.fairness import Fairness
from tiphys.apiserver.flowcontrol.upkeep import Upkeep
from tiphys.apiserver.flowcontrol.work import is_long_running
from tiphys.apiserver.health import READY, Health
from tiphys.apiserver.identity import Identity
from tiphys.apiserver.kubelet import KubeletConnector
from tiphys.apiserver.local_storage import ensure_local_storage
from tiphys.apiserver.metrics import RequestMetrics
from tiphys.apiserver.resource_metrics.collector import Collector
from tiphys.apiserver.settings import ApiServerSettings
from tiphys.apiserver.warm import warm_up
from tiphys.http.limits import Limits
from tiphys.http.peer import peer_identity
from tiphys.http.server import Server, server_context
from tiphys.store.contract import Store, StoreFailed
from tiphys.wire.http import PeerIdentity

log = logging.getLogger(__name__)

DEFINITIONS, ROLES, CLASSES = "crd-informer-synced", "rbac/bootstrap-roles", "scheduling/bootstrap-system-priority-classes"
ADDRESSES, FAIRNESS = "start-service-ip-repair-controllers", "priority-and-fairness-config-producer"
API_SERVICES = "apiservice-registration-controller"
STEPS = (DEFINITIONS, ROLES, CLASSES, ADDRESSES, FAIRNESS, API_SERVICES)
"""The steps of the start, by the names that kube-apiserver's health checks give them."""
WARM_AFTER = 0.2
"""Seconds after the start: clients that waited for the server to be ready come first."""


class ApiServer:
    """A stateless API server over a store."""

    def __init__(self, settings: ApiServerSettings, store: Store, *, clock: Clock | None = None, rng: random.Random | None = None) -> None:
        self.settings = settings
        self.clock = clock or LoopClock()
        self.scheme = Scheme(SCHEME)
        """Kinds of this server: the built-in ones, and those that definitions make."""
        self.storage = Storage(store, self.scheme)
        self.source = TypedSource(self.storage)
        self._store = store
        self._rng = rng or random.Random()
        self._stopped = False
        self._server: Server | None = None
        self._certificates: list[CertificateFiles] = []
        self._aside = Aside()
        self._background: list[asyncio.Task[None]] = []
        self._keeper: Keeper | None = None
        self._collector: Collector | None = None
        self._warming: asyncio.TimerHandle | None = None
        self.port = settings.port
        self.components: dict[str, Callable[[], str]] = {
            "etcd-0": self.storage.health,
            **{part: components.by_lease(self.source, lease, self.clock.now) for part, lease in components.LEASES.items()},
        }
        """Checks of the parts of the control plane. A process that runs one of them replaces its check."""
        self.health = self._checks()
        self.app: App

    async def start(self, *, listen: bool = True) -> None:
        """Open the store, fill the caches, write the system objects, and listen. Raises StoreError, OSError, BootstrapError."""
        await self._store.start()
        await self.storage.start()
        self.app = self._build()
        self._keeper = Keeper(self.app, self.scheme, self.storage, self.source, self.clock.now)
        await self._keeper.start()
        self.health.finish(DEFINITIONS)
        if listen:
            self._server = Server(
                self.app.handle,
                context=self._tls(),
                limits=Limits(response_seconds=self.settings.request_timeout),
                is_long=is_long_running,
                identify=self._identify(),
                refuse=refusal,
            )
            self.port = await self._server.start(self.settings.bind, self.settings.port)
        bootstrap = Bootstrap(self.app, self.scheme, self.source, self.clock.now)
        await bootstrap.run(
            service_range=self.settings.service_range,
            service_ip=self._service_ip(1),
            dns_ip=self._service_ip(10),
            advertise=self.settings.advertise,
            port=self.port,
        )
        await ensure_local_storage(self.settings.local_storage, self.source, bootstrap.write)
        self.health.finish(ROLES, CLASSES)
        allocator = self.app.services.allocator
        await allocator.repair()
        self.health.finish(ADDRESSES)
        upkeep = Upkeep(self.app.fairness, self.source, bootstrap.write, self.clock.now)
        services = ApiServiceKeeper(self.storage.scheme, self.source, bootstrap.write, self.clock.now)
        trust = AuthenticationTrust(
            self.source,
            bootstrap.write,
            client_ca=self.settings.client_ca,
            front_proxy_ca=self.settings.front_proxy_ca,
            headers=self.settings.request_headers,
        )
        host = socket.gethostname().lower()
        identity = Identity(self.source, bootstrap.write, host=host, port=self.port, clock=self.clock, rng=self._rng)
        await asyncio.gather(upkeep.ensure(suggested=True), services.ensure(), trust.refresh(self.clock.now()), identity.renew())
        await upkeep.follow()
        self.health.finish(FAIRNESS, API_SERVICES)
        self._warming = asyncio.get_running_loop().call_later(WARM_AFTER, warm_up)
        changed = asyncio.Event()
        self.source.on_change(ClusterRole, lambda old, new: changed.set())
        for name, work in (
            *((f"certificates-{number}", part.follow(self.clock)) for number, part in enumerate(self._certificates)),
            ("role-aggregation", _aggregate(bootstrap, changed)),
            ("flow-schemas", upkeep.run()),
            ("api-services", services.run()),
            ("identity-lease", identity.run()),
            ("address-repair", _repair(allocator, self.clock)),
            ("authentication-trust", _keep_trust(trust, self.clock)),
        ):
            self._background.append(asyncio.get_running_loop().create_task(work, name=name))

    def retire(self) -> None:
        """Report that this server is not ready any more, and keep serving: load balancers can send requests elsewhere."""
        self.health.stop()

    async def failed(self) -> StoreFailed:
        """Wait until the store has failed for good, which only a restart fixes; return why."""
        return await self._store.failed()

    async def stop(self, grace: float = 5.0) -> None:
        """End watches cleanly, finish requests under way, close the store; idempotent."""
        if self._stopped:
            return
        self._stopped = True
        self.retire()
        if self._warming is not None:
            self._warming.cancel()
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        if self._collector is not None:
            await self._collector.close()
        if self._keeper is not None:
            await self._keeper.stop()
        if self._server is not None:
            self._server.drain()
        self.storage.end_watches()
        if self._server is not None:
            await self._server.stop(grace)
        self._aside.close()
        await self.storage.close()
        await self._store.close()

    def _checks(self) -> Health:
        """The health checks by kube-apiserver's names. Any answer shows that the loop turns, so logging does not block it."""
        health = Health()
        health.add("ping", lambda: "")
        health.add("log", lambda: "")
        health.add("etcd", self.storage.health)
        health.add("etcd-readiness", self.storage.health, endpoints=(READY,))
        health.add("informer-sync", lambda: self.storage.trouble, endpoints=(READY,))
        health.expect(*STEPS)
        return health

    def _service_ip(self, number: int) -> str:
        """The address of the Service range with this number: 1 is the API's, 10 that of DNS."""
        return str(ipaddress.ip_network(self.settings.service_range)[number])

    def _tls(self) -> ssl.SSLContext:
        settings = self.settings
        proxies = settings.front_proxy_ca
        authorities = [str(path) for path in (settings.client_ca, proxies) if path is not None]
        context = server_context(str(settings.certificate), str(settings.key), *authorities)
        self._certificates.append(CertificateFiles(context, cert=settings.certificate, key=settings.key, ca=settings.client_ca))
        if proxies is not None:
            self._certificates.append(CertificateFiles(context, ca=proxies))
        return context

    def _identify(self) -> Callable[[asyncio.BaseTransport], PeerIdentity]:
        proxies = self.settings.front_proxy_ca
        return peer_identity if proxies is None else PeerReader(self.settings.client_ca, proxies)

    def _build(self) -> App:
        settings, source = self.settings, self.source
        key_pem = settings.service_account_key.read_bytes()
        signing = SigningKey.from_pem(key_pem)
        public = signing.public
        tokens = ServiceAccountTokens(issuer=settings.issuer, audiences=(settings.issuer,), keys=(public,), source=source, clock=self.clock)
        bearer: list[Any] = [tokens, BootstrapTokens(source, audiences=(settings.issuer,), clock=self.clock)]
        if settings.token_auth_file is not None:
            lines = settings.token_auth_file.read_text().splitlines()
            bearer.insert(0, TokenFile.parse(lines, str(settings.token_auth_file), audiences=(settings.issuer,)))
        bearer_chain = BearerAuthenticator(bearer)
        rbac = RbacAuthorizer(source)
        kubelet = KubeletConnector(
            self._find_node, self._kubelet_tls(), unverified=self._kubelet_tls(verify=False), local=settings.local_kubelets
        )
        self._collector = Collector(self._node_names, kubelet.resource_metrics, self.clock)
        authorizer = AuthorizerChain((Superusers(), NodeAuthorizer(source, follow=self._follow_bindings), rbac))
        services = Services(
            storage=self.storage,
            scheme=self.scheme,
            source=source,
            admission=default_chain(
                guard=EscalationGuard(rbac, authorizer),
                authorizer=authorizer,
                clock=self.clock,
                rng=self._rng,
                storage=self.storage,
                enabled=settings.enable_admission_plugins,
                disabled=settings.disable_admission_plugins,
            ),
            authorizer=authorizer,
            allocator=ServiceAllocator(
                source,
                AddressBook(self.storage, source, self.clock.now),
                service_range=settings.service_range,
                node_ports=settings.node_ports,
                rng=self._rng,
            ),
            kubelet=kubelet,
            resource_metrics=self._collector,
            now=self.clock.now,
            rng=self._rng,
            tokens=TokenIssuer(issuer=settings.issuer, audiences=(settings.issuer,), key=signing, source=source),
            watch_seconds=settings.min_request_timeout,
            components=self.components,
            identity_headers=identity_headers(settings.request_headers),
            aside=self._aside,
            reviewer=Reviewer(tokens=bearer_chain, audiences=(settings.issuer,), authorizer=authorizer, rbac=rbac),
        )
        metrics = RequestMetrics()
        documents = {
            "/.well-known/openid-configuration": discovery_document(settings.issuer),
            "/openid/v1/jwks": key_set((public,)),
        }
        fairness = Fairness(
            seats=settings.max_requests_inflight + settings.max_mutating_requests_inflight, json_headers=JSON_HEADERS, clock=self.clock
        )
        server_metrics.declare(metrics.registry, self.storage, fairness)
        paths = Paths(
            self.scheme,
            metrics,
            fairness,
            health=self.health,
            documents=documents,
            aside=self._aside,
            resource_lines=lambda: pod_resources.lines(lambda: self.source.one_by_one(core.Pod)),
        )
        lifetimes = server_metrics.CertificateLifetimes(metrics.registry, self.clock.now)
        for_proxies = RequestHeaderAuthenticator(settings.request_headers)
        authenticators = AuthenticatorChain((lifetimes.authenticator, bearer_chain), for_proxies=for_proxies)
        return App(services, authenticators, paths, metrics, fairness)

    def _follow_bindings(self, callback: Callable[[core.Pod | None, core.Pod | None], None]) -> None:
        """Tell of pods that come, go, or get a node, without decoding every other change."""
        self.source.on_change(core.Pod, callback, field="spec.nodeName")

    def _node_names(self) -> list[str]:
        return [entry.name for entry in self.storage.cache(self.scheme.of(core.Node)).entries("")]

    def _find_node(self, name: str) -> core.Node | None:
        return self.source.get(core.Node, "", name)

    def _kubelet_tls(self, *, verify: bool = True) -> ssl.SSLContext | None:
        settings = self.settings
        if settings.kubelet_certificate is None or settings.kubelet_key is None:
            return None
        context = ssl.create_default_context(cafile=str(settings.client_ca))
        if not verify:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.load_cert_chain(str(settings.kubelet_certificate), str(settings.kubelet_key))
        files = CertificateFiles(context, cert=settings.kubelet_certificate, key=settings.kubelet_key, ca=settings.client_ca)
        self._certificates.append(files)
        return context


async def _repair(allocator: ServiceAllocator, clock: Clock) -> None:
    """Mend now and then what crashes in the middle of a write left of Services' addresses."""
    while True:
        await clock.sleep(REPAIR_EVERY)
        try:
            await allocator.repair()
        except Exception:
            log.exception("repair of the addresses of Services failed")


async def _keep_trust(trust: AuthenticationTrust, clock: Clock) -> None:
    """Publish authorities that were renewed."""
    while True:
        await clock.sleep(REFRESH_SECONDS)
        try:
            await trust.refresh(clock.now())
        except Exception:
            log.exception("publishing the authorities of clients failed")


async def _aggregate(bootstrap: Bootstrap, changed: asyncio.Event) -> None:
    """Keep aggregated cluster roles filled while cluster roles change."""
    while True:
        await changed.wait()
        changed.clear()
        try:
            await bootstrap.aggregate()
        except Exception:
            log.exception("aggregating cluster roles failed")
            await asyncio.sleep(1.0)
