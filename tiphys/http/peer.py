"""Identity of the other end of a connection."""

from __future__ import annotations

import asyncio
import ssl

from tiphys.wire.http import PeerIdentity


def peer_identity(transport: asyncio.BaseTransport) -> PeerIdentity:
    """The subject of the client's verified certificate, if it sent one, and its address."""
    address = transport.get_extra_info("peername")
    host = str(address[0]) if address else ""
    tls = transport.get_extra_info("ssl_object")
    certificate = tls.getpeercert() if tls is not None else None
    if not certificate:
        return PeerIdentity(address=host)
    pairs = [pair for part in certificate.get("subject", ()) for pair in part]
    names = [value for key, value in pairs if key == "commonName"]
    return PeerIdentity(
        common_name=names[0] if names else "",
        organizations=tuple(value for key, value in pairs if key == "organizationName"),
        address=host,
        expires=float(ssl.cert_time_to_seconds(certificate["notAfter"])),
    )
