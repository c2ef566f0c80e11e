"""Distinction of clients and front proxies by the authority of their certificates."""

from __future__ import annotations

import asyncio
import ssl
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tiphys.http.peer import peer_identity
from tiphys.wire.http import PeerIdentity

MAX_KNOWN = 20_000
"""Certificates that are remembered, the newest."""


class _Sort(NamedTuple):
    """Sort of a certificate, by the authority that it goes back to."""

    client: bool
    proxy: bool


class PeerReader:
    """Distinguishes clients from front proxies: TLS trusts the authorities of both, but each authority vouches only for its own."""

    def __init__(self, client_ca: Path, front_proxy_ca: Path) -> None:
        self._files = (client_ca, front_proxy_ca)
        self._clients: set[bytes] = set()
        self._proxies: set[bytes] = set()
        self._known: dict[bytes, _Sort] = {}
        """Sort of each verified certificate, by its hash. A resumed TLS session has no chain, but it began in this process."""
        self._load()

    def __call__(self, transport: asyncio.BaseTransport) -> PeerIdentity:
        """The identity of a connection's peer; a front proxy's name is in `proxy_name`, and it is no client."""
        peer = peer_identity(transport)
        if not peer.common_name and not peer.organizations:
            return peer
        tls = transport.get_extra_info("ssl_object")
        digest = sha256(tls.getpeercert(True)).digest()
        sort = self._known.get(digest)
        if sort is None:
            sort = self._sort(verified_chain(tls))
            if sort.client or sort.proxy:
                self._remember(digest, sort)
        name = peer.common_name if sort.proxy else ""
        if sort.client:
            return msgspec.structs.replace(peer, proxy_name=name) if name else peer
        return PeerIdentity(address=peer.address, proxy_name=name)

    def _sort(self, chain: list[bytes]) -> _Sort:
        if self._clients.isdisjoint(chain) and self._proxies.isdisjoint(chain):
            self._load()  # The authorities were renewed.
        return _Sort(not self._clients.isdisjoint(chain), not self._proxies.isdisjoint(chain))

    def _remember(self, digest: bytes, sort: _Sort) -> None:
        if len(self._known) >= MAX_KNOWN:
            del self._known[next(iter(self._known))]
        self._known[digest] = sort

    def _load(self) -> None:
        """Add the authorities in the files: certificates of a renewed one's predecessor stay valid."""
        for file, known in zip(self._files, (self._clients, self._proxies), strict=True):
            try:
                certificates = x509.load_pem_x509_certificates(file.read_bytes())
            except (OSError, ValueError):
                continue  # In the middle of a replacement; the next connection looks again.
            known.update(one.public_bytes(Encoding.DER) for one in certificates)


def verified_chain(tls: Any) -> list[bytes]:
    """The certificates from the peer's to its authority's, as TLS verified them. Python before 3.13 has no public name for it."""
    public = getattr(tls, "get_verified_chain", None)
    if public is not None:
        return list(public())
    return [one.public_bytes(_DER) for one in tls._sslobj.get_verified_chain() or ()]


_DER = int(getattr(ssl._ssl, "ENCODING_DER", 2))  # type: ignore[attr-defined]
