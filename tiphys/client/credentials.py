"""Credentials of a client, reread periodically: tokens and certificates in files are replaced while we run."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tiphys.aio.certificates import REFRESH_SECONDS, CertificateFiles
from tiphys.aio.clock import Clock
from tiphys.obs.logging import get_logger

log = get_logger(__name__)

__all__ = ["REFRESH_SECONDS", "Credentials"]


class Credentials:
    """Token (or the file with it) and certificate files, kept up to date."""

    def __init__(
        self, *, token: str = "", token_file: str | Path | None = None, files: CertificateFiles | None = None, clock: Clock
    ) -> None:
        self._token = token
        self._token_file = Path(token_file) if token_file else None
        self._files = files
        self._clock = clock
        self._checked: float | None = None

    async def headers(self) -> dict[str, str]:
        """Return headers for the next request. The files are checked at most once a minute; new certificates serve later connections."""
        now = self._clock.monotonic()
        has_files = self._token_file is not None or self._files is not None
        if has_files and (self._checked is None or now - self._checked >= REFRESH_SECONDS):
            self._checked = now
            await asyncio.to_thread(self._refresh)
        return {"authorization": f"Bearer {self._token}"} if self._token else {}

    def _refresh(self) -> None:
        if self._files is not None:
            self._files.try_refresh()
        if self._token_file is not None:
            try:
                self._token = self._token_file.read_text().strip()
            except OSError as error:
                # In the middle of a replacement; what we have may still do, and the next look is soon.
                log.warning("reading the token failed", extra={"error": str(error)})
