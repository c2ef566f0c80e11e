from __future__ import annotations

import pytest

from tests.unit.proxy.make import CONTEXT, GONE, LEAVING, only, piece, plan, port, service
from tiphys.api.core import v1 as core
from tiphys.api.discovery import v1 as discovery
from tiphys.proxy.plan import Endpoint, Frontend


def addresses(endpoints: tuple[Endpoint, ...]) -> list[str]:
    return [endpoint.address for endpoint in endpoints]


def test_a_cluster_address_leads_to_the_endpoints_of_its_port() -> None:
    made = only(service(), piece("10.42.0.6", "10.42.0.5"))
    assert made.frontends == ((Frontend("10.43.0.20", "tcp", 80), "inside"),)
    assert made.everywhere == (Endpoint("10.42.0.5", 8080), Endpoint("10.42.0.6", 8080))
    assert made.name == "default/web:http"


def test_every_way_in_is_a_frontend() -> None:
    web = service(type="LoadBalancer", ports=[port(node_port=30080)], externalIPs=["192.0.2.7", "2001:db8::1"])
    web.status = core.ServiceStatus(
        loadBalancer=core.LoadBalancerStatus(
            ingress=[
                core.LoadBalancerIngress(ip="192.0.2.8"),
                core.LoadBalancerIngress(ip="192.0.2.9", ipMode="Proxy"),
                core.LoadBalancerIngress(hostname="lb.example.org"),
            ]
        )
    )
    assert only(web).frontends == (
        (Frontend("10.43.0.20", "tcp", 80), "inside"),
        (Frontend("192.0.2.7", "tcp", 80), "outside"),
        (Frontend("192.0.2.8", "tcp", 80), "balancer"),
        (Frontend("", "tcp", 30080), "outside"),
    )
    web.spec.type = "NodePort"
    assert "balancer" not in {access for _, access in only(web).frontends}, "the status of what it was before"


@pytest.mark.parametrize(
    "nothing",
    [
        service(ip="None"),
        service(ip=""),
        service(ip="", type="ExternalName", externalName="example.org"),
        service(ip="fd00::1"),
        service(ip="10.43.0.10"),
    ],
    ids=["headless", "no address yet", "alias", "IPv6", "answered by the node"],
)
def test_some_services_need_no_translation(nothing: core.Service) -> None:
    assert plan(nothing, piece("10.42.0.5")) == ()


def test_ports_are_matched_by_name_and_protocol() -> None:
    dns = service(ports=[port(53, name="dns", protocol="UDP"), port(53, name="dns-tcp"), port(9153, name="metrics")])
    made = plan(
        dns,
        piece("10.42.0.5", name="dns", number=1053, protocol="UDP"),
        piece("10.42.0.5", name="dns-tcp", number=2053, protocol=None),
        piece("10.42.0.5", name="dns", number=7, protocol="TCP"),
        piece("10.42.0.5", name="metrics", number=None),
    )
    assert [[endpoint.port for endpoint in one.everywhere] for one in made] == [[1053], [2053], []]
    assert [one.protocol for one in made] == ["udp", "tcp", "tcp"]
    assert len({one.digest for one in made}) == 3


def test_only_ready_endpoints_count_while_there_are_any() -> None:
    assert addresses(only(service(), piece("10.42.0.5"), piece("10.42.0.6", conditions=LEAVING)).everywhere) == ["10.42.0.5"]
    assert addresses(only(service(), piece("10.42.0.6", conditions=LEAVING)).everywhere) == ["10.42.0.6"]
    assert only(service(), piece("10.42.0.6", conditions=GONE)).everywhere == ()
    unready = discovery.EndpointConditions(ready=False)
    assert only(service(), piece("10.42.0.6", conditions=unready)).everywhere == ()
    unknown = discovery.EndpointConditions()
    assert addresses(only(service(), piece("10.42.0.6", conditions=unknown)).everywhere) == ["10.42.0.6"]


def test_endpoints_of_this_node_are_known_apart_with_their_own_fallback() -> None:
    made = only(service(), piece("10.42.1.5", node="n2"), piece("10.42.0.5", conditions=LEAVING))
    assert addresses(made.everywhere) == ["10.42.1.5"]
    assert addresses(made.here) == ["10.42.0.5"]


def test_an_endpoint_in_two_slices_counts_once() -> None:
    assert len(only(service(), piece("10.42.0.5"), piece("10.42.0.5", "10.42.0.6")).everywhere) == 2


def test_only_ipv4_reaches_the_rules() -> None:
    made = only(service(), piece("fd00::5", family="IPv6"), piece("10.42.0.5", "fd00::6", "10.42.0.7 } drop", "10.42.0"))
    assert addresses(made.everywhere) == ["10.42.0.5"]
    balanced = service(type="LoadBalancer", loadBalancerSourceRanges=["192.0.2.0/24", " 198.51.100.7/24", "::/0", "x; flush ruleset"])
    assert only(balanced).sources == ("192.0.2.0/24", "198.51.100.0/24")


def test_affinity_and_policies() -> None:
    assert only(service()).affinity == 0
    assert only(service(sessionAffinity="ClientIP")).affinity == 10800
    config = core.SessionAffinityConfig(clientIP=core.ClientIPConfig(timeoutSeconds=9))
    assert only(service(sessionAffinity="ClientIP", sessionAffinityConfig=config)).affinity == 9
    local = only(service(internalTrafficPolicy="Local", externalTrafficPolicy="Local"))
    assert (local.inside_local, local.outside_local) == (True, True)
    assert (only(service()).inside_local, only(service()).outside_local) == (False, False)


def test_the_api_servers_service_may_lead_to_loopback() -> None:
    context = CONTEXT._replace(local_api=Endpoint("127.0.0.1", 6443))
    endpoints = piece("192.0.2.2", name="https", number=6443)
    api = service("kubernetes", ip="10.43.0.1", ports=[port(443, name="https")])
    assert only(api, endpoints, context=context).everywhere == (Endpoint("127.0.0.1", 6443),)
    assert only(api, endpoints).everywhere == (Endpoint("192.0.2.2", 6443),)
    assert only(service(), piece("10.42.0.5"), context=context).everywhere == (Endpoint("10.42.0.5", 8080),)


LEFT_ALONE = ("service.kubernetes.io/service-proxy-name", "service.kubernetes.io/headless")


@pytest.mark.parametrize("label", LEFT_ALONE)
@pytest.mark.parametrize("value", ["other", ""])
def test_a_service_of_another_proxy_has_no_plan(label: str, value: str) -> None:
    web, slices = service(ports=[port(node_port=30080)]), piece("10.42.0.5")
    web.metadata.labels = {label: value}
    assert plan(web, slices) == ()
    web.metadata.labels = {}
    assert len(plan(web, slices)) == 1, "the label went"


@pytest.mark.parametrize("label", LEFT_ALONE)
def test_a_slice_of_another_proxy_has_no_endpoints(label: str) -> None:
    own, other = piece("10.42.0.5"), piece("10.42.0.6")
    other.metadata.labels = {label: ""}
    assert addresses(only(service(), own, other).everywhere) == ["10.42.0.5"]
