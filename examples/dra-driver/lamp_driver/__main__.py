"""Run the driver: python3 -m lamp_driver --node NAME"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from lamp_driver.api import ACCOUNT, Api
from lamp_driver.devices import DRIVER, resource_slice
from lamp_driver.driver import Lamps, served

PERIOD = 30.0
"""Seconds between two looks at the slice."""


def _server() -> str:
    return f"https://{os.environ.get('KUBERNETES_SERVICE_HOST', '127.0.0.1')}:{os.environ.get('KUBERNETES_SERVICE_PORT', '6443')}"


def parse(words: Sequence[str]) -> argparse.Namespace:
    """Return what a command line asks for."""
    parser = argparse.ArgumentParser(prog="lamp_driver", description="Driver for lamps.")
    parser.add_argument("--node", default=os.environ.get("NODE_NAME", ""), help="name of the node (default: $NODE_NAME)")
    parser.add_argument("--count", type=int, default=4, help="number of lamps (default: %(default)s)")
    parser.add_argument("--server", default=_server(), help="API server (default: that of the cluster)")
    parser.add_argument("--account", type=Path, default=ACCOUNT, help="directory with token and ca.crt (default: %(default)s)")
    parser.add_argument("--kubelet", type=Path, default=Path("/var/lib/tiphys/node"), help="the kubelet's directory (default: %(default)s)")
    parser.add_argument("--cdi", type=Path, default=Path("/var/run/cdi"), help="directory of CDI files (default: %(default)s)")
    return parser.parse_args(words)


async def run(options: argparse.Namespace) -> None:
    """Serve, and keep the slice as it should be, until cancelled."""
    api = Api(options.server, options.account)
    lamps = Lamps(lambda namespace, name, uid: api.devices_of(namespace, name, uid, DRIVER), options.cdi)
    plugins = options.kubelet / "plugins" / DRIVER
    async with served(lamps, plugins, options.kubelet / "plugins_registry", str(plugins / "dra.sock")):
        while True:
            try:
                node = await asyncio.to_thread(api.call, "GET", f"/api/v1/nodes/{options.node}")
                await asyncio.to_thread(api.publish, resource_slice(node, options.count, 1))
            except OSError as error:
                logging.warning("slice not published: %s", error)
            await asyncio.sleep(PERIOD)


async def main() -> None:
    task = asyncio.create_task(run(parse(sys.argv[1:])))
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await task


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    asyncio.run(main())
