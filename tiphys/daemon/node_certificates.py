"""Certificates that the kubelet of this machine requests from the API server, as far as its configuration asks for it.

The cluster's own pair of the node authenticates the first request and serves until the first certificate is issued. Without
`rotateCertificates` and `serverTLSBootstrap` it stays in use, renewed by the server process (`renewal.py`).
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path

from tiphys.aio.clock import Clock
from tiphys.client import kubeconfig as kubeconfigs
from tiphys.client.client import Client
from tiphys.daemon import compose
from tiphys.daemon.credentials import client_with_pair
from tiphys.daemon.settings import ClusterSettings
from tiphys.node.certificates.manager import CertificateManager
from tiphys.node.certificates.metrics import Measures
from tiphys.node.certificates.request import Template, client_template, serving_template
from tiphys.node.certificates.store import CLIENT, SERVING, Bootstrap, PairStore
from tiphys.node.settings import default_address


class NodeCertificates:
    """Stores of the requested certificates, and the loops that keep them valid."""

    def __init__(self, settings: ClusterSettings, *, clock: Clock, rng: random.Random) -> None:
        self._settings = settings
        self._clock = clock
        self._rng = rng
        pki, kubelet = settings.dir / "pki", settings.kubelet
        bootstraps: dict[str, tuple[Path, Path]] = {}
        if kubelet.rotate_certificates:
            bootstraps[CLIENT] = pki / "node.crt", pki / "node.key"
        if kubelet.server_tls_bootstrap:
            bootstraps[SERVING] = compose.serving_bootstrap(settings)
        common_name = client_template(settings.node_name).common_name
        self._stores = {
            name: PairStore(settings.node_pki_dir, name, common_name, Bootstrap(*files, pki / "ca.crt"))
            for name, files in bootstraps.items()
        }

    def prepare(self) -> None:
        """Make the pairs usable, before anything loads them. Raises OSError, and ValueError for a damaged pair of the cluster."""
        for store in self._stores.values():
            store.prepare(self._clock.now())

    def client(self, kubeconfig: Path) -> Client:
        """Return the node's client of the API server, with the requested certificate if there is to be one."""
        store = self._stores.get(CLIENT)
        if store is None:
            return kubeconfigs.load(kubeconfig, clock=self._clock, rng=self._rng)
        return client_with_pair(kubeconfig, store.current, clock=self._clock, rng=self._rng)

    def managers(self, client: Client) -> Mapping[str, CertificateManager]:
        """Return the loops, by the name of the pair."""
        return {name: self._manager(name, store, client) for name, store in self._stores.items()}

    def _manager(self, name: str, store: PairStore, client: Client) -> CertificateManager:
        kind, template = ("client", self._client_template) if name == CLIENT else ("server", self._serving_template)
        return CertificateManager(store, template, client, Measures(kind, self._clock), clock=self._clock, rng=self._rng)

    def _client_template(self) -> Template:
        return client_template(self._settings.node_name)

    def _serving_template(self) -> Template:
        # Looked up each time: the address of the default route changes.
        return serving_template(self._settings.node_name, self._settings.kubelet.ips or (default_address(),))
