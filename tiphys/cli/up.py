"""`tiphys up`: a cluster on this machine from one command."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import Any

import click

from tiphys.aio.clock import monotonic
from tiphys.cli.errors import EX_CONFIG, Failure
from tiphys.cli.options import settings_of, settings_options
from tiphys.cli.processes import Process, processes
from tiphys.daemon.settings import ClusterSettings

API_SECONDS = 30.0
NODE_SECONDS = 120.0
POLL_SECONDS = 0.05


@click.command()
@settings_options
@click.option("--wait/--no-wait", default=True, help="Return when the node is Ready (the default), or as soon as the API answers.")
@click.option("--foreground", is_flag=True, help="Stay in the foreground and stop the cluster at the end.")
def command(data_dir: Path, wait: bool, foreground: bool, **given: Any) -> None:
    """Start a cluster; harmless when it runs already."""
    settings = settings_of(data_dir, given)
    started = monotonic()
    server, node = processes(settings)
    if server.pid() and node.pid():
        if given_differs(settings, data_dir, given):
            raise Failure("the cluster runs with other settings: stop it with tiphys down, then start it with the new ones")
        click.echo(f"The cluster in {settings.data_dir} is running already.")
    else:
        check_machine(settings)
        save(settings)
    begun = _start_missing(server, node)
    try:
        asyncio.run(_wait_ready(settings, server, node, wait=wait))
    except Failure as failure:
        if failure.code == EX_CONFIG:
            for process in reversed(begun):
                process.stop()
        raise
    _say(settings, monotonic() - started)
    if foreground:
        _stay(server, node)


def _start_missing(*wanted: Process) -> list[Process]:
    """Start what does not run; returns it."""
    begun = [process for process in wanted if process.keeper_pid() is None]
    for process in begun:
        process.start()
    return begun


def given_differs(settings: ClusterSettings, data_dir: Path, given: dict[str, Any]) -> bool:
    """Whether options were given that differ from those the running cluster started with."""
    return settings != settings_of(data_dir, {})


def save(settings: ClusterSettings) -> None:
    """Remember the settings; raises Failure when the directory cannot be written."""
    try:
        settings.save()
    except OSError as error:
        raise Failure(f"{settings.data_dir} cannot be written ({error.strerror}): choose another place with --data-dir") from error


def check_machine(settings: ClusterSettings) -> None:
    """Refuse to start what cannot work; raises Failure with every problem and its fix."""
    from tiphys.cli.checks import run_checks

    failed = [result for result in run_checks(settings) if result.status == "fail"]
    if failed:
        lines = [f"  {result.name}: {result.message}\n    fix: {result.fix}" for result in failed]
        raise Failure("this machine is not ready for a cluster:\n" + "\n".join(lines))


async def _wait_ready(settings: ClusterSettings, server: Process, node: Process, *, wait: bool) -> None:
    from tiphys.api.core import v1 as core
    from tiphys.api.machinery.errors import StatusError
    from tiphys.client import kubeconfig

    deadline = monotonic() + API_SECONDS
    while not settings.admin_kubeconfig.exists():
        _check_alive(server, deadline, "the API server")
        await asyncio.sleep(POLL_SECONDS)
    client = kubeconfig.load(settings.admin_kubeconfig)
    try:
        while True:
            try:
                response = await client.raw("GET", "/readyz")
                if response.status == 200:
                    break
            except (ConnectionError, StatusError):
                pass
            _check_alive(server, deadline, "the API server")
            await asyncio.sleep(POLL_SECONDS)
        deadline = monotonic() + NODE_SECONDS
        while wait:
            try:
                found = await client.get(core.Node, settings.node_name)
                if any(condition.type == "Ready" and condition.status == "True" for condition in found.status.conditions):
                    break
            except (ConnectionError, StatusError):
                pass
            _check_alive(node, deadline, "the node")
            await asyncio.sleep(POLL_SECONDS)
    finally:
        await client.close()


def _check_alive(process: Process, deadline: float, what: str) -> None:
    """Raise Failure when the process has given up or the time is over."""
    if process.keeper_pid() is None and process.pid() is None:
        raise Failure(f"{what} did not start:\n{process.last_words()}", code=EX_CONFIG)
    if monotonic() > deadline:
        raise Failure(f"{what} is not ready in time; the end of {process.log_file}:\n{process.last_words()}", code=1)


def _say(settings: ClusterSettings, seconds: float) -> None:
    option = "" if settings.is_default else f" --data-dir {settings.data_dir}"
    click.echo(f"The cluster is ready after {seconds:.1f} s: {settings.server_url}, node {settings.node_name}")
    click.echo(f"  export KUBECONFIG={settings.admin_kubeconfig}")
    click.echo(f"  tiphys kubectl{option} get pods -A")
    click.echo(f"  tiphys status{option}       tiphys down{option} [--purge]")


def _stay(server: Process, node: Process) -> None:
    """Wait for a signal, then stop the cluster."""
    signal.sigwait({signal.SIGINT, signal.SIGTERM})
    node.stop()
    server.stop()
