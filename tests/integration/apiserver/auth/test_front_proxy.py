"""Front proxies over TLS: their authority vouches for callers in headers, and for nobody directly."""

from __future__ import annotations

import socket
import ssl
from asyncio import to_thread
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.integration.apiserver.raw import Raw

REVIEW = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
BODY = b'{"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview"}'


def issue(pki: Path, authority: str, name: str, *, organization: str = "", ca: bool = False) -> str:
    """Make `name.crt` (with the authority's certificate behind it, as clients send chains) and `name.key`; returns the name."""
    issuer = x509.load_pem_x509_certificate((pki / f"{authority}.crt").read_bytes())
    signer = serialization.load_pem_private_key((pki / f"{authority}.key").read_bytes(), None)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP256R1())
    parts = [x509.NameAttribute(NameOID.COMMON_NAME, name)]
    if organization:
        parts.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization))
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(issuer.subject, x509.Name(parts), key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - timedelta(hours=1)).not_valid_after(now + timedelta(hours=1))
    made = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True).sign(signer, hashes.SHA256())
    pem = made.public_bytes(serialization.Encoding.PEM)
    (pki / f"{name}.crt").write_bytes(pem + (pki / f"{authority}.crt").read_bytes())
    (pki / f"{name}.key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return name


class Caller:
    """Connections with one certificate that resume their TLS session."""

    def __init__(self, raw: Raw, identity: str) -> None:
        self._port = raw.server.port
        self._context = raw.context(identity=identity)
        self._context.maximum_version = ssl.TLSVersion.TLSv1_2  # Where the session is there as soon as the handshake is done.
        self._session: ssl.SSLSession | None = None
        self.resumed = False

    async def who(self, *lines: str) -> tuple[int, str]:
        """The status, and the body of what the server takes the caller for."""
        return await to_thread(self._who, "".join(f"{line}\r\n" for line in lines))

    def _who(self, lines: str) -> tuple[int, str]:
        head = (
            f"POST {REVIEW} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {len(BODY)}\r\n"
        )
        with (
            socket.create_connection(("127.0.0.1", self._port), timeout=20) as plain,
            self._context.wrap_socket(plain, server_hostname="localhost", session=self._session) as tls,
        ):
            self._session, self.resumed = tls.session, bool(tls.session_reused)
            tls.sendall(f"{head}{lines}\r\n".encode() + BODY)
            answer = b"".join(iter(lambda: tls.recv(65536), b"")).decode()
        return int(answer.split(" ", 2)[1]), answer.partition("\r\n\r\n")[2]


@pytest.fixture
def callers(raw: Raw, keys: Path) -> dict[str, Caller]:
    pki = keys / "pki"
    names = [
        issue(pki, "ca", "jane"), issue(pki, "front-proxy-ca", "stranger", organization="system:masters"),
        issue(pki, issue(pki, "front-proxy-ca", "between", ca=True), "deep", organization="system:masters"),
        issue(pki, issue(pki, "ca", "office", ca=True), "joe"),
    ]  # fmt: skip
    return {name: Caller(raw, name) for name in ("front-proxy-client", *names)}


async def test_the_headers_of_a_proxy_name_the_caller(callers: dict[str, Caller]) -> None:
    proxy = callers["front-proxy-client"]
    for _ in range(2):
        status, body = await proxy.who("X-Remote-User: ann", "X-Remote-Group: a,b", "X-Remote-Group: c", "X-Remote-Uid: 7")
        assert status == 201, body
        assert '"username":"ann","uid":"7","groups":["a,b","c","system:authenticated"]' in body
    assert proxy.resumed  # The second session tells of no authority.
    assert (await proxy.who())[0] == 401


async def test_the_authority_of_proxies_makes_no_users(callers: dict[str, Caller]) -> None:
    for name in ("stranger", "deep"):
        for lines in ((), ("X-Remote-User: ann",)):
            for _ in range(2):
                assert (await callers[name].who(*lines))[0] == 401, name


async def test_clients_are_who_their_certificate_says_whatever_their_headers_say(callers: dict[str, Caller]) -> None:
    for name in ("jane", "joe"):
        for _ in range(2):
            status, body = await callers[name].who("X-Remote-User: ann", "X-Remote-Group: system:masters")
            assert (status, f'"username":"{name}","groups":["system:authenticated"]' in body) == (201, True), body
        assert callers[name].resumed
