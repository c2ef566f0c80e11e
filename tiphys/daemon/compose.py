"""Settings of the components from those of the cluster, with the facts that only the composition knows. Pure."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tiphys.apiserver.settings import ApiServerSettings
from tiphys.daemon.pki import Pki
from tiphys.daemon.settings import ClusterSettings
from tiphys.node.certificates.store import SERVING
from tiphys.node.hollow.settings import HollowSettings
from tiphys.node.settings import NodeSettings
from tiphys.settings.option import extended

if TYPE_CHECKING:
    from tiphys.dns.settings import DnsSettings
    from tiphys.proxy.settings import ProxySettings


def api_server(settings: ClusterSettings, files: Pki, *, advertise: str) -> ApiServerSettings:
    """Return the settings of the API server, with the cluster's own certificates."""
    serving, kubelet = files.pair("apiserver"), files.pair("apiserver-kubelet-client")
    return extended(
        ApiServerSettings,
        settings.apiserver,
        advertise=advertise,
        certificate=serving.cert,
        key=serving.key,
        client_ca=files.ca,
        front_proxy_ca=settings.apiserver.front_proxy_ca or files.directory / "front-proxy-ca.crt",
        service_account_key=files.service_account.key,
        kubelet_certificate=kubelet.cert,
        kubelet_key=kubelet.key,
        local_kubelets={settings.node_name: ("127.0.0.1", settings.kubelet.port)},
        service_range=settings.network.service_range,
        node_ports=settings.network.node_port_range,
        issuer=settings.network.issuer,
        local_storage="" if not settings.local_storage.enabled else "hollow" if settings.is_hollow else "disk",
    )


def kubelet_settings(settings: ClusterSettings, *, socket: str, state: Path) -> NodeSettings:
    """Return the settings of the kubelet. `socket` and `state` are containerd's."""
    kubelet, certificates = settings.kubelet, settings.dir / "pki"
    certificate, key = serving_bootstrap(settings)
    if kubelet.server_tls_bootstrap:
        certificate = key = settings.node_pki_dir / f"{SERVING}-current.pem"
    return extended(
        NodeSettings,
        kubelet,
        name=settings.node_name,
        root=settings.node_dir,
        healthz_port=settings.healthz_port,
        tls_cert=certificate,
        tls_key=key,
        client_ca=kubelet.client_ca or certificates / "ca.crt",
        cluster_dns=kubelet.cluster_dns or (settings.network.dns_address,),
        domain=settings.network.domain,
        cgroup_parent=settings.cgroup_parent,
        containerd_socket=socket,
        containerd_state=state,
    )


def serving_bootstrap(settings: ClusterSettings) -> tuple[Path, Path]:
    """Return the files of the serving certificate and its key that the kubelet has without a request."""
    kubelet, certificates = settings.kubelet, settings.dir / "pki"
    return kubelet.tls_cert or certificates / "kubelet-server.crt", kubelet.tls_key or certificates / "kubelet-server.key"


def hollow(settings: ClusterSettings) -> HollowSettings:
    """Return the settings of hollow nodes, which share labels, taints and the number of pods with the kubelet's."""
    kubelet = settings.kubelet
    return extended(
        HollowSettings,
        settings.hollow,
        max_pods=kubelet.max_pods,
        labels=kubelet.labels,
        taints=kubelet.taints,
        local_storage=settings.local_storage.enabled,
    )


def proxy(settings: ClusterSettings) -> ProxySettings:
    """Return the settings of the service proxy."""
    from tiphys.proxy.plan import Endpoint
    from tiphys.proxy.settings import ProxySettings

    network, server = settings.network, settings.apiserver
    return ProxySettings(
        table=settings.nft_table,
        bridge=settings.bridge,
        pod_range=network.pod_range,
        service_range=network.service_range,
        node_name=settings.node_name,
        dns_address=network.dns_address,
        local_api=Endpoint("127.0.0.1", server.port) if server.bind == "127.0.0.1" else None,
    )


def dns(settings: ClusterSettings) -> DnsSettings:
    """Return the settings of cluster DNS."""
    from tiphys.dns.settings import DnsSettings

    network = settings.network
    return DnsSettings(
        address=network.dns_address,
        domain=network.domain,
        ranges=(network.pod_range, network.service_range),
        resolv_conf=settings.kubelet.resolv_conf,
    )
