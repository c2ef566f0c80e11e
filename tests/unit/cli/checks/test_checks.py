"""Checks of the machine: what they read is given to them, or made here."""

from __future__ import annotations

import os
import shutil
import socket
import time
from ipaddress import IPv4Network
from pathlib import Path
from typing import NamedTuple

import pytest

from tiphys.cli import checks
from tiphys.cli.checks import network, ports, resources, result, storage
from tiphys.cli.checks.result import CheckResult
from tiphys.daemon.saved import cluster_settings
from tiphys.daemon.settings import ClusterSettings

ROUTES = """\
Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0
tiphys0\t002A0A0A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
*\t00002A0A\t00000000\t0201\t0\t0\t0\t0000FFFF\t0\t0\t0
vpn0\t0000640A\t00000000\t0001\t0\t0\t0\t00C0FFFF\t0\t0\t0
"""
TRIE = """\
Main:
  +-- 10.0.0.0/14 4 0 2
     |-- 10.0.0.0
        /16 universe UNICAST
     |-- 10.1.2.3
        /32 host LOCAL
     |-- 10.1.2.255
        /32 link BROADCAST
Local:
     |-- 127.0.0.1
        /32 host LOCAL
"""


class Usage(NamedTuple):
    """As shutil.disk_usage answers."""

    total: int
    used: int
    free: int


def settings(tmp_path: Path, **options: object) -> ClusterSettings:
    return cluster_settings(tmp_path, **options)


def named(results: list[CheckResult], name: str) -> CheckResult:
    (found,) = [one for one in results if one.name == name]
    return found


def test_routes_are_read_without_those_that_refuse() -> None:
    found = [(str(route.network), route.link) for route in network.routes(ROUTES)]
    assert found == [("0.0.0.0/0", "eth0"), ("10.10.42.0/24", "tiphys0"), ("10.100.0.0/18", "vpn0")]


def test_own_addresses_are_those_of_the_machine_only() -> None:
    assert network.local_addresses(TRIE) == {"10.1.2.3", "127.0.0.1"}


@pytest.mark.parametrize(
    ("route", "status"),
    [
        ("10.42.3.0/24 eth1", "fail"),
        ("10.42.0.0/16 docker0", "fail"),
        ("10.0.0.0/8 vpn0", "warn"),
        ("0.0.0.0/0 eth0", "ok"),
        ("10.44.0.0/16 eth1", "ok"),
        ("10.42.0.0/24 tip-own", "ok"),
    ],
)
def test_a_range_that_something_else_uses_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, route: str, status: str) -> None:
    cluster = settings(tmp_path)
    text, link = route.split()
    link = cluster.bridge if link == "tip-own" else link
    monkeypatch.setattr(network, "routes", lambda: [network.Route(IPv4Network(text), link)])
    monkeypatch.setattr(network, "local_addresses", lambda: {"127.0.0.1"})
    found = named(list(network.check(cluster)), "pod range")
    assert found.status == status
    if status != "ok":
        assert link in found.message
        assert "--cluster-cidr" in found.fix


def test_an_address_of_the_machine_in_a_range_is_a_clash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "routes", list)
    monkeypatch.setattr(network, "local_addresses", lambda: {"10.43.0.10", "10.43.7.7"})
    found = named(list(network.check(settings(tmp_path))), "service range")
    assert (found.status, "10.43.7.7" in found.message) == ("fail", True)


def test_ranges_that_share_addresses_are_refused(tmp_path: Path) -> None:
    (found,) = network.check(settings(tmp_path, cluster_cidr="10.42.0.0/16", service_cluster_ip_range="10.42.128.0/17"))
    assert found.status == "fail"


def test_a_port_in_use_names_who_holds_it(tmp_path: Path) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        found = named(list(ports.check(settings(tmp_path, secure_port=port))), "API port")
    assert found.status == "fail"
    assert f"127.0.0.1:{port} is in use by process {os.getpid()}" in found.message
    assert "--secure-port" in found.fix
    assert f"kill {os.getpid()}" in found.fix


