"""Renewal of the cluster's certificates while it runs ("PKI certificates and requirements").

Users of a certificate check its file regularly (`aio.certificates`), so writing new files is enough.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from tiphys.aio.clock import Clock
from tiphys.daemon.pki import Pki, PkiError

log = logging.getLogger(__name__)

CHECK_SECONDS = 3600.0
"""Interval between checks of certificates. They are renewed months before they expire, so later checks make up for a failed one."""


async def keep_renewed(renew: Callable[[], Pki], clock: Clock) -> None:
    """Call `renew`, which replaces worn certificates, every `CHECK_SECONDS`, forever. Failures are logged; `tiphys status` shows them."""
    while True:
        await clock.sleep(CHECK_SECONDS)
        try:
            certificates = await asyncio.to_thread(renew)
        except (OSError, PkiError) as error:
            log.error("renewal of the cluster's certificates failed", extra={"error": str(error)})
        else:
            if certificates.renewed:
                log.info("the cluster's certificates were renewed", extra={"names": ", ".join(certificates.renewed)})
