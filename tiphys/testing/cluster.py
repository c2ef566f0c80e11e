"""A real cluster for tests: started by the command line, driven with kubectl, removed without a trace.

    with running_cluster() as cluster:
        cluster.kubectl("create deployment web --image tiphys.local/nginx:1")

Each cluster takes a slot: a number behind a file lock that decides its directory, ports and address ranges, so that test runs on one
machine do not meet. What a killed run left in a slot is purged before the slot is used again.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shlex
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from tiphys.testing.kubectl import KUBECTL, CommandFailed, Done

T = TypeVar("T")

SLOTS = 24
ROOT = Path(tempfile.gettempdir()) / "tiphys-clusters"
GROUPS = frozenset(("images", "snapshot", "token"))
"""Verbs of the command line that have verbs of their own."""
TIMEOUT = 120.0
"""Seconds that a command may take."""


def run(
    *command: str, stdin: str | None = None, env: Mapping[str, str] | None = None, check: bool = True, timeout: float = TIMEOUT
) -> Done:
    """Run a command to its end; raises CommandFailed with all it said unless `check` is off."""
    done = subprocess.run(
        command, input=stdin, capture_output=True, text=True, env={**os.environ, **(env or {})}, timeout=timeout, check=False
    )
    if check and done.returncode != 0:
        raise CommandFailed(f"{shlex.join(command)} ended with {done.returncode}\n{done.stdout}\n{done.stderr}")
    return Done(done.stdout, done.stderr, done.returncode)


def wait_for(check: Callable[[], T | None], *, timeout: float = 60.0, interval: float = 0.05) -> T:
    """Call `check` until it returns something true; an AssertionError counts as "not yet" and is raised again at the end."""
    deadline = time.monotonic() + timeout
    while True:
        failure: AssertionError | None = None
        value: T | None = None
        try:
            value = check()
            if value:
                return value
        except AssertionError as error:
            failure = error
        if time.monotonic() > deadline:
            raise failure or AssertionError(f"not true within {timeout} s; last value: {value!r}")
        time.sleep(interval)


class Cluster:
    """One cluster of one node, in a slot."""

    def __init__(self, slot: int) -> None:
        self.slot = slot
        self.data_dir = ROOT / f"slot-{slot}"
        self.port = 17000 + slot
        self.kubelet_port = 17100 + slot
        self.healthz_port = 17200 + slot
        self.node = f"node-{slot}"
        self.pod_range = f"10.{180 + slot}.0.0/17"
        self.service_range = f"10.{180 + slot}.128.0/17"
        self.node_ports = f"{31000 + 40 * slot}-{31000 + 40 * slot + 39}"

    @property
    def first_node_port(self) -> int:
        return int(self.node_ports.partition("-")[0])

    @property
    def kubeconfig(self) -> Path:
        return self.data_dir / "admin.kubeconfig"

    def tiphys(self, *arguments: str, check: bool = True, timeout: float = TIMEOUT) -> Done:
        """Run the `tiphys` command on this cluster."""
        split = 2 if arguments[0] in GROUPS else 1
        words = [*arguments[:split], "--data-dir", str(self.data_dir), *arguments[split:]]
        return run(sys.executable, "-m", "tiphys", *words, check=check, timeout=timeout)

    def up(self, *options: str) -> Done:
        """Start the cluster, or start it again."""
        return self.tiphys(
            "up", "--secure-port", str(self.port), "--kubelet-port", str(self.kubelet_port), "--node-name", self.node,
            "--healthz-port", str(self.healthz_port),
            "--cluster-cidr", self.pod_range, "--service-cluster-ip-range", self.service_range,
            "--service-node-port-range", self.node_ports, *options,
        )  # fmt: skip

    def down(self, *, purge: bool = False) -> Done:
        return self.tiphys("down", *(["--purge"] if purge else []))

    def kubectl_command(self, arguments: str | list[str], program: str = "") -> list[str]:
        """The command line of a kubectl call."""
        parts = shlex.split(arguments) if isinstance(arguments, str) else arguments
        return [program or KUBECTL, "--kubeconfig", str(self.kubeconfig), *parts]

    def kubectl(
        self, arguments: str | list[str], *, stdin: str | None = None, check: bool = True, timeout: float = TIMEOUT, program: str = ""
    ) -> Done:
        """Run real kubectl against the cluster."""
        # Its caches of discovery must not be shared with other clusters that had the same port.
        env = {"KUBECACHEDIR": str(self.data_dir / "kubectl-cache"), "HOME": str(self.data_dir)}
        return run(*self.kubectl_command(arguments, program), stdin=stdin, env=env, check=check, timeout=timeout)

    def get(self, arguments: str) -> Any:
        """`kubectl get ... -o json`, decoded."""
        return self.kubectl(f"get {arguments} -o json").json

    def apply(self, manifest: str, namespace: str = "default") -> Done:
        return self.kubectl(["apply", "-n", namespace, "-f", "-"], stdin=manifest)

    def pid(self, name: str) -> int | None:
        """The process id of `server` or `node`, None while it does not run."""
        from tiphys.cli.processes import Process
        from tiphys.daemon.settings import load

        settings = load(self.data_dir)
        return None if settings is None else Process(name, settings).pid()


@contextlib.contextmanager
def running_cluster(*, images: tuple[str, ...] = ("busybox",)) -> Iterator[Cluster]:
    """A cluster whose node is Ready and which has the images (built from packages, cached between runs)."""
    with taken_slot() as cluster:
        try:
            cluster.up()
            if images:
                cluster.tiphys("images", "build", *images, timeout=300)
            wait_for(lambda: cluster.kubectl("get serviceaccount default", check=False).code == 0)
            yield cluster
        finally:
            cluster.down(purge=True)


@contextlib.contextmanager
def taken_slot() -> Iterator[Cluster]:
    """A cluster that is not started yet, in a slot that nobody else uses until the block ends."""
    ROOT.mkdir(mode=0o700, exist_ok=True)
    for slot in range(SLOTS):
        with (ROOT / f"slot-{slot}.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            cluster = Cluster(slot)
            if cluster.data_dir.exists():
                cluster.down(purge=True)
            if any(_is_taken(port) for port in (cluster.port, cluster.kubelet_port, cluster.healthz_port)):
                continue
            _share_image_cache(cluster)
            yield cluster
            return
    raise RuntimeError(f"all {SLOTS} slots for test clusters are taken; see {ROOT}")


def _is_taken(port: int) -> bool:
    """Return whether some other program listens there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _share_image_cache(cluster: Cluster) -> None:
    """Built images are the same for every cluster; the link goes with the data directory, what it leads to stays."""
    cache = ROOT / "images"
    cache.mkdir(exist_ok=True)
    cluster.data_dir.mkdir(mode=0o700, parents=True)
    (cluster.data_dir / "images").symlink_to(cache)
