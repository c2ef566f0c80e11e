"""Time that a cluster takes to come up and to run its first container, and its cost when nothing happens. Needs root.

python -m bench.cluster [--idle 30] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import ssl
import statistics
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from tiphys.testing.cluster import Cluster, taken_slot, wait_for

POD = """
apiVersion: v1
kind: Pod
metadata: {name: first}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: c, image: "tiphys.local/busybox:1", command: [sleep, "1000"]}]
"""
ROUNDS = 5
TICKS = os.sysconf("SC_CLK_TCK")


def answering(port: int) -> float:
    """Seconds until something listens on the port; the API server listens when it can answer."""
    started = time.monotonic()

    def connected() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    wait_for(connected, timeout=30, interval=0.005)
    return time.monotonic() - started


def server_start(cluster: Cluster) -> float:
    """Seconds from the start of `tiphys server` until /readyz says ok, on an empty directory, the code being compiled."""
    directory = cluster.data_dir / f"alone-{time.monotonic_ns()}"
    command = [sys.executable, "-m", "tiphys", "server", "--data-dir", str(directory), "--secure-port", str(cluster.port)]
    started = time.monotonic()
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
    try:
        answering(cluster.port)

        context = ssl.create_default_context(cafile=str(directory / "pki" / "ca.crt"))

        def ready() -> bool:
            try:
                with urllib.request.urlopen(f"https://127.0.0.1:{cluster.port}/readyz", context=context, timeout=5) as response:
                    return bool(response.status == 200)
            except OSError:
                return False

        wait_for(ready, timeout=30, interval=0.005)
        return time.monotonic() - started
    finally:
        process.terminate()
        process.wait(20)


def cpu_seconds(pid: int) -> float:
    """CPU time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def resident(pid: int) -> float:
    """Resident memory in MB."""
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in status if line.startswith("VmRSS")).split()[1]) / 1000


def first_container(cluster: Cluster) -> float:
    """Seconds from `kubectl apply` until the container runs, the image being there; the median of a few."""
    times = []
    for _ in range(ROUNDS):
        started = time.monotonic()
        cluster.apply(POD)
        cluster.kubectl("wait pod/first --for=jsonpath={.status.phase}=Running --timeout=30s")
        times.append(time.monotonic() - started)
        cluster.kubectl("delete pod first --now")
    return statistics.median(times)


def measure(idle: float) -> dict[str, float]:
    with taken_slot() as cluster:
        try:
            server_start(cluster)  # Compiles what is not compiled yet.
            alone = [server_start(cluster) for _ in range(ROUNDS)]
            started = time.monotonic()
            cluster.up()
            ready = time.monotonic() - started
            cluster.tiphys("images", "build", "busybox", timeout=300)
            wait_for(lambda: cluster.kubectl("get serviceaccount default", check=False).code == 0)
            container = first_container(cluster)
            pids = [pid for pid in (cluster.pid("server"), cluster.pid("node")) if pid is not None]
            time.sleep(5)
            before = sum(map(cpu_seconds, pids))
            time.sleep(idle)
            used = sum(map(cpu_seconds, pids)) - before
            return {
                "api answering after tiphys server, s": statistics.median(alone),
                "node Ready after tiphys up, s": ready,
                "first container after kubectl apply, s": container,
                "idle memory of server and node, MB": sum(map(resident, pids)),
                "idle CPU of server and node, % of a core": 100 * used / idle,
            }
        finally:
            cluster.down(purge=True)


WANTED = {
    "api answering after tiphys server, s": 1.0,
    "node Ready after tiphys up, s": 5.0,
    "first container after kubectl apply, s": 1.0,
    "idle memory of server and node, MB": 200.0,
    "idle CPU of server and node, % of a core": 1.0,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--idle", type=float, default=30.0, help="seconds of watching an idle cluster")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    results = measure(arguments.idle)
    for name, value in results.items():
        print(f"   {name:<44}{value:8.2f}   (wanted: under {WANTED[name]:g})")
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
