"""Long-running verbs: an event loop with uvloop, signals that end it politely, logs, and errors told in one sentence."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable

from tiphys.cli.errors import Failure


def run_daemon(run: Callable[[asyncio.Event], Awaitable[None]], *, log_level: str, address: str, option: str) -> None:
    """Run until SIGTERM or SIGINT; raises Failure for what the user can mend."""
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
        from tiphys.daemon.failures import explain

        sentence = explain(error, address=address, option=option)
        if sentence is None:
            raise
        raise Failure(sentence) from error
