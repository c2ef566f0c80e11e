"""TLS for clients: certificates from files or from memory."""

from __future__ import annotations

import contextlib
import os
import ssl
from collections.abc import Iterator
from pathlib import Path

Pem = bytes | str | Path
"""Certificate or key: PEM data as bytes, or the name of a file."""


def read_pem(pem: Pem) -> bytes:
    """Return the PEM data; raises OSError."""
    return pem if isinstance(pem, bytes) else Path(pem).read_bytes()


@contextlib.contextmanager
def _as_file(pem: Pem) -> Iterator[str]:
    """Return a file name for PEM data, as OpenSSL's interface requires: in memory, so that a key never touches the disk."""
    if not isinstance(pem, bytes):
        yield str(pem)
        return
    fd = os.memfd_create("pem", os.MFD_CLOEXEC)
    try:
        os.write(fd, pem)
        yield f"/proc/self/fd/{fd}"
    finally:
        os.close(fd)


def client_context(*, ca: Pem | None = None, cert: Pem | None = None, key: Pem | None = None, insecure: bool = False) -> ssl.SSLContext:
    """Return a context that trusts `ca` alone (or the system's authorities) and presents `cert`.

    `insecure` trusts any server. Raises OSError for unreadable files and ssl.SSLError for invalid ones.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif ca is not None:
        context.load_verify_locations(cadata=read_pem(ca).decode("ascii", "ignore"))
    else:
        context.load_default_certs()
    load_identity(context, cert, key)
    return context


def load_identity(context: ssl.SSLContext, cert: Pem | None, key: Pem | None) -> None:
    """Set, or replace for later connections, the certificate that a context presents."""
    if cert is None:
        return
    with _as_file(cert) as cert_file, _as_file(key if key is not None else cert) as key_file:
        context.load_cert_chain(cert_file, key_file)
