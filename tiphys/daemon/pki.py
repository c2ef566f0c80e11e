"""The cluster's own certificate authority and the identities of its components, on disk.

Everything is ECDSA P-256, so making the whole tree costs milliseconds and happens at every first start. The CA and the service-account
key are kept forever once made; certificates are made again when less than a third of their life is left, when the names they must carry
changed, when another CA signed them or when their files are damaged. ("PKI certificates and requirements" lists the identities.)
"""

from __future__ import annotations

import base64
import ipaddress
import os
import socket
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tiphys.api.well_known import LOCAL_PATH_USER, LOCAL_PATH_USERS
from tiphys.apiserver.settings import RequestHeaders
from tiphys.settings.network import NETWORK

CA_LIFE = timedelta(days=3650)
LEAF_LIFE = timedelta(days=365)
WARN_BEFORE = timedelta(days=30)
"""Time before its expiry at which a certificate that was not renewed is reported."""
BACKDATE = timedelta(minutes=5)
"""Time by which certificates are backdated, as the clocks of a cluster's machines differ a little."""

SERVICE_NAMES = ("kubernetes", "kubernetes.default", "kubernetes.default.svc")


class PkiError(Exception):
    """The certificate authority on disk is unusable; the message names the file and the fix."""


class Pair(NamedTuple):
    """A certificate (or public key) and its private key, as files."""

    cert: Path
    key: Path


(FRONT_PROXY,) = RequestHeaders().allowed_names
"""Common name of the cluster's own front proxies."""


@dataclass(frozen=True, slots=True)
class Names:
    """Names and addresses that the serving certificates must be valid for."""

    host: str = ""
    addresses: tuple[str, ...] = ()
    """IP addresses (or DNS names) under which this machine is reached."""
    service_address: str = NETWORK.api_service_address
    """First address of the Service range: the `kubernetes` Service."""
    domain: str = NETWORK.domain
    extra: tuple[str, ...] = ()

    def apiserver(self) -> tuple[str, ...]:
        names = [*SERVICE_NAMES, f"kubernetes.default.svc.{self.domain}", "localhost", self.host, "127.0.0.1", "::1", self.service_address]
        return tuple(dict.fromkeys(name for name in (*names, *self.addresses, *self.extra) if name))

    def kubelet(self, node: str) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for name in (node, self.host, "localhost", "127.0.0.1", "::1", *self.addresses) if name))


@dataclass(frozen=True, slots=True)
class _Identity:
    """A certificate that must exist."""

    file: str
    common_name: str
    organizations: tuple[str, ...] = ()
    sans: tuple[str, ...] = ()
    """Not empty: a serving certificate. Empty: a client certificate."""


@dataclass(frozen=True, slots=True)
class Pki:
    """Paths of everything `ensure` keeps. `ca` is the bundle that clients and servers trust."""

    directory: Path
    renewed: tuple[str, ...] = field(default=(), compare=False)
    """File names (without suffix) of the pairs that this run made."""

    def pair(self, name: str) -> Pair:
        """`apiserver`, `admin`, `controller-manager`, `scheduler`, `node`, `kube-proxy`, `kubelet-server`, `apiserver-kubelet-client`..."""
        return Pair(self.directory / f"{name}.crt", self.directory / f"{name}.key")

    @property
    def ca(self) -> Path:
        return self.directory / "ca.crt"

    @property
    def ca_key(self) -> Path:
        return self.directory / "ca.key"

    @property
    def service_account(self) -> Pair:
        """Key that signs service-account tokens, and its public half."""
        return Pair(self.directory / "sa.pub", self.directory / "sa.key")

    def expiring(self, now: datetime) -> list[tuple[str, datetime]]:
        """Certificates with less than a third of their life left, by file name, with the moment they end. Nothing is written."""
        return [(path.name, certificate.not_valid_after_utc) for path, certificate in self._certificates() if _worn(certificate, now)]

    def ending(self, now: datetime) -> list[tuple[str, datetime]]:
        """Certificates that end within `WARN_BEFORE` or have ended, by file name, with the moment: renewing them has failed for months."""
        return ending(self.directory.glob("*.crt"), now)

    def _certificates(self) -> Iterable[tuple[Path, x509.Certificate]]:
        for path in sorted(self.directory.glob("*.crt")):
            certificate = _read_certificate(path)
            if certificate is not None:
                yield path, certificate


def ending(files: Iterable[Path], now: datetime) -> list[tuple[str, datetime]]:
    """Return the certificates in PEM files that end within `WARN_BEFORE` or have ended, by file name, with the moment."""
    certificates = ((path.name, _read_certificate(path)) for path in sorted(files))
    ends = [(name, certificate.not_valid_after_utc) for name, certificate in certificates if certificate is not None]
    return [(name, end) for name, end in ends if end - now < WARN_BEFORE]


