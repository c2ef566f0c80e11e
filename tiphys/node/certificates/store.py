"""Certificates and keys of a kubelet on disk, with upstream's names.

    kubelet-client-current.pem            link to the pair in use, certificate first; replaced in one step
    kubelet-client-2026-01-02-03-04-05.pem  a pair that was issued, and the one before it
    kubelet-client-bootstrap.pem          copy of the cluster's own pair, in use until the first one is issued
    kubelet-client-pending.key            key of the request under way, so that a restart goes on waiting for it

All files are readable by their owner only.
"""

from __future__ import annotations

import os
import tempfile
from datetime import datetime
from pathlib import Path
from typing import Final, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

CLIENT: Final = "kubelet-client"
SERVING: Final = "kubelet-server"
"""Names of the two pairs of a kubelet."""
KEPT: Final = 2
"""Number of issued pairs that are kept: the one in use and the one before it."""


class Bootstrap(NamedTuple):
    """Files of the pair that serves until one was issued, and the authorities that a pair in use must come from."""

    certificate: Path
    key: Path
    authorities: Path


class InUse(NamedTuple):
    """Certificate in use."""

    certificate: x509.Certificate
    is_issued: bool
    """False for the bootstrap pair."""


class PairStore:
    """Pairs of one name, such as `kubelet-client`, in a directory. Methods read and write files, and raise OSError where that fails."""

    def __init__(self, directory: Path, name: str, common_name: str, bootstrap: Bootstrap) -> None:
        self._directory = directory
        self._name = name
        self._common_name = common_name
        self._bootstrap = bootstrap

    @property
    def current(self) -> Path:
        """File of the pair in use."""
        return self._directory / f"{self._name}-current.pem"

    @property
    def _bootstrap_copy(self) -> Path:
        return self._directory / f"{self._name}-bootstrap.pem"

    @property
    def _pending(self) -> Path:
        return self._directory / f"{self._name}-pending.key"

    def prepare(self, now: datetime) -> InUse:
        """Make `current` usable and return what it holds. Raises ValueError for a damaged bootstrap pair.

        The bootstrap pair takes the place of one that is missing, damaged, expired, somebody else's or not by the cluster's authority.
        """
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        issued = self._issued(now)
        if issued is not None:
            return InUse(issued, is_issued=True)
        # The cluster renews its own pair, too, so the copy is compared each time.
        pair = self._bootstrap.certificate.read_bytes() + self._bootstrap.key.read_bytes()
        certificate, _ = _read_pair(pair)
        copy = self._bootstrap_copy
        if not copy.exists() or copy.read_bytes() != pair:
            _write(copy, pair)
        self._use(copy)
        return InUse(certificate, is_issued=False)

    def _issued(self, now: datetime) -> x509.Certificate | None:
        try:
            if self.current.resolve().name == self._bootstrap_copy.name:
                return None
            certificate, common_names = _read_pair(self.current.read_bytes())
            authorities = x509.load_pem_x509_certificates(self._bootstrap.authorities.read_bytes())
        except (FileNotFoundError, ValueError, TypeError):
            return None
        if now >= certificate.not_valid_after_utc or common_names != [self._common_name]:
            return None
        return certificate if any(_is_issued_by(certificate, authority) for authority in authorities) else None

    def add(self, certificate: bytes, key: ec.EllipticCurvePrivateKey, now: datetime) -> None:
        """Take an issued certificate into use, and forget the pending key and the pairs before the last."""
        path = self._directory / f"{self._name}-{now:%Y-%m-%d-%H-%M-%S}.pem"
        _write(path, certificate.rstrip() + b"\n" + _key_pem(key))
        self._use(path)
        self.drop_pending()
        self._bootstrap_copy.unlink(missing_ok=True)
        pairs = sorted(self._directory.glob(f"{self._name}-[0-9]*.pem"))
        for old in [pair for pair in pairs if pair != path][: 1 - KEPT]:
            old.unlink(missing_ok=True)

    def pending_key(self) -> ec.EllipticCurvePrivateKey | None:
        """Return the key of the request under way; None without one that can be used."""
        try:
            key = serialization.load_pem_private_key(self._pending.read_bytes(), password=None)
        except (FileNotFoundError, ValueError, TypeError):
            return None
        return key if isinstance(key, ec.EllipticCurvePrivateKey) else None

    def set_pending(self, key: ec.EllipticCurvePrivateKey) -> None:
        """Keep the key of a request that is about to be made."""
        _write(self._pending, _key_pem(key))

    def drop_pending(self) -> None:
        """Forget that key: its request is over."""
        self._pending.unlink(missing_ok=True)

    def _use(self, path: Path) -> None:
        if self.current.is_symlink() and os.readlink(self.current) == path.name:
            return
        link = self.current.with_suffix(".new")
        link.unlink(missing_ok=True)
        link.symlink_to(path.name)
        link.replace(self.current)


def _read_pair(pem: bytes) -> tuple[x509.Certificate, list[str | bytes]]:
    """Return the certificate of a pair and its common names. Raises ValueError for a damaged pair and one that does not match."""
    certificate, key = x509.load_pem_x509_certificate(pem), serialization.load_pem_private_key(pem, password=None)
    if certificate.public_key() != key.public_key():
        raise ValueError("the key does not belong to the certificate")
    return certificate, [attribute.value for attribute in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]


def _is_issued_by(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(authority)
    except Exception:  # ValueError, TypeError and InvalidSignature all mean "not by this authority".
        return False
    return True


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption())


def _write(path: Path, data: bytes) -> None:
    """Replace a file in one step, and wait for the disk: a key that is lost costs a request."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
