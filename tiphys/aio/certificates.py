"""Certificates in files that are replaced while a process runs: a TLS context uses the new ones for later handshakes.

Connections that are open go on with what they began with, so nothing is dropped.
"""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

from tiphys.aio.clock import Clock
from tiphys.obs.logging import get_logger

log = get_logger(__name__)

REFRESH_SECONDS = 60.0
"""Interval between checks of the files, as in kube-apiserver and client-go."""

Stamp = tuple[int, ...] | None


class CertificateFiles:
    """Certificate, key and authorities of one context, as PEM files; each may be missing. They are already loaded."""

    def __init__(self, context: ssl.SSLContext, *, cert: Path | None = None, key: Path | None = None, ca: Path | None = None) -> None:
        self._context = context
        self._cert, self._key, self._ca = cert, key or cert, ca
        self._identity_stamp = (_stamp(self._cert), _stamp(self._key))
        self._ca_stamp = _stamp(ca)

    def refresh(self) -> bool:
        """Load changed files; returns whether any had changed. Raises OSError (including ssl.SSLError) and then keeps the previous ones.

        Authorities are added to those that are trusted already: a renewed one has the same key, and what the old one signed stays valid.
        """
        changed = False
        stamp = (_stamp(self._cert), _stamp(self._key))
        if self._cert is not None and stamp != self._identity_stamp:
            # A certificate that does not fit its key would cost the context the key it has: try the pair elsewhere first.
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(self._cert, self._key)
            self._context.load_cert_chain(self._cert, self._key)
            self._identity_stamp = stamp
            changed = True
        ca_stamp = _stamp(self._ca)
        if self._ca is not None and ca_stamp != self._ca_stamp:
            self._context.load_verify_locations(self._ca)
            self._ca_stamp = ca_stamp
            changed = True
        return changed

    def try_refresh(self) -> None:
        """Load changed files; in the middle of a replacement the previous ones stay in use, and the next check is soon."""
        try:
            if self.refresh():
                log.info("certificate reloaded", extra={"file": str(self._cert or self._ca)})
        except OSError as error:
            log.warning("reloading a certificate failed", extra={"file": str(self._cert or self._ca), "error": str(error)})

    async def follow(self, clock: Clock) -> None:
        """Check the files every `REFRESH_SECONDS`, forever."""
        while True:
            await clock.sleep(REFRESH_SECONDS)
            if await asyncio.to_thread(self._is_stale):
                # On the loop, where the handshakes are: OpenSSL takes the certificate before the key, and one in between would fail.
                self.try_refresh()

    def _is_stale(self) -> bool:
        try:
            return (_stamp(self._cert), _stamp(self._key), _stamp(self._ca)) != (*self._identity_stamp, self._ca_stamp)
        except OSError:
            return True  # What is wrong is reported where it is loaded.


def _stamp(path: Path | None) -> Stamp:
    """Return a value that changes when a file is replaced."""
    if path is None:
        return None
    stat = path.stat()
    return (stat.st_mtime_ns, stat.st_ino, stat.st_size)
