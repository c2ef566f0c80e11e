"""Services: cluster addresses and node ports are given out once, also in races, and come back ("Service", KEP-3070)."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.integration.apiserver.api import MERGE, SERVICES, Answer, Api, Doc, service
from tiphys.api.core import v1 as core
from tiphys.api.core.service import validate_service_update as validate_update
from tiphys.store.sqlite import SqliteStore
from tiphys.testing import eventually
from tiphys.testing.api_server import running_api_server

RANGE = "10.96.0.0/26"
"""64 addresses: 62 of them can be given out, and the system takes .1 and .10."""
FREE = 60
PORTS = range(30000, 30010)


@pytest.fixture
async def api(keys: Path, tmp_path: Path) -> AsyncIterator[Api]:
    store = SqliteStore(tmp_path / "server.db")
    async with running_api_server(keys, store=store, service_range=RANGE, node_ports=PORTS) as (server, _):
        yield Api(server)


def ip(answer: Answer) -> str:
    spec = answer.doc["spec"]
    assert spec["clusterIPs"] == [spec["clusterIP"]]
    return str(spec["clusterIP"])


def node_ports(answer: Answer) -> list[int]:
    return [port.get("nodePort", 0) for port in answer.doc["spec"]["ports"]]


async def test_a_service_gets_an_address(api: Api) -> None:
    made = await api.post(SERVICES, service("a"))
    assert ip_address(ip(made)) in ip_network(RANGE)
    spec = made.doc["spec"]
    assert (spec["type"], spec["ipFamilies"], spec["ipFamilyPolicy"]) == ("ClusterIP", ["IPv4"], "SingleStack")
    assert node_ports(made) == [0]


async def test_no_address_is_given_twice_and_the_last_one_is_found(api: Api) -> None:
    answers = await asyncio.gather(*(api.post(SERVICES, service(f"s{n}")) for n in range(FREE + 10)))
    made = [answer for answer in answers if answer.status == 201]
    assert len(made) == FREE
    assert len({ip(answer) for answer in made}) == FREE
    refused = [answer for answer in answers if answer.status != 201]
    assert {answer.status for answer in refused} == {500}
    assert 'failed to allocate a serviceIP for Service "s' in refused[0].message
    assert "range is full" in refused[0].message
    freed = made[7]
    assert (await api.delete(f"{SERVICES}/{freed.doc['metadata']['name']}")).status == 200
    again = await api.post(SERVICES, service("again"))
    assert ip(again) == ip(freed)


async def test_one_of_many_gets_the_address_they_all_ask_for(api: Api) -> None:
    answers = await asyncio.gather(*(api.post(SERVICES, service(f"s{n}", clusterIP="10.96.0.33")) for n in range(10)))
    assert Counter(answer.status for answer in answers) == {201: 1, 422: 9}
    refused = next(answer for answer in answers if answer.status == 422)
    assert "failed to allocate IP 10.96.0.33: provided IP is already allocated" in refused.message


async def test_a_failed_create_keeps_nothing(api: Api) -> None:
    await api.post(SERVICES, service("a"))
    wanted = service("a", clusterIP="10.96.0.40", type="NodePort", ports=[{"port": 80, "nodePort": 30003}])
    assert (await api.post(SERVICES, wanted)).reason == "AlreadyExists"
    assert (await api.post(f"{SERVICES}?dryRun=All", {**wanted, "metadata": {"name": "b"}})).status == 201
    half = service("c", clusterIP="10.96.0.40", type="NodePort", ports=[{"port": 80, "nodePort": 29000}])
    assert (await api.post(SERVICES, half)).status == 422
    assert (await api.post(SERVICES, {**wanted, "metadata": {"name": "d"}})).status == 201


@pytest.mark.parametrize("address", ["10.97.0.1", "nonsense", "10.96.0.1", "::1"])
async def test_addresses_that_cannot_be_had(api: Api, address: str) -> None:
    refused = await api.post(SERVICES, service("a", clusterIP=address))
    assert (refused.status, refused.reason) == (422, "Invalid")


async def test_node_ports_in_a_race(api: Api) -> None:
    """Two ports for each of six services out of ten: five get theirs."""
    two = [{"name": "a", "port": 80}, {"name": "b", "port": 81}]
    answers = await asyncio.gather(*(api.post(SERVICES, service(f"s{n}", type="NodePort", ports=two)) for n in range(6)))
    given = [port for answer in answers if answer.status == 201 for port in node_ports(answer)]
    assert sorted(given) == list(PORTS)
    assert Counter(answer.status for answer in answers) == {201: 5, 500: 1}
    # The refused one left neither a port nor an address behind.
    await api.delete(f"{SERVICES}/{next(a.doc['metadata']['name'] for a in answers if a.status == 201)}")
    assert (await api.post(SERVICES, service("next", type="NodePort", ports=two))).status == 201


async def test_a_protocol_has_its_own_ports(api: Api) -> None:
    both: list[dict[str, Any]] = [
        {"name": "t", "port": 53, "protocol": "TCP", "nodePort": 30005},
        {"name": "u", "port": 53, "protocol": "UDP", "nodePort": 30005},
    ]
    assert (await api.post(SERVICES, service("dns", type="NodePort", ports=both))).status == 201
    refused = await api.post(SERVICES, service("other", type="NodePort", ports=both[:1]))
    assert (refused.status, refused.reason) == (422, "Invalid")
    assert "provided port is already allocated" in refused.message
    outside = await api.post(SERVICES, service("outside", type="NodePort", ports=[{"port": 80, "nodePort": 80}]))
    assert "The range of valid ports is 30000-30009" in outside.message


async def test_an_update_keeps_what_it_does_not_mention(api: Api) -> None:
    made = await api.post(SERVICES, service("a", type="NodePort"))
    replaced = await api.put(f"{SERVICES}/a", service("a", type="NodePort", ports=[{"port": 80}, {"name": "more", "port": 81}]))
    assert replaced.status in (200, 422)
    named = await api.put(f"{SERVICES}/a", service("a", type="NodePort", ports=[{"port": 80}], sessionAffinity="ClientIP"))
    assert (named.status, ip(named), node_ports(named)) == (200, ip(made), node_ports(made))


async def test_changes_of_type_take_and_give_back(api: Api) -> None:
    made = await api.post(SERVICES, service("a"))
    opened = await api.patch(f"{SERVICES}/a", {"spec": {"type": "NodePort"}})
    (port,) = node_ports(opened)
    assert port in PORTS
    assert ip(opened) == ip(made)
    closed = await api.patch(f"{SERVICES}/a", {"spec": {"type": "ClusterIP"}})
    assert node_ports(closed) == [0]
    assert (await api.post(SERVICES, service("b", type="NodePort", ports=[{"port": 1, "nodePort": port}]))).status == 201
    outside = await api.patch(f"{SERVICES}/a", {"spec": {"type": "ExternalName", "externalName": "example.com", "clusterIP": None}})
    assert outside.status == 200, outside.message
    assert "clusterIP" not in outside.doc["spec"]
    assert (await api.post(SERVICES, service("c", clusterIP=ip(made)))).status == 201
    inside = await api.patch(f"{SERVICES}/a", {"spec": {"type": "ClusterIP", "externalName": None}})
    assert ip(inside) not in ("", ip(made))


BALANCED: dict[str, Any] = {"type": "LoadBalancer", "externalTrafficPolicy": "Local"}


async def test_a_health_check_port_is_allocated_kept_and_given_back(api: Api) -> None:
    made = await api.post(SERVICES, service("a", **BALANCED))
    port = made.doc["spec"]["healthCheckNodePort"]
    assert port in PORTS
    assert [port] != node_ports(made)
    replaced = await api.put(f"{SERVICES}/a", service("a", **BALANCED))
    assert replaced.doc["spec"]["healthCheckNodePort"] == port
    moved = await api.patch(f"{SERVICES}/a", {"spec": {"healthCheckNodePort": port + 1}})
    assert "spec.healthCheckNodePort: Forbidden: field is immutable" in moved.message
    taken = await api.post(SERVICES, service("b", healthCheckNodePort=port, **BALANCED))
    where = f"failed to allocate requested HealthCheck NodePort {port}"
    assert (taken.status, taken.message) == (500, f"Internal error occurred: {where}: provided port is already allocated")
    closed = await api.patch(f"{SERVICES}/a", {"spec": {"externalTrafficPolicy": "Cluster"}})
    assert "healthCheckNodePort" not in closed.doc["spec"]
    given = await api.post(SERVICES, service("b", healthCheckNodePort=port, **BALANCED))
    assert given.doc["spec"]["healthCheckNodePort"] == port


@pytest.mark.parametrize("port", [-1, 5, 99999])
async def test_health_check_ports_outside_the_range(api: Api, port: int) -> None:
    refused = await api.post(SERVICES, service("a", healthCheckNodePort=port, **BALANCED))
    assert refused.status == 500
    assert (
        f"HealthCheck NodePort {port}: provided port is not in the valid range. The range of valid ports is 30000-30009" in refused.message
    )


async def test_a_health_check_port_is_none_of_the_node_ports(api: Api) -> None:
    ports = [{"port": 80, "nodePort": 30005}]
    refused = await api.post(SERVICES, service("a", healthCheckNodePort=30005, ports=ports, **BALANCED))
    assert (refused.status, "already allocated" in refused.message) == (500, True)
    assert (await api.post(SERVICES, service("a", type="LoadBalancer", ports=ports))).status == 201
    refused = await api.patch(f"{SERVICES}/a", {"spec": {"externalTrafficPolicy": "Local", "healthCheckNodePort": 30005}})
    assert (refused.status, "already allocated" in refused.message) == (500, True)


async def test_a_balancer_without_node_ports_gets_a_health_check_port_alone(api: Api) -> None:
    made = await api.post(SERVICES, service("a", allocateLoadBalancerNodePorts=False, **BALANCED))
    assert node_ports(made) == [0]
    assert made.doc["spec"]["healthCheckNodePort"] in PORTS


async def test_the_address_of_a_service_stays(api: Api) -> None:
    await api.post(SERVICES, service("a"))
    moved = await api.patch(f"{SERVICES}/a", {"spec": {"clusterIP": "10.96.0.50", "clusterIPs": ["10.96.0.50"]}})
    assert (moved.status, moved.reason) == (422, "Invalid")


async def test_headless_services_take_no_address(api: Api) -> None:
    made = await api.post(SERVICES, service("a", clusterIP="None"))
    assert ip(made) == "None"


async def test_a_caller_that_gives_up_does_not_free_what_its_write_takes(api: Api) -> None:
    """Cancelled in the middle of the commit, the write still happens: nobody else may get its address meanwhile."""
    tasks = [asyncio.create_task(api.post(SERVICES, service(f"s{n}"))) for n in range(FREE // 2)]
    await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.gather(*(api.post(SERVICES, service(f"t{n}")) for n in range(FREE // 2)))

    async def settled() -> bool:
        items = (await api.get("/api/v1/services")).doc["items"]
        addresses = [item["spec"]["clusterIP"] for item in items]
        assert len(addresses) == len(set(addresses))
        return len(addresses) >= FREE // 2

    await eventually(settled)


async def test_a_restart_remembers_what_is_taken(keys: Path, tmp_path: Path) -> None:
    path = tmp_path / "again.db"
    async with running_api_server(keys, store=SqliteStore(path), service_range=RANGE, node_ports=PORTS) as (server, _):
        made = await Api(server).post(SERVICES, service("a", type="NodePort"))
        balanced = await Api(server).post(SERVICES, service("l", **BALANCED))
    async with running_api_server(keys, store=SqliteStore(path), service_range=RANGE, node_ports=PORTS) as (server, _):
        api = Api(server)
        refused = await api.post(SERVICES, service("b", clusterIP=ip(made)))
        assert refused.reason == "Invalid"
        ports = [{"port": 80, "nodePort": node_ports(made)[0]}]
        assert (await api.post(SERVICES, service("b", type="NodePort", ports=ports))).reason == "Invalid"
        checked = await api.post(SERVICES, service("m", healthCheckNodePort=balanced.doc["spec"]["healthCheckNodePort"], **BALANCED))
        assert "provided port is already allocated" in checked.message


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"ipFamilies": ["IPv6"]}, 'spec.ipFamilies[0]: Invalid value: "IPv6": not configured on this cluster'),
        (
            {"ipFamilies": ["IPv4", "IPv6"], "ipFamilyPolicy": "PreferDualStack"},
            'spec.ipFamilies[1]: Invalid value: "IPv6": not configured on this cluster',
        ),
        (
            {"ipFamilies": ["IPv4", "IPv6"]},
            "spec.ipFamilyPolicy: Invalid value: \"SingleStack\": must be 'RequireDualStack' or 'PreferDualStack' when multiple",
        ),
        (
            {"ipFamilyPolicy": "RequireDualStack"},
            'spec.ipFamilyPolicy: Invalid value: "RequireDualStack": this cluster is not configured for dual-stack services',
        ),
        ({"clusterIP": "fd00::1"}, 'spec.clusterIPs[0]: Invalid value: ["fd00::1"]: IPv6 is not configured on this cluster'),
        ({"clusterIP": "None", "selector": {"a": "b"}, "ipFamilies": ["IPv6"]}, 'spec.ipFamilies[0]: Invalid value: "IPv6"'),
    ],
)
async def test_families_that_the_cluster_does_not_have_are_refused(api: Api, spec: Doc, said: str) -> None:
    refused = await api.post(SERVICES, {"metadata": {"name": "six"}, "spec": {"ports": [{"port": 80}], **spec}})
    assert refused.status == 422, refused.body
    assert said in refused.message
    made = await api.post(SERVICES, service("web"))
    changed = await api.patch(f"{SERVICES}/web", {"spec": {"ipFamilyPolicy": "RequireDualStack"}}, MERGE)
    assert (made.status, changed.status) == (201, 422)
    assert (await api.patch(f"{SERVICES}/web", {"spec": {"ipFamilyPolicy": "PreferDualStack"}}, MERGE)).status == 200


async def test_a_headless_service_without_selector_has_endpoints_of_any_family(api: Api) -> None:
    made = await api.post(SERVICES, {"metadata": {"name": "h"}, "spec": {"clusterIP": "None", "ports": [{"port": 80}]}})
    assert made.doc["spec"]["ipFamilies"] == ["IPv4", "IPv6"]


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"externalIPs": ["192.0.2.01"]}, 'spec.externalIPs[0]: Invalid value: "192.0.2.01": must not have leading 0s'),
        ({"externalIPs": ["x"]}, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"),
        ({"clusterIP": "10.96.00.9"}, "must not have leading 0s"),
        (
            {"loadBalancerSourceRanges": ["192.0.2.1/24"]},
            'Invalid value: "192.0.2.1/24": must not have bits set beyond the prefix length',
        ),
        ({"loadBalancerSourceRanges": ["192.0.02.0/24"]}, "must not have leading 0s in IP or prefix length"),
        ({"loadBalancerSourceRanges": ["192.0.2.0"]}, "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"),
    ],
)
async def test_addresses_that_programs_read_differently_are_refused(api: Api, spec: Doc, said: str) -> None:
    body = {"ports": [{"port": 80}], **({"type": "LoadBalancer"} if "loadBalancerSourceRanges" in spec else {}), **spec}
    refused = await api.post(SERVICES, {"metadata": {"name": "odd"}, "spec": body})
    assert refused.status == 422
    assert said in refused.message


def test_an_odd_range_may_stay_where_it_is() -> None:
    old = msgspec.convert({"spec": {"loadBalancerSourceRanges": ["192.0.2.1/24"]}}, core.Service)
    new = msgspec.convert({"spec": {"loadBalancerSourceRanges": ["192.0.2.1/24", "192.0.3.1/24"]}}, core.Service)
    assert [error.field for error in validate_update(new, old)] == ["spec.LoadBalancerSourceRanges[1]"]