def ensure(directory: Path, now: datetime, *, names: Names, nodes: Sequence[str] = ()) -> Pki:
    """Make whatever is missing, worn or wrong in `directory`; running it again changes nothing.

    The first of `nodes` gets `node.*` and `kubelet-server.*`, the others `node-NAME.*` and `kubelet-server-NAME.*`. Raises PkiError when
    the CA is damaged and OSError when the directory cannot be written.
    """
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    created: list[str] = []
    authority = _ensure_ca(directory, "ca", "tiphys-ca", now, created)
    front = _ensure_ca(directory, "front-proxy-ca", "tiphys-front-proxy-ca", now, created)
    _ensure_service_account_key(directory, created)
    for identity in _identities(names, nodes):
        _ensure_leaf(directory, identity, authority, now, created)
    _ensure_leaf(directory, _Identity(FRONT_PROXY, FRONT_PROXY), front, now, created)
    return Pki(directory, tuple(created))


def ensure_node(directory: Path, now: datetime, *, names: Names, node: str, suffix: str = "") -> Pki:
    """Only a node's own pairs (`node*.crt`, `kubelet-server*.crt`, `kube-proxy.crt`, `local-path.crt`), where the CA exists already."""
    created: list[str] = []
    authority = _ensure_ca(directory, "ca", "tiphys-ca", now, created)
    for identity in (
        *_node_identities(names, node, suffix),
        _Identity("kube-proxy", "system:kube-proxy"),
        _local_path_identity(node),
    ):
        _ensure_leaf(directory, identity, authority, now, created)
    return Pki(directory, tuple(created))


def make_serving(directory: Path, now: datetime) -> Pair:
    """Make a certificate for a server that has no authority, as `serving.crt` in an empty directory, with one of its own there."""
    authority = _ensure_ca(directory, "ca", "tiphys-serving-ca", now, [])
    sans = ("localhost", "127.0.0.1", "::1", socket.gethostname())
    _ensure_leaf(directory, _Identity("serving", "tiphys-serving", (), sans), authority, now, [])
    return Pki(directory, ()).pair("serving")


def _identities(names: Names, nodes: Sequence[str]) -> Iterable[_Identity]:
    yield _Identity("apiserver", "kube-apiserver", (), names.apiserver())
    yield _Identity("apiserver-kubelet-client", "kube-apiserver-kubelet-client")
    yield _Identity("admin", "kubernetes-admin", ("system:masters",))
    yield _Identity("controller-manager", "system:kube-controller-manager")
    yield _Identity("scheduler", "system:kube-scheduler")
    yield _Identity("kube-proxy", "system:kube-proxy")
    if nodes:
        yield _local_path_identity(nodes[0])
    for index, node in enumerate(nodes):
        yield from _node_identities(names, node, f"-{node}" if index else "")


def _local_path_identity(node: str) -> _Identity:
    return _Identity("local-path", f"{LOCAL_PATH_USER}{node}", (LOCAL_PATH_USERS,))


def _node_identities(names: Names, node: str, suffix: str) -> tuple[_Identity, ...]:
    return (
        _Identity(f"node{suffix}", f"system:node:{node}", ("system:nodes",)),
        _Identity(f"kubelet-server{suffix}", f"system:node:{node}", ("system:nodes",), names.kubelet(node)),
    )


class _Authority(NamedTuple):
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def _ensure_ca(directory: Path, file: str, common_name: str, now: datetime, created: list[str]) -> _Authority:
    cert_path, key_path = directory / f"{file}.crt", directory / f"{file}.key"
    if cert_path.exists() and key_path.exists():
        certificate, key = _read_certificate(cert_path), _read_key(key_path)
        if certificate is None or key is None or certificate.public_key() != key.public_key():
            raise PkiError(f"{cert_path} and {key_path} do not match or are damaged: restore them, or move {directory} away")
        _rewrite_key(key_path, key, durable=True)
        if not _worn(certificate, now):
            return _Authority(certificate, key)
        # Same key and name: certificates signed before stay valid under the renewed authority.
    else:
        key = _read_key(key_path) or ec.generate_private_key(ec.SECP256R1())
    subject = _subject(common_name, ())
    usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
    certificate = (
        _builder(subject, subject, key.public_key(), now, CA_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    _write(key_path, _key_pem(key), durable=True)
    _write(cert_path, certificate.public_bytes(serialization.Encoding.PEM), durable=True)
    created.append(file)
    return _Authority(certificate, key)


def _ensure_service_account_key(directory: Path, created: list[str]) -> None:
    key_path, public_path = directory / "sa.key", directory / "sa.pub"
    if key_path.exists():
        key = _read_key(key_path)
        if key is None:
            raise PkiError(f"{key_path} is damaged: restore it, or remove it (every service-account token becomes invalid)")
        _rewrite_key(key_path, key, durable=True)
    else:
        key = ec.generate_private_key(ec.SECP256R1())
        _write(key_path, _key_pem(key), durable=True)
        created.append("sa")
    pem = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    if not public_path.exists() or public_path.read_bytes() != pem:
        _write(public_path, pem)


def _ensure_leaf(directory: Path, identity: _Identity, authority: _Authority, now: datetime, created: list[str]) -> None:
    cert_path, key_path = directory / f"{identity.file}.crt", directory / f"{identity.file}.key"
    certificate, key = _read_certificate(cert_path), _read_key(key_path)
    if certificate is not None and key is not None and _still_good(certificate, key, identity, authority, now):
        _rewrite_key(key_path, key)
        return
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _issue(identity, key.public_key(), authority, now)
    # The key first: a crash between the two leaves a pair that does not match, which the next start replaces.
    _write(key_path, _key_pem(key))
    _write(cert_path, certificate.public_bytes(serialization.Encoding.PEM))
    created.append(identity.file)


def _issue(identity: _Identity, public: ec.EllipticCurvePublicKey, authority: _Authority, now: datetime) -> x509.Certificate:
    subject = _subject(identity.common_name, identity.organizations)
    purpose = ExtendedKeyUsageOID.SERVER_AUTH if identity.sans else ExtendedKeyUsageOID.CLIENT_AUTH
    usage = x509.KeyUsage(True, False, False, False, False, False, False, False, False)
    builder = (
        _builder(subject, authority.certificate.subject, public, now, LEAF_LIFE)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()), critical=False)
    )
    if identity.sans:
        builder = builder.add_extension(x509.SubjectAlternativeName([_general_name(san) for san in identity.sans]), critical=False)
    return builder.sign(authority.key, hashes.SHA256())


