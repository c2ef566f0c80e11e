"""`tiphys logs --deleted`: list and read the logs of pods that were deleted or replaced."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tiphys.aio.clock import LoopClock
from tiphys.cli.errors import Failure
from tiphys.cli.options import data_dir_option, settings_of
from tiphys.cli.status import ago

if TYPE_CHECKING:
    from tiphys.daemon.deleted_logs import KeptLog

COLUMNS = ("NAMESPACE", "POD", "CONTAINER", "RESTART", "DELETED", "SIZE", "UID")


@click.command()
@data_dir_option
@click.argument("pod", default="", metavar="[[NAMESPACE/]POD]")
@click.option("--deleted", is_flag=True, help="Show logs of pods that were deleted or replaced, as long as the node keeps them.")
@click.option("-n", "--namespace", default="", metavar="NAMESPACE", help="Namespace of the pod (default: any).")
@click.option("-c", "--container", default="", metavar="NAME", help="Container of the pod (default: its only one).")
@click.option("--uid", default="", metavar="UID", help="UID of the pod, or its beginning (default: the pod that was deleted last).")
@click.option("--restart", type=int, default=None, metavar="NUMBER", help="Number of the container's restart (default: the last).")
@click.option("--tail", type=click.IntRange(min=0), default=None, metavar="LINES", help="Number of lines at the end (default: all).")
@click.option("--timestamps", is_flag=True, help="Show the time of each line.")
def command(
    data_dir: Path,
    pod: str,
    deleted: bool,
    namespace: str,
    container: str,
    uid: str,
    restart: int | None,
    tail: int | None,
    timestamps: bool,
) -> None:
    """List the logs of deleted pods on this machine, or print the one of POD."""
    if not deleted:
        raise Failure("this shows logs of deleted pods only: add --deleted, or use `tiphys kubectl logs` for pods that exist", code=1)
    from tiphys.daemon.deleted_logs import deleted_logs, text

    space, slash, name = pod.rpartition("/")
    logs = select(deleted_logs(settings_of(data_dir, {})), namespace=space if slash else namespace, pod=name, container=container, uid=uid)
    if not pod:
        for line in table(logs, LoopClock().now().timestamp()):
            click.echo(line)
        return
    output = sys.stdout.buffer
    for part in text(choose(logs, pod, restart), tail=tail, timestamps=timestamps):
        output.write(part)
    output.flush()


def select(logs: Iterable[KeptLog], *, namespace: str, pod: str, container: str, uid: str) -> list[KeptLog]:
    """Return the logs that match everything that is not empty."""
    return [
        one
        for one in logs
        if (not namespace or one.namespace == namespace)
        and (not pod or one.pod == pod)
        and (not container or one.container == container)
        and one.uid.startswith(uid)
    ]


def choose(logs: list[KeptLog], pod: str, restart: int | None) -> KeptLog:
    """Return the log to print, of the pod that was deleted last. Raises Failure when there is none, or one of several containers."""
    if not logs:
        raise Failure(f"no log of a deleted pod {pod} is kept: `tiphys logs --deleted` lists those that are", code=1)
    last = max(logs, key=lambda one: one.deleted)
    logs = [one for one in logs if (one.namespace, one.uid) == (last.namespace, last.uid)]
    names = sorted({one.container for one in logs})
    if len(names) > 1:
        raise Failure(f"the pod {pod} had several containers, choose one with -c: {', '.join(names)}", code=1)
    runs = {one.restart: one for one in logs if one.deleted == last.deleted}
    if restart is not None and restart not in runs:
        raise Failure(f"no log of restart {restart} is kept, only of {', '.join(map(str, sorted(runs)))}", code=1)
    return runs[max(runs) if restart is None else restart]


def table(logs: Iterable[KeptLog], now: float) -> list[str]:
    """Return the lines of the list; without logs one that says so."""
    rows = [
        (one.namespace, one.pod, one.container, str(one.restart), f"{ago(now - one.deleted.timestamp())} ago", size_text(one.size), one.uid)
        for one in logs
    ]
    if not rows:
        return ["no logs of deleted pods"]
    widths = [max(map(len, column)) for column in zip(COLUMNS, *rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in (COLUMNS, *rows)]


def size_text(size: int) -> str:
    """Return a size on disk in its largest unit."""
    for unit, name in ((1 << 20, "MiB"), (1 << 10, "KiB")):
        if size >= unit:
            return f"{size / unit:.1f} {name}"
    return f"{size} B"
