"""The configuration texts we write for containerd and for the network plugins."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tiphys.node.runtime.cni import networks, write_cni_config
from tiphys.node.runtime.config import ContainerdConfig, render


def config(**changes: Any) -> dict[str, Any]:
    given: dict[str, Any] = {
        "root": Path("/state/containerd"),
        "state": Path("/run/t/containerd"),
        "socket": Path("/run/t/containerd.sock"),
        "cni_conf_dir": Path('/odd "dir"/net.d'),
        "cni_bin_dir": "/usr/lib/cni",
        "registry_dir": Path("/state/certs.d"),
        **changes,
    }
    return tomllib.loads(render(ContainerdConfig(**given)))


def test_the_text_is_toml_with_our_paths() -> None:
    made = config()
    cri = made["plugins"]["io.containerd.grpc.v1.cri"]
    assert (made["version"], made["root"], made["state"]) == (2, "/state/containerd", "/run/t/containerd")
    assert made["grpc"]["address"] == "/run/t/containerd.sock"
    assert cri["cni"] == {"bin_dir": "/usr/lib/cni", "conf_dir": '/odd "dir"/net.d', "max_conf_num": 1}
    assert cri["sandbox_image"] == "tiphys.local/pause:1"
    assert cri["stream_server_address"] == "127.0.0.1"
    assert cri["containerd"]["runtimes"]["runc"]["options"] == {"SystemdCgroup": False, "Root": "/run/t/runc"}


@pytest.mark.parametrize(("restricted", "score"), [(True, 0), (False, -999)])
def test_without_the_capability_no_score_below_ours_is_asked_for(restricted: bool, score: int) -> None:
    made = config(restrict_oom_score_adj=restricted)
    assert made["oom_score"] == score
    assert made["plugins"]["io.containerd.grpc.v1.cri"]["restrict_oom_score_adj"] is restricted


def test_the_pod_network_is_a_bridge_with_host_ports(tmp_path: Path) -> None:
    path = write_cni_config(tmp_path / "net.d", bridge="tiphys0", pod_cidr="10.42.3.0/24", mtu=1450)
    made = json.loads(path.read_text())
    bridge, portmap = made["plugins"]
    assert bridge["ipam"] == {
        "type": "host-local",
        "dataDir": str(tmp_path / "ipam"),
        "ranges": [[{"subnet": "10.42.3.0/24"}]],
    }
    assert (bridge["bridge"], bridge["isDefaultGateway"], bridge["hairpinMode"], bridge["ipMasq"], bridge["mtu"]) == (
        "tiphys0", True, True, False, 1450,
    )  # fmt: skip
    assert portmap["capabilities"] == {"portMappings": True}
    assert networks(tmp_path / "net.d") == [("tiphys0", "tiphys0", ["10.42.3.0/24"])]


def test_two_ranges_are_dual_stack_and_host_ports_can_be_left_out(tmp_path: Path) -> None:
    path = write_cni_config(tmp_path, pod_cidr="10.42.3.0/24, fd00:42::/64", host_ports=False, name="pods")
    (bridge,) = json.loads(path.read_text())["plugins"]
    assert [part["subnet"] for ranges in bridge["ipam"]["ranges"] for part in ranges] == ["10.42.3.0/24", "fd00:42::/64"]
    assert json.loads(path.read_text())["name"] == "pods"


def test_the_file_is_only_touched_when_it_changes(tmp_path: Path) -> None:
    path = write_cni_config(tmp_path, pod_cidr="10.42.3.0/24")
    first = path.stat().st_ino
    assert write_cni_config(tmp_path, pod_cidr="10.42.3.0/24").stat().st_ino == first
    assert write_cni_config(tmp_path, pod_cidr="10.42.4.0/24").stat().st_ino != first
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize(
    ("bridge", "cidr"), [("tiphys0", "10.42.3.1/24"), ("tiphys0", "pods"), ("sixteen-letters-x", "10.42.3.0/24"), ("", "10.42.3.0/24")]
)
def test_nonsense_is_refused_before_anything_is_written(tmp_path: Path, bridge: str, cidr: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        write_cni_config(tmp_path, bridge=bridge, pod_cidr=cidr)
    assert list(tmp_path.iterdir()) == []


def test_a_broken_file_in_the_directory_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "00-broken.conflist").write_text("{")
    (tmp_path / "01-other.conflist").write_text('{"name": "x", "plugins": [{"type": "ptp"}]}')
    assert networks(tmp_path) == []
