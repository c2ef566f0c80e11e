"""What a client shows to prove who it is, read again now and then: tokens and certificates in files are replaced while we run."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

from tiphys.aio.clock import Clock
from tiphys.client.tls import Pem, load_identity
from tiphys.obs.logging import get_logger

log = get_logger(__name__)

REFRESH_SECONDS = 60.0


class Credentials:
    """A token (or the file that has it) and a client certificate (with its key), kept fresh."""

    def __init__(
        self, *, token: str = "", token_file: str | Path | None = None, cert: Pem | None = None, key: Pem | None = None, clock: Clock
    ) -> None:
        self._token = token
        self._token_file = Path(token_file) if token_file else None
        self._cert, self._key = cert, key
        self._clock = clock
        self._checked: float | None = None
        self._stamp = self._certificate_stamp()

    async def headers(self, context: ssl.SSLContext | None) -> dict[str, str]:
        """Headers for the next request; at most once a minute the files are looked at, and a new certificate goes into `context`."""
        now = self._clock.monotonic()
        if self._needs_files and (self._checked is None or now - self._checked >= REFRESH_SECONDS):
            self._checked = now
            await asyncio.to_thread(self._refresh, context)
        return {"authorization": f"Bearer {self._token}"} if self._token else {}

    @property
    def _needs_files(self) -> bool:
        return self._token_file is not None or self._stamp is not None

    def _refresh(self, context: ssl.SSLContext | None) -> None:
        try:
            if self._token_file is not None:
                self._token = self._token_file.read_text().strip()
            stamp = self._certificate_stamp()
            if stamp != self._stamp and context is not None:
                load_identity(context, self._cert, self._key)
                self._stamp = stamp
                log.info("client certificate renewed")
        except OSError as error:
            # In the middle of a replacement; what we have may still do, and the next look is soon.
            log.warning("credentials could not be read", extra={"error": str(error)})

    def _certificate_stamp(self) -> tuple[int, ...] | None:
        """What changes when the certificate's file does, None for a certificate in memory."""
        if self._cert is None or isinstance(self._cert, bytes):
            return None
        stat = Path(self._cert).stat()
        return (stat.st_mtime_ns, stat.st_ino, stat.st_size)
