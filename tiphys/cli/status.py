"""`tiphys status`: show the state of the cluster's processes, nodes and pods."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tiphys.aio.clock import LoopClock
from tiphys.cli.checks.certificates import late_certificates
from tiphys.cli.options import data_dir_option, settings_of
from tiphys.cli.processes import Process, processes
from tiphys.daemon.settings import ClusterSettings

if TYPE_CHECKING:
    from tiphys.api.core import v1 as core

MOST_NODES = 10
"""Nodes of a cluster up to which each has a line."""


@click.command()
@data_dir_option
def command(data_dir: Path) -> None:
    """Show the processes and their memory, the API server's health, nodes and pods. Exits with 1 if anything is unhealthy."""
    settings = settings_of(data_dir, {})
    healthy = True
    for process in processes(settings):
        pid = process.pid()
        healthy = healthy and pid is not None
        click.echo(f"{process.name:<8} {_describe(process, pid)}")
    report = asyncio.run(_report(settings)) if settings.admin_kubeconfig.exists() else ["api      no cluster has been started here"]
    for line in report:
        click.echo(line)
    if volumes := _describe_volumes(settings):
        click.echo(f"storage  {volumes}")
    for late, log in late_certificates(settings, LoopClock().now()):
        healthy = False
        click.echo(f"certs    {late}: renewal has failed, see {settings.log_dir / log}")
    if not healthy or any("NotReady" in line or "unreachable" in line for line in report):
        raise SystemExit(1)


def _describe(process: Process, pid: int | None) -> str:
    if pid is None:
        last = process.log_tail(1)
        return "not running" + (f" (last log line: {last})" if last else "")
    text = f"running, pid {pid}, {_resident(pid)} MiB"
    state = process.state()
    if state is not None and state.restarts:
        times = "once" if state.restarts == 1 else f"{state.restarts} times"
        text += f", restarted {times} (last exit code {state.last_exit}, {ago(LoopClock().now().timestamp() - state.last_ended)} ago)"
    return text if process.keeper_pid() is not None else f"{text}, without a keeper: run tiphys up to start one"


def ago(seconds: float) -> str:
    """Format a duration in its largest unit: 40 s, 5 min, 3 h, 12 d."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"


def _describe_volumes(settings: ClusterSettings) -> str:
    """Return the volumes on the machine's disk in words; "" if there are none, or they are none of this user's."""
    from tiphys.daemon.local_storage import summary

    try:
        return summary(settings)
    except OSError:
        return ""


def _resident(pid: int) -> int:
    """Return a process's resident memory in MiB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) // 1024
    return 0


def _describe_nodes(nodes: list[core.Node]) -> list[str]:
    """Return a line for each node, or of many nodes one for each that is not ready, and their number."""
    from tiphys.api.machinery.conditions import is_true

    ready = {node.metadata.name: is_true(node.status.conditions, "Ready") for node in nodes}
    if len(nodes) <= MOST_NODES:
        return [f"node     {name}: {'Ready' if is_ready else 'NotReady'}" for name, is_ready in ready.items()]
    unready = [f"node     {name}: NotReady" for name, is_ready in ready.items() if not is_ready]
    return [*unready, f"nodes    {len(nodes) - len(unready)} of {len(nodes)} Ready"]


async def _report(settings: ClusterSettings) -> list[str]:
    from tiphys.api.core import v1 as core
    from tiphys.api.machinery.errors import StatusError
    from tiphys.client import kubeconfig

    client = kubeconfig.load(settings.admin_kubeconfig)
    try:
        version: Any = (await client.raw("GET", "/readyz")).body.decode().splitlines()[-1]
        lines = [f"api      {settings.server_url}: {version}"]
        lines += _describe_nodes((await client.list(core.Node)).items)
        phases: dict[str, int] = {}
        for pod in (await client.list(core.Pod)).items:
            phases[pod.status.phase] = phases.get(pod.status.phase, 0) + 1
        lines.append("pods     " + (", ".join(f"{count} {phase}" for phase, count in sorted(phases.items())) or "none"))
    except (ConnectionError, StatusError) as error:
        return [f"api      {settings.server_url}: unreachable ({error})"]
    finally:
        await client.close()
    return lines
