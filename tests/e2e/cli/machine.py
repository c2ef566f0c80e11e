"""Traces of a cluster on the machine, by kind, found by other means than the product's own."""

from __future__ import annotations

import re
import subprocess
from ipaddress import ip_network
from pathlib import Path
from typing import NamedTuple

from tiphys.daemon.saved import cluster_settings
from tiphys.daemon.settings import ClusterSettings
from tiphys.testing.cluster import Cluster

Traces = dict[str, set[str]]


def settings_of(cluster: Cluster) -> ClusterSettings:
    return cluster_settings(
        cluster.data_dir,
        cluster_cidr=cluster.pod_range,
        service_cluster_ip_range=cluster.service_range,
        secure_port=cluster.port,
        kubelet_port=cluster.kubelet_port,
    )


class Names(NamedTuple):
    """Names that do not tell which cluster they belong to."""

    containers: set[str]
    links: set[str]


NOTHING = Names(set(), set())


def traces(cluster: Cluster, names: Names = NOTHING) -> Traces:
    """Everything on the machine that bears this cluster's name, range or directory, or one of `names`."""
    settings = settings_of(cluster)
    places = (settings.data_dir, str(settings.run_dir))
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return {
        "processes": _processes(places),
        "mounts": {point for point in mounts if point.startswith(tuple(f"{place}/" for place in places))},
        "links": {settings.bridge, *names.links} & {path.name for path in Path("/sys/class/net").iterdir()},
        "routes": _in_ranges(_lines("ip", "route", "show", "table", "all"), settings),
        "addresses": _in_ranges(_lines("ip", "-o", "address"), settings),
        "nft tables": {line for line in _lines("nft", "list", "tables") if settings.nft_table in line},
        "nft rules": _in_ranges(_lines("nft", "list", "ruleset"), settings),
        "cgroups": {str(path) for path in Path("/sys/fs/cgroup").glob(f"**/{settings.cgroup_parent.strip('/')}")},
        "files": {str(path) for place in places for path in _below(Path(place))},
        "files elsewhere": {str(path) for ident in names.containers for path in Path("/var/lib/cni").glob(f"**/*{ident}*")},
    }


def names_of(cluster: Cluster) -> Names:
    """The names that a running cluster has given out: containers by runc's own records, links by the kernel's."""
    settings = settings_of(cluster)
    return Names(
        containers={path.name for path in (settings.run_dir / "runc" / "k8s.io").iterdir()},
        links={path.name for path in Path("/sys/class/net", settings.bridge, "brif").iterdir()},
    )


def _processes(places: tuple[str, ...]) -> set[str]:
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().decode(errors="replace").replace("\0", " ")
                root = str((entry / "root").readlink())
            except OSError:
                continue
            if any(re.search(rf"{re.escape(place)}(/|\s|$)", f"{words} {root}") for place in places):
                found.add(f"{entry.name} {words}")
    return found


def _in_ranges(lines: list[str], settings: ClusterSettings) -> set[str]:
    ranges = [ip_network(settings.network.pod_range), ip_network(settings.network.service_range)]
    found = set()
    for line in lines:
        for text in re.findall(r"\d+\.\d+\.\d+\.\d+", line):
            if any(ip_network(text).subnet_of(one) for one in ranges):  # type: ignore[arg-type]
                found.add(line)
    return found


def _below(place: Path) -> list[Path]:
    return [place, *place.rglob("*")] if place.exists() else []


def _lines(*command: str) -> list[str]:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
