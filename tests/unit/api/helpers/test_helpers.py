"""Requests of pods, their conditions, and addresses that Services keep."""

# One case to a line, however long.
# ruff: noqa: E501

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tiphys.api.core.v1 import PodCondition
from tiphys.api.helpers import pods
from tiphys.api.helpers.resources import pod_limits, pod_requests, qos_class

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def pod(server: Any, containers: str, init: str = "[]", more: str = "") -> Any:
    return server.create(
        f"{{apiVersion: v1, kind: Pod, metadata: {{name: a}}, spec: {{containers: {containers}, initContainers: {init}{more}}}}}"
    )


def box(name: str, resources: str, more: str = "") -> str:
    return f"{{name: {name}, image: i, resources: {resources}{more}}}"


def test_requests_with_init_containers_and_sidecars(server: Any) -> None:
    value = pod(
        server,
        f"[{box('a', '{requests: {cpu: 100m, memory: 1Gi}}')}, {box('b', '{requests: {cpu: 200m}}')}]",
        "["
        + ", ".join(
            [
                box("i", "{requests: {cpu: 250m, memory: 3Gi}}"),
                box("s", "{requests: {cpu: 100m, memory: 1Gi}}", ", restartPolicy: Always"),
                box("j", "{requests: {cpu: 500m}}"),
            ]
        )
        + "]",
    )
    # Beside the sidecar (100m) the second init container needs 600m; the containers and the sidecar need 400m and 2Gi, the first init 3Gi.
    assert pod_requests(value) == {"cpu": 600, "memory": 3 * 2**30}


def test_overhead_is_on_top_and_pod_level_resources_win(server: Any) -> None:
    value = pod(server, f"[{box('a', '{limits: {cpu: 500m}}')}]", more=", overhead: {cpu: 50m, memory: 1Mi}")
    assert pod_requests(value) == {"cpu": 550, "memory": 2**20}
    assert pod_limits(value) == {"cpu": 550}
    value = pod(server, f"[{box('a', '{requests: {cpu: 500m}}')}]", more=", resources: {requests: {cpu: '2'}}")
    assert pod_requests(value) == {"cpu": 2000}


@pytest.mark.parametrize(
    ("resources", "qos"),
    [
        (["{}"], "BestEffort"),
        (["{requests: {a.b/c: '1'}, limits: {a.b/c: '1'}}"], "BestEffort"),
        (["{requests: {cpu: 1m}}"], "Burstable"),
        (["{limits: {cpu: 1m, memory: 1Mi}}"], "Guaranteed"),
        (["{limits: {cpu: 1m, memory: 1Mi}, requests: {cpu: 1m, memory: 1024Ki}}"], "Guaranteed"),
        (["{limits: {cpu: 2m, memory: 1Mi}, requests: {cpu: 1m}}"], "Burstable"),
        (["{limits: {cpu: 1m, memory: 1Mi}}", "{}"], "Burstable"),
        (["{limits: {cpu: 1m}}"], "Burstable"),
    ],
)
def test_classes(server: Any, resources: list[str], qos: str) -> None:
    value = pod(server, "[" + ", ".join(box(f"c{i}", r) for i, r in enumerate(resources)) + "]")
    assert qos_class(value) == value.status.qosClass == qos


def test_readiness(server: Any) -> None:
    value = pod(server, f"[{box('a', '{}')}]")
    assert not pods.is_ready(value)
    value.status.conditions = [PodCondition(type="Ready", status="True", lastTransitionTime=NOW)]
    assert pods.is_ready(value)
    assert pods.is_available(value, 0, NOW)
    assert not pods.is_available(value, 10, NOW + timedelta(seconds=9))
    assert pods.is_available(value, 10, NOW + timedelta(seconds=10))
    assert pods.is_active(value)
    value.status.phase = "Succeeded"
    assert not pods.is_active(value)


SERVICE = "{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {type: NodePort, clusterIP: 10.43.0.7, ports: [{port: 80, nodePort: 30080}]}}"


def test_services_keep_their_addresses_and_ports(server: Any) -> None:
    old = server.create(SERVICE)
    sent = server.prepared("{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {type: NodePort, ports: [{port: 80}, {port: 81}]}}")
    new, errors = server.update(old, spec=sent.spec)
    assert (new.spec.clusterIP, new.spec.clusterIPs) == ("10.43.0.7", ["10.43.0.7"])
    assert [port.nodePort for port in new.spec.ports] == [30080, 0]
    assert errors == ["spec.ports[0].name: Required value", "spec.ports[1].name: Required value"]


def test_one_of_the_two_spellings_of_the_address_is_enough(server: Any) -> None:
    old = server.create(SERVICE)
    left_out: dict[str, Any]
    for left_out in ({"spec__clusterIP": ""}, {"spec__clusterIPs": []}):
        new, errors = server.update(old, **left_out)
        assert errors == []
        assert (new.spec.clusterIP, new.spec.clusterIPs) == ("10.43.0.7", ["10.43.0.7"])


def test_services_that_change_their_type_drop_what_it_does_not_have(server: Any) -> None:
    old = server.create(SERVICE)
    new, errors = server.update(old, spec__type="ClusterIP")
    assert errors == []
    assert (new.spec.ports[0].nodePort, new.spec.externalTrafficPolicy, new.spec.clusterIP) == (0, "", "10.43.0.7")
    new, errors = server.update(old, spec__type="ExternalName", spec__externalName="example.com")
    assert errors == []
    assert (new.spec.clusterIP, new.spec.clusterIPs, new.spec.ipFamilies, new.spec.ipFamilyPolicy) == ("", [], [], None)
    back, errors = server.update(new, spec__type="ClusterIP", spec__externalName="")
    assert errors == []
    assert back.spec.ipFamilies == ["IPv4"]


def test_a_service_cannot_move(server: Any) -> None:
    old = server.create(SERVICE)
    _, errors = server.update(old, spec__clusterIP="10.43.0.8")
    assert errors == ['spec.clusterIPs[0]: Invalid value: ["10.43.0.8"]: may not change once set']
