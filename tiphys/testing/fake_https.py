"""The fake API server behind a real HTTPS listener that asks for client certificates, and a PKI for it."""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tiphys.testing.fake_api import FakeApi
from tiphys.wire.http import PeerIdentity, Request


@dataclass
class Pair:
    """A certificate and its key."""

    cert: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def cert_pem(self) -> bytes:
        return self.cert.public_bytes(serialization.Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )


def issue(name: str, issuer: Pair | None = None) -> Pair:
    """A certificate for a name (and 127.0.0.1); without an issuer an authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.cert.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(names, critical=False)
    )
    return Pair(builder.sign(issuer.key if issuer else key, hashes.SHA256()), key)


@dataclass
class Listener:
    """A running server: `requests` are what arrived, with the certificate's name in `peer`."""

    api: FakeApi
    ca: Pair
    url: str
    requests: list[Request]


@asynccontextmanager
async def serve(api: FakeApi, folder: Path) -> AsyncIterator[Listener]:
    """Serve on a free port of the loopback; certificates are kept in `folder`."""
    ca = issue("ca")
    server = issue("server", ca)
    (folder / "server.crt").write_bytes(server.cert_pem)
    (folder / "server.key").write_bytes(server.key_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.crt", folder / "server.key")
    context.verify_mode = ssl.CERT_OPTIONAL
    context.load_verify_locations(cadata=ca.cert_pem.decode())
    seen: list[Request] = []

    async def handle(request: web.Request) -> web.StreamResponse:
        peer = (request.transport.get_extra_info("peercert") or {}) if request.transport else {}
        common_name = next((value for part in peer.get("subject", ()) for name, value in part if name == "commonName"), "")
        seen.append(
            Request(
                method=request.method,
                path=request.path,
                query=list(request.query.items()),
                headers={name.lower(): value for name, value in request.headers.items()},
                body=await request.read(),
                peer=PeerIdentity(common_name=common_name),
            )
        )
        response = await api.handle(seen[-1])
        if response.stream is None:
            return web.Response(status=response.status, headers=response.headers, body=response.body)
        out = web.StreamResponse(status=response.status, headers=response.headers)
        await out.prepare(request)
        async for chunk in response.stream:
            # In pieces, so that a reader must put lines together.
            for start in range(0, len(chunk), 50):
                await out.write(chunk[start : start + 50])
        return out

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    port = runner.addresses[0][1]
    yield Listener(api, ca, f"https://127.0.0.1:{port}", seen)
    api.store.end_watches()
    await runner.cleanup()
