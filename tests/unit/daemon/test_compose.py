"""Values that options and files set reach the components."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest

from tiphys.daemon import compose, pki
from tiphys.daemon.saved import cluster_settings
from tiphys.daemon.settings import ClusterSettings
from tiphys.node.settings import KubeletOptions
from tiphys.settings.layers import convert, to_builtins
from tiphys.settings.option import Field, fields

SAMPLES: dict[Any, Any] = {int: 7, str: "x", float: 9.0, Path: Path("/x"), bool: True}


def sample(type_: Any) -> Any:
    """A value of a type."""
    if type_ in SAMPLES:
        return SAMPLES[type_]
    inner = [one for one in get_args(type_) if one is not ...]
    if get_origin(type_) is Literal:
        return inner[-1]
    values = [sample(one) for one in inner]
    return {values[0]: values[1]} if get_origin(type_) is dict else tuple(values)


def other(field: Field) -> Any:
    """A value of a field's type that is not its default."""
    return sample(field.type)


def agent(settings: ClusterSettings) -> Any:
    return compose.kubelet_settings(settings, socket="/run/c.sock", state=Path("/run/c"))


@pytest.mark.parametrize("field", fields(KubeletOptions), ids=lambda field: field.name)
def test_every_setting_of_the_kubelet_reaches_the_agent(field: Field) -> None:
    settings = convert(ClusterSettings, {"data_dir": "/d", "kubelet": {field.name: to_builtins(other(field))}})
    assert getattr(agent(settings), field.name) == other(field)


def test_the_agent_has_the_facts_of_its_cluster(tmp_path: Path) -> None:
    settings = cluster_settings(tmp_path, node_name="n", service_cluster_ip_range="10.9.0.0/16", cluster_domain="x.test", kubelet_port=500)
    made = agent(settings)
    assert (made.name, made.root, made.domain, made.cluster_dns) == ("n", tmp_path / "node", "x.test", ("10.9.0.10",))
    assert (made.healthz_port, made.tls_cert, made.client_ca) == (498, tmp_path / "pki/kubelet-server.crt", tmp_path / "pki/ca.crt")
    assert (made.containerd_socket, made.cgroup_parent) == ("/run/c.sock", settings.cgroup_parent)


def server(tmp_path: Path, **options: Any) -> Any:
    made = pki.Pki(tmp_path / "pki", ())
    return compose.api_server(cluster_settings(tmp_path, **options), made, advertise="192.0.2.1")


def test_every_setting_of_the_api_server_reaches_it(tmp_path: Path) -> None:
    default = server(tmp_path)
    skipped = ("request_headers", "front_proxy_ca")
    for field in fields(type(cluster_settings(tmp_path).apiserver)):
        if field.name in skipped:
            continue
        assert field.option is not None
        made = server(tmp_path, **{field.option.name: other(field)})
        assert getattr(made, field.name) == other(field) != getattr(default, field.name)


def test_the_api_server_has_the_facts_of_its_cluster(tmp_path: Path) -> None:
    options = {"service_cluster_ip_range": "10.9.0.0/16", "service_node_port_range": "7-8", "cluster_domain": "x.test", "node_name": "n"}
    made = server(tmp_path, **options, kubelet_port=500, requestheader_username_headers=("X-Me",))
    assert (made.service_range, made.node_ports, made.issuer) == ("10.9.0.0/16", range(7, 9), "https://kubernetes.default.svc.x.test")
    assert (made.local_kubelets, made.request_headers.username) == ({"n": ("127.0.0.1", 500)}, ("X-Me",))
    assert made.front_proxy_ca == tmp_path / "pki" / "front-proxy-ca.crt"
    assert server(tmp_path, requestheader_client_ca_file=Path("/x")).front_proxy_ca == Path("/x")


def test_proxy_and_dns_follow_the_network(tmp_path: Path) -> None:
    options = {"cluster_cidr": "10.8.0.0/16", "service_cluster_ip_range": "10.9.0.0/16", "cluster_domain": "x.test", "secure_port": 7}
    settings = cluster_settings(tmp_path, **options, resolv_conf=Path("/x"))
    proxy, dns = compose.proxy(settings), compose.dns(settings)
    assert (proxy.pod_range, proxy.service_range, proxy.dns_address) == ("10.8.0.0/16", "10.9.0.0/16", "10.9.0.10")
    assert (proxy.table, proxy.bridge, proxy.local_api) == (settings.nft_table, settings.bridge, ("127.0.0.1", 7))
    assert (dns.address, dns.domain, dns.resolv_conf) == ("10.9.0.10", "x.test", Path("/x"))
    assert dns.ranges == ("10.8.0.0/16", "10.9.0.0/16")
    assert compose.proxy(cluster_settings(tmp_path, bind="0.0.0.0")).local_api is None


def test_local_storage_is_what_the_nodes_have(tmp_path: Path) -> None:
    assert server(tmp_path).local_storage == "disk"
    assert server(tmp_path, runtime="hollow").local_storage == "hollow"
    assert server(tmp_path, local_storage=False).local_storage == ""
    assert compose.hollow(cluster_settings(tmp_path)).local_storage
    assert not compose.hollow(cluster_settings(tmp_path, local_storage=False)).local_storage
    assert cluster_settings(tmp_path).local_storage_dir == tmp_path / "storage"
    assert cluster_settings(tmp_path, local_storage_dir=Path("/x")).local_storage_dir == Path("/x")
