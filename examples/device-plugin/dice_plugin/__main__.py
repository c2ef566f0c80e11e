"""Run the plugin: python3 -m dice_plugin --count 6"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from dice_plugin.plugin import Dice, run


def parse(words: Sequence[str]) -> argparse.Namespace:
    """Return what a command line asks for."""
    parser = argparse.ArgumentParser(prog="dice_plugin", description="Device plugin for dice.")
    parser.add_argument("--count", type=int, default=6, help="number of dice (default: %(default)s)")
    parser.add_argument("--directory", type=Path, default=Path("/device-plugins"), help="directory of the kubelet's socket")
    parser.add_argument("--broken", type=Path, default=Path("/broken"), help="directory with a file for each die that is broken")
    return parser.parse_args(words)


async def main() -> None:
    options = parse(sys.argv[1:])
    task = asyncio.create_task(run(Dice(options.count, options.broken), options.directory))
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await task


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    asyncio.run(main())
