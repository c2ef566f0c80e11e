"""Serve the driver: python3 -m csi_directory --endpoint unix:///csi/csi.sock --root /srv/volumes --node-id "$NODE" --node"""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from csi_directory.driver import DirectoryDriver
from csi_directory.store import Node
from tiphys.csi.server import served

ANYWHERE = "anywhere"
"""Zone of nodes that are in none: a place is needed for the capacity there to be reported."""


def parse(words: Sequence[str]) -> argparse.Namespace:
    """Return what a command line asks for."""
    parser = argparse.ArgumentParser(prog="csi_directory", description="CSI driver for volumes below one directory.")
    parser.add_argument("--endpoint", default="unix:///csi/csi.sock", help="socket to serve on (default: %(default)s)")
    parser.add_argument("--root", type=Path, required=True, help="directory of the volumes, the same for all nodes and the controller")
    parser.add_argument(
        "--zone", default="", help=f"zone of this node; of the controller: zone of volumes that may be anywhere (default: {ANYWHERE})"
    )
    parser.add_argument("--node-id", default="", help="name of this node")
    parser.add_argument("--max-volumes-per-node", type=int, default=0, help="number of volumes that this node takes (default: no limit)")
    parser.add_argument("--controller", action="store_true", help="serve the controller (without --node: both)")
    parser.add_argument("--node", action="store_true", help="serve the node (without --controller: both)")
    options = parser.parse_args(words)
    options.controller, options.node = options.controller or not options.node, options.node or not options.controller
    options.zone = options.zone or ANYWHERE
    if options.node and not options.node_id:
        parser.error("--node-id is needed to serve the node")
    return options


async def main() -> None:
    options = parse(sys.argv[1:])
    node = Node(id=options.node_id, zone=options.zone, max_volumes=options.max_volumes_per_node) if options.node else None
    driver = DirectoryDriver(options.root, zone=options.zone, with_controller=options.controller, node=node)
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with served(driver, Path(options.endpoint.removeprefix("unix://"))):
        logging.info("serving %s at %s", options.root, options.endpoint)
        await stopped.wait()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    asyncio.run(main())
