"""Entry point of the long-running verbs: uvloop, graceful shutdown on signals, logging, and errors in one sentence."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable

from tiphys.cli.errors import EX_CONFIG, Failure


def run_daemon(run: Callable[[asyncio.Event], Awaitable[None]], *, log_level: str, address: str = "", option: str = "") -> None:
    """Run until SIGTERM or SIGINT; raises Failure for errors that the user or a restart can fix."""
    import uvloop

    from tiphys.obs.logging import configure

    configure(level=log_level)

    async def main() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        await run(stop)

    try:
        uvloop.run(main())
    except KeyboardInterrupt:
        return
    except Exception as error:
        from tiphys.daemon.failures import explain, is_lasting

        sentence = explain(error, address=address, option=option)
        if sentence is None:
            raise
        raise Failure(sentence, code=EX_CONFIG if is_lasting(error) else 1) from error
