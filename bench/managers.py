"""Clusters of hollow nodes for benchmarks, with the control loops of Tiphys or of upstream in front of the same API server."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tiphys.testing.cluster import Cluster, taken_slot, wait_for

UNLIMITED = ("--kube-api-qps=100000", "--kube-api-burst=100000")
"""Options of upstream's clients that lift their limits (20 requests a second for its controllers, 50 for its scheduler)."""

NETWORK = ("--cluster-cidr=100.64.0.0/10", "--node-cidr-mask-size=24")
"""Pod addresses for 16,384 hollow nodes, which no packet ever carries."""


@dataclass(frozen=True, slots=True)
class Managed:
    """A running cluster."""

    kubeconfig: Path
    pids: Mapping[str, int]
    """Part of the cluster to process id."""


@contextlib.contextmanager
def one_process(nodes: int) -> Iterator[Managed]:
    """Start `tiphys up`: API server, controllers and scheduler in one process."""
    with taken_slot() as cluster:
        try:
            cluster.up("--runtime", "hollow", "--hollow-nodes", str(nodes), *NETWORK)
            pids = {part: pid for part in ("server", "node") if (pid := cluster.pid(part)) is not None}
            yield Managed(cluster.kubeconfig, pids)
        finally:
            cluster.down(purge=True)


@contextlib.contextmanager
def own_processes(nodes: int) -> Iterator[Managed]:
    """Start every part of Tiphys in a process of its own."""
    with taken_slot() as cluster:
        alone = ("--kubeconfig", str(cluster.kubeconfig), "--secure-port=0", "--leader-elect=false")
        commands = {
            "controllers": _tiphys("controller-manager", *NETWORK, *alone),
            "scheduler": _tiphys("scheduler", *alone),
        }
        with _started(cluster, nodes, commands) as managed:
            yield managed


@contextlib.contextmanager
def upstream(nodes: int, directory: Path, *, limited: bool) -> Iterator[Managed]:
    """Start upstream's `kube-controller-manager` and `kube-scheduler`, from a directory, with the API server and nodes of Tiphys."""
    with taken_slot() as cluster:
        keys = cluster.data_dir / "pki"
        credentials = ("--kubeconfig", str(cluster.kubeconfig), "--authentication-kubeconfig", str(cluster.kubeconfig))
        shared = (*credentials, "--secure-port=0", "--leader-elect=false", *(() if limited else UNLIMITED))
        manager = (
            f"--root-ca-file={keys / 'ca.crt'}", f"--service-account-private-key-file={keys / 'sa.key'}",
            f"--cluster-signing-cert-file={keys / 'ca.crt'}", f"--cluster-signing-key-file={keys / 'ca.key'}",
            "--allocate-node-cidrs=true", *NETWORK,
        )  # fmt: skip
        commands = {
            "controllers": [str(directory / "kube-controller-manager"), *shared, *manager],
            "scheduler": [str(directory / "kube-scheduler"), *shared],
        }
        with _started(cluster, nodes, commands) as managed:
            yield managed


def _tiphys(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "tiphys", *arguments]


@contextlib.contextmanager
def _started(cluster: Cluster, nodes: int, commands: Mapping[str, list[str]]) -> Iterator[Managed]:
    """Start API server, hollow nodes and some other parts; end them all."""
    place = ("--data-dir", str(cluster.data_dir), "--secure-port", str(cluster.port), "--service-cluster-ip-range", cluster.service_range)
    server = _tiphys("apiserver", *place)
    kubelets = _tiphys("node", *place, "--runtime", "hollow", "--count", str(nodes))
    with contextlib.ExitStack() as stack:
        stack.callback(cluster.down, purge=True)
        pids = {"server": stack.enter_context(_process(server, cluster.data_dir / "server.log"))}
        wait_for(lambda: cluster.kubeconfig.exists() and cluster.kubectl("get --raw /readyz", check=False).code == 0)
        for name, command in {"node": kubelets, **commands}.items():
            pids[name] = stack.enter_context(_process(command, cluster.data_dir / f"{name}.log"))
        yield Managed(cluster.kubeconfig, pids)


@contextlib.contextmanager
def _process(command: list[str], log: Path) -> Iterator[int]:
    with log.open("ab") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file, env=os.environ)
    try:
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