def _still_good(
    certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey, identity: _Identity, authority: _Authority, now: datetime
) -> bool:
    if _worn(certificate, now) or certificate.public_key() != key.public_key():
        return False
    if certificate.subject != _subject(identity.common_name, identity.organizations):
        return False
    try:
        certificate.verify_directly_issued_by(authority.certificate)
    except Exception:  # cryptography raises ValueError, TypeError or InvalidSignature: all mean "not by this CA"
        return False
    if not identity.sans:
        return True
    try:
        present = set(certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except x509.ExtensionNotFound:
        return False
    return all(_general_name(san) in present for san in identity.sans)


def _worn(certificate: x509.Certificate, now: datetime) -> bool:
    life = certificate.not_valid_after_utc - certificate.not_valid_before_utc
    return certificate.not_valid_after_utc - now < life / 3 or now < certificate.not_valid_before_utc


def _builder(
    subject: x509.Name, issuer: x509.Name, public: ec.EllipticCurvePublicKey, now: datetime, life: timedelta
) -> x509.CertificateBuilder:
    start = now - BACKDATE
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + life)
    )


def _subject(common_name: str, organizations: tuple[str, ...]) -> x509.Name:
    parts = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization) for organization in organizations]
    return x509.Name([*parts, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _general_name(san: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(san))
    except ValueError:
        return x509.DNSName(san)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return the key in the form of RFC 5915, whose header names the algorithm: Java clients take a bare `PRIVATE KEY` for RSA."""
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption())


def _rewrite_key(path: Path, key: ec.EllipticCurvePrivateKey, *, durable: bool = False) -> None:
    """Bring a key that an earlier version wrote as PKCS #8 into the form of `_key_pem`; the key stays the same."""
    pem = _key_pem(key)
    if path.read_bytes() != pem:
        _write(path, pem, durable=durable)


def _read_certificate(path: Path) -> x509.Certificate | None:
    """Read a certificate; None when the file is missing or damaged."""
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return None


def _read_key(path: Path) -> ec.EllipticCurvePrivateKey | None:
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (FileNotFoundError, ValueError, TypeError):
        return None
    return key if isinstance(key, ec.EllipticCurvePrivateKey) else None


def _write(path: Path, data: bytes, *, durable: bool = False) -> None:
    """Replace a file in one step, mode 0600. `durable` waits for the disk: for files that cannot be recreated."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def write_kubeconfig(
    path: Path, *, server: str, ca: Path, pair: Pair, user: str, cluster: str = "tiphys", namespace: str = "", inline: bool = True
) -> bool:
    """Write a kubeconfig, mode 0600; returns False when the file said exactly that already.

    With `inline` everything is inside (base64), to be carried elsewhere; without, it names the files, which its user reads again when they
    are renewed.
    """

    def line(field: str, source: Path) -> str:
        if inline:
            return f"    {field}-data: {base64.b64encode(source.read_bytes()).decode()}"
        return f"    {field}: {os.path.relpath(source, path.parent)}"

    context = f"{user}@{cluster}"
    lines = [
        "apiVersion: v1",
        "kind: Config",
        "clusters:",
        f"- name: {cluster}",
        "  cluster:",
        f"    server: {server}",
        line("certificate-authority", ca),
        "users:",
        f"- name: {user}",
        "  user:",
        line("client-certificate", pair.cert),
        line("client-key", pair.key),
        "contexts:",
        f"- name: {context}",
        "  context:",
        f"    cluster: {cluster}",
        f"    user: {user}",
        *([f"    namespace: {namespace}"] if namespace else []),
        f"current-context: {context}",
        "preferences: {}",
    ]
    data = ("\n".join(lines) + "\n").encode()
    if path.exists() and path.read_bytes() == data:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    _write(path, data)
    return True
