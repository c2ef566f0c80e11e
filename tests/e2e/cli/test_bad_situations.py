"""Problems of the machine end in one clear sentence with its fix, never in a traceback, and leave nothing running."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.cli.machine import settings_of, traces
from tiphys.testing.cluster import Cluster, run, wait_for
from tiphys.testing.kubectl import CommandFailed, Done

NOBODY = 65534


def fails(cluster: Cluster, *options: str) -> str:
    """Run `tiphys up`, which must fail, and return its message."""
    with pytest.raises(CommandFailed) as caught:
        cluster.up(*options)
    text = str(caught.value)
    assert "Traceback" not in text
    return text


def assert_nothing_runs(cluster: Cluster, *, but: str = "") -> None:
    """No process, mount or network of the cluster is there, apart from processes of the program `but`."""
    found = traces(cluster)
    found["processes"] = {process for process in found["processes"] if not but or but not in process}
    assert {kind: found[kind] for kind in ("processes", "links", "routes", "nft tables", "cgroups") if found[kind]} == {}


@contextmanager
def listening(port: int, address: str = "127.0.0.1") -> Iterator[None]:
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind((address, port))
        holder.listen()
        yield


def test_api_port_in_use(slot: Cluster) -> None:
    with listening(slot.port):
        said = fails(slot)
    assert f"127.0.0.1:{slot.port} is in use by process {os.getpid()}" in said
    assert "--secure-port" in said
    assert_nothing_runs(slot)


def test_kubelet_port_in_use(slot: Cluster) -> None:
    with listening(slot.kubelet_port, "0.0.0.0"):
        said = fails(slot)
    assert f"0.0.0.0:{slot.kubelet_port} is in use by process {os.getpid()}" in said
    assert "--kubelet-port" in said


def test_server_alone_on_a_port_in_use(slot: Cluster) -> None:
    with listening(slot.port):
        done = slot.tiphys("server", "--secure-port", str(slot.port), check=False)
    assert done.code == 78
    assert f"127.0.0.1:{slot.port} is in use" in done.err
    assert "Traceback" not in done.err


def as_nobody(*arguments: str) -> Done:
    """Run the command line as the user nobody. The modules are loaded before, because nobody may not be able to read them."""
    script = (
        "import os, sys, tiphys.cli.up, tiphys.cli.doctor, tiphys.daemon.failures, tiphys.client.kubeconfig;"
        "from tiphys.cli.main import main;"
        "from tiphys.cli.checks import cgroups, kernel, network, ports, programs, resources; from tiphys.daemon import host;"
        f"os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY});"
        "main()"
    )
    return run(sys.executable, "-c", script, *arguments, check=False, env={"HOME": "/nonexistent", "XDG_STATE_HOME": ""})


def test_no_root() -> None:
    done = as_nobody("up")
    assert done.code == 78
    assert "root: containers need root" in done.err
    assert "fix: sudo " in done.err
    assert "Traceback" not in done.err
    doctor = as_nobody("doctor")
    assert doctor.code == 1
    assert "containers need root" in doctor.out


@pytest.mark.parametrize(("program", "package"), [("nft", "nftables"), ("containerd", "containerd"), ("runc", "runc")])
def test_missing_package(slot: Cluster, program: str, package: str) -> None:
    done = run(*without(program), sys.executable, "-m", "tiphys", "up", "--data-dir", str(slot.data_dir), check=False)
    assert done.code == 78
    assert f"{program}: not installed" in done.err
    assert f"apt-get install -y {package}" in done.err
    assert "Traceback" not in done.err
    assert_nothing_runs(slot)


def test_missing_network_plugins(slot: Cluster, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    hide = [f"mount --bind {empty} {place}" for place in ("/usr/lib/cni", "/opt/cni/bin", "/usr/libexec/cni") if Path(place).is_dir()]
    command = ["unshare", "--mount", "sh", "-c", " && ".join([*hide, 'exec "$@"']), "sh"]
    done = run(*command, sys.executable, "-m", "tiphys", "doctor", "--data-dir", str(slot.data_dir), check=False)
    assert done.code == 1
    assert "apt-get install -y containernetworking-plugins" in done.out


def without(program: str) -> list[str]:
    """The start of a command line that runs the rest where a program is not there, for it alone."""
    places = [Path(directory, program) for directory in [*os.environ["PATH"].split(":"), "/usr/sbin", "/usr/bin", "/usr/local/bin"]]
    found = sorted({str(place.resolve()) for place in places if place.exists()})
    assert found
    hide = " && ".join(f"mount --bind /dev/null {place}" for place in found)
    return ["unshare", "--mount", "sh", "-c", f'{hide} && exec "$@"', "sh"]


@contextmanager
def small_disk(place: Path, size: str) -> Iterator[None]:
    place.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tiphys-test", str(place)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def test_full_disk(slot: Cluster, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "64m"):
        done = run(sys.executable, "-m", "tiphys", "up", "--data-dir", str(tmp_path / "disk" / "data"), check=False)
    assert done.code == 78
    assert "not enough space: 64 MiB of 64 MiB free" in done.err
    assert "--data-dir" in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize("size", ["16k", "128k"])
def test_server_on_a_full_disk(slot: Cluster, tmp_path: Path, size: str) -> None:
    with small_disk(tmp_path / "disk", size):
        command = [sys.executable, "-m", "tiphys", "server", "--data-dir", str(tmp_path / "disk"), "--secure-port", str(slot.port)]
        done = run(*command, check=False)
    assert done.code != 0
    assert "full" in done.err
    assert "Traceback" not in done.err


def test_corrupt_database(slot: Cluster) -> None:
    (slot.data_dir / "server.db").write_bytes(b"this was a database once" * 100)
    said = fails(slot)
    assert "server.db is not a Tiphys store" in said
    assert "snapshot restore" in said
    assert_nothing_runs(slot, but="containerd")
    done = slot.tiphys("server", "--secure-port", str(slot.port), check=False)
    assert done.code == 78
    assert "server.db is not a Tiphys store" in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize("verb", [("up",), ("status",), ("doctor",), ("server",), ("node",), ("down",), ("token", "create", "default")])
def test_damaged_settings(slot: Cluster, verb: tuple[str, ...]) -> None:
    (slot.data_dir / "settings.json").write_text('{"data_dir": 7')
    done = slot.tiphys(*verb, check=False)
    assert done.code == 78
    assert "settings.json cannot be read" in done.err
    assert "Traceback" not in done.err


def test_a_node_without_a_server_waits_and_can_be_stopped(slot: Cluster) -> None:
    command = [sys.executable, "-m", "tiphys", "node", "--data-dir", str(slot.data_dir)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as node:
        assert node.stderr is not None
        try:
            wait_for(lambda: settings_of(slot).run_dir.joinpath("containerd.pid").exists())
            assert node.poll() is None
        finally:
            node.terminate()
        said = node.stderr.read()
        assert (node.wait(timeout=20), "Traceback" in said) == (0, False)


def test_a_purge_needs_no_settings(slot: Cluster) -> None:
    (slot.data_dir / "settings.json").write_text("{")
    slot.down(purge=True)
    assert not slot.data_dir.exists()


@pytest.mark.parametrize(
    "verb", [("status",), ("kubectl", "get", "pods"), ("token", "create", "default"), ("snapshot", "save", "/dev/null/x")]
)
def test_no_cluster_is_said_in_words(slot: Cluster, verb: tuple[str, ...]) -> None:
    done = slot.tiphys(*verb, check=False)
    assert done.code != 0
    assert "tiphys up" in done.err + done.out or "no cluster has been started here" in done.out
    assert "Traceback" not in done.err


def test_a_data_directory_that_cannot_be_made(slot: Cluster) -> None:
    done = run(sys.executable, "-m", "tiphys", "up", "--data-dir", "/proc/tiphys", check=False)
    assert done.code == 78
    assert "--data-dir" in done.err
    assert "Traceback" not in done.err
