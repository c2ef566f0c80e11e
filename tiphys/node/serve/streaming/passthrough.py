"""SPDY clients open their streams at the runtime themselves; their frames are checked on the way."""

from __future__ import annotations

import logging

from tiphys.aio.duplex import Duplex, splice
from tiphys.node.serve.streaming.answers import switch_to_spdy
from tiphys.node.serve.streaming.runtime import connect_runtime
from tiphys.node.serve.streaming.screened_duplex import ScreenedDuplex
from tiphys.wire.errors import ProtocolError
from tiphys.wire.negotiate import spdy_protocols

log = logging.getLogger(__name__)


async def serve_spdy(client: Duplex, headers: list[tuple[str, str]], *, runtime_url: str, idle_timeout: float) -> None:
    """One session. Raises StatusError and UpgradeRefused before the 101, OSError after it."""
    runtime = await connect_runtime(runtime_url, spdy_protocols(headers))
    try:
        await switch_to_spdy(client, runtime.protocol)
        await splice(ScreenedDuplex(client), runtime.duplex, idle_timeout=idle_timeout)
    except ProtocolError as exc:
        log.info("client broke the streaming protocol", extra={"error": str(exc)})
    finally:
        runtime.duplex.close()