def test_a_health_port_in_use_is_only_a_warning(tmp_path: Path) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        found = named(list(ports.check(settings(tmp_path, healthz_port=port))), "health port")
    assert found.status == "warn"
    assert "--healthz-port" in found.fix
    away = named(list(ports.check(settings(tmp_path, healthz_bind_address="203.0.113.7"))), "health port")
    assert (away.status, "--healthz-bind-address" in away.fix) == ("warn", True)
    assert [one for one in ports.check(settings(tmp_path, healthz_port=0)) if one.name == "health port"] == []


def test_a_port_that_was_just_closed_is_free(tmp_path: Path) -> None:
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client, server.accept()[0] as accepted:
            accepted.close()
            client.recv(1)
    # The connection is in TIME_WAIT now, which does not keep a server from starting.
    assert named(list(ports.check(settings(tmp_path, secure_port=port))), "API port").status == "ok"


def test_an_address_of_another_machine_is_refused(tmp_path: Path) -> None:
    found = named(list(ports.check(settings(tmp_path, bind="203.0.113.7"))), "API port")
    assert found.status == "fail"
    assert "--bind" in found.fix


def test_a_listener_in_the_node_port_range_is_only_a_warning(tmp_path: Path) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        found = named(list(ports.check(settings(tmp_path, service_node_port_range=f"{port}-{port}"))), "node ports")
    assert found.status == "warn"
    assert str(port) in found.message


def test_a_full_disk_fails_and_a_nearly_full_one_warns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def with_free(free: int, total: int) -> CheckResult:
        monkeypatch.setattr(shutil, "disk_usage", lambda place: Usage(total, total - free, free))
        (found,) = resources.check_disk(settings(tmp_path))
        return found

    assert with_free(10 << 20, 100 << 30).status == "fail"
    assert with_free(5 << 30, 100 << 30).status == "warn"
    assert with_free(50 << 30, 100 << 30).status == "ok"


def test_a_data_directory_that_is_a_file_fails(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    (found,) = resources.check_disk(settings(file / "below"))
    assert (found.name, found.status) == ("data directory", "fail")


def test_a_clock_behind_the_certificates_fails(tmp_path: Path) -> None:
    certificate = tmp_path / "pki" / "ca.crt"
    certificate.parent.mkdir()
    certificate.write_text("")
    (before,) = resources.check_clock(settings(tmp_path))
    later = time.time() + 86400
    os.utime(certificate, (later, later))
    (after,) = resources.check_clock(settings(tmp_path))
    assert (before.status, after.status) == ("ok", "fail")


def test_installing_speaks_the_machines_language(monkeypatch: pytest.MonkeyPatch) -> None:
    for manager, command in (
        ("apt-get", "apt-get install -y iproute2 runc"),
        ("dnf", "dnf install -y iproute runc"),
        ("none", "install iproute2 runc with this machine's package manager"),
    ):
        monkeypatch.setattr(result, "find_program", lambda name, there=manager: name if name == there else None)
        assert result.install("iproute2", "runc") == command


def test_a_check_that_breaks_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: ClusterSettings) -> list[CheckResult]:
        raise RuntimeError("no such file")

    monkeypatch.setattr(checks, "_checks", lambda: [("odd", broken)])
    (found,) = checks.run_checks(settings(tmp_path))
    assert (found.name, found.status) == ("odd", "warn")
    assert "no such file" in found.message


def test_local_storage_names_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs = {*storage.EXT4, *storage.XFS}
    monkeypatch.setattr(storage, "find_program", lambda name: f"/sbin/{name}" if name in programs else None)
    monkeypatch.setattr(storage, "has_loop_devices", lambda: True)
    monkeypatch.setattr(storage, "has_capability", lambda number: True)

    def check() -> CheckResult:
        return named(list(storage.check(settings(tmp_path))), "local storage")

    assert (check().status, check().message) == ("ok", f"ext4, xfs, in {tmp_path}/storage")
    programs -= {*storage.XFS}
    assert (check().status, check().message) == ("ok", f"ext4, in {tmp_path}/storage")
    monkeypatch.setattr(storage, "has_capability", lambda number: False)
    assert check().status == "warn"
    assert "CAP_SYS_RESOURCE" in check().message
    programs.clear()
    assert "e2fsprogs" in check().fix
    monkeypatch.setattr(storage, "has_loop_devices", lambda: False)
    assert "no loop devices" in check().message
    assert list(storage.check(settings(tmp_path, local_storage=False))) == []
