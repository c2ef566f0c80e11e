"""EndpointSlices and Endpoints as data: every pod once, right slices untouched, nothing to do twice."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.controllers.make import ago, pod
from tiphys.api.core import v1 as core
from tiphys.api.discovery import v1 as discovery
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.controllers.endpoints import balance, legacy, slices
from tiphys.controllers.endpoints.backends import backends
from tiphys.controllers.endpoints.trigger import LAST_CHANGE
from tiphys.controllers.shared.claim import reference
from tiphys.controllers.shared.slim import SlimPod


def service(**spec: object) -> core.Service:
    ports = [core.ServicePort(name="http", port=80, targetPort=8080, protocol="TCP")]
    wanted = {"selector": {"app": "web"}, "ports": ports, "clusterIP": "10.43.0.7", "ipFamilies": ["IPv4"], **spec}
    meta = ObjectMeta(name="web", namespace="default", uid="uid-web", labels={"team": "a"})
    return core.Service(metadata=meta, spec=core.ServiceSpec(**wanted))  # type: ignore[arg-type]


def at(number: int, **state: object) -> SlimPod:
    return pod(f"p{number}", ip=f"10.42.{number // 250}.{number % 250 + 1}", **state)


def apply(wanted: core.Service, known: list[discovery.EndpointSlice], step: slices.Plan) -> list[discovery.EndpointSlice]:
    written = {found.metadata.name: found for found in step.update}
    gone = {found.metadata.name for found in step.delete}
    after = [written.get(found.metadata.name, found) for found in known if found.metadata.name not in gone]
    for number, made in enumerate(step.create):
        made.metadata.name = f"web-{len(known)}-{number}"
        made.metadata.ownerReferences = [reference(wanted)]
        after.append(made)
    return after


def plan(wanted: core.Service, pods: list[SlimPod], known: list[discovery.EndpointSlice]) -> slices.Plan:
    return slices.plan(wanted, pods, known, {})


def times(step: slices.Plan) -> list[str | None]:
    return [found.metadata.annotations.get(LAST_CHANGE) for found in (*step.create, *step.update)]


def test_writes_tell_the_time_of_the_change_that_they_follow() -> None:
    wanted = service()
    wanted.metadata.creationTimestamp = ago(500)
    first = plan(wanted, [at(1, since=300)], [])
    assert times(first) == ["2026-01-01T11:51:40Z"], "the first is as old as the Service"
    known = apply(wanted, [], first)
    step = plan(wanted, [at(1, since=300), at(2, since=20), at(3, since=40)], known)
    assert times(step) == ["2026-01-01T11:59:20Z"], "the first of those that changed"
    known = apply(wanted, known, step)
    step = plan(wanted, [at(1, since=300, ready=False), at(2, since=20), at(3, since=40)], known)
    assert times(step) == ["2026-01-01T11:55:00Z"]
    known = apply(wanted, known, step)
    step = plan(wanted, [at(2, since=20, deleting=True), at(3, since=40)], known)
    assert times(step) == [None], "no pod became ready or not"


def test_endpoints_tell_the_time_of_the_change_that_they_follow() -> None:
    wanted = service()
    wanted.metadata.creationTimestamp = ago(500)
    first = legacy.plan(wanted, [at(1, since=300)], None)
    assert first is not None
    assert first.metadata.annotations[LAST_CHANGE] == "2026-01-01T11:51:40Z"
    assert legacy.plan(wanted, [at(1, since=300)], first) is None
    second = legacy.plan(wanted, [at(1, since=300), at(2, since=20, ready=False)], first)
    assert second is not None
    assert second.metadata.annotations[LAST_CHANGE] == "2026-01-01T11:59:40Z"
    third = legacy.plan(wanted, [at(2, since=20, ready=False)], second)
    assert third is not None
    assert LAST_CHANGE not in third.metadata.annotations


members = st.sets(st.integers(0, 400), max_size=350)


@settings(max_examples=40, deadline=None)
@given(before=members, after=members, unready=members)
def test_every_pod_is_in_exactly_one_slice(before: set[int], after: set[int], unready: set[int]) -> None:
    wanted = service()
    known = apply(wanted, [], plan(wanted, [at(number) for number in sorted(before)], []))
    pods = [at(number, ready=number not in unready) for number in sorted(after)]
    step = plan(wanted, pods, known)
    result = apply(wanted, known, step)
    listed = [endpoint for found in result for endpoint in found.endpoints or []]
    assert sorted(endpoint.addresses[0] for endpoint in listed) == sorted(found.status.podIP for found in pods)
    ready = {endpoint.addresses[0] for endpoint in listed if endpoint.conditions.ready}
    assert ready == {found.status.podIP for number, found in zip(sorted(after), pods, strict=True) if number not in unready}
    assert all(len(found.endpoints or []) <= slices.FULL for found in result)
    assert plan(wanted, pods, result) == slices.Plan([], [], [])
    # Nothing is written that did not change.
    assert all(found not in known for found in step.update)
    if before == after and not unready & after:
        assert step == slices.Plan([], [], [])


def test_one_more_pod_is_one_small_write() -> None:
    wanted = service()
    pods = [at(number) for number in range(250)]
    known = apply(wanted, [], plan(wanted, pods, []))
    assert sorted(len(found.endpoints or []) for found in known) == [50, 100, 100]
    step = plan(wanted, [*pods, at(300)], known)
    assert (len(step.create), len(step.update), len(step.delete)) == (0, 1, 0)
    assert len(step.update[0].endpoints or []) == 51


def test_a_replacement_goes_where_a_write_is_due() -> None:
    wanted = service()
    pods = [at(number) for number in range(150)]
    known = apply(wanted, [], plan(wanted, pods, []))
    step = plan(wanted, [*pods[1:], at(300)], known)
    assert (len(step.create), len(step.update), len(step.delete)) == (0, 1, 0)


@pytest.mark.parametrize(
    ("state", "publish", "conditions"),
    [
        ({}, False, (True, True, False)),
        ({"ready": False}, False, (False, False, False)),
        ({"deleting": True}, False, (False, True, True)),
        ({"deleting": True, "ready": False}, False, (False, False, True)),
        ({"ready": False}, True, (True, False, False)),
        ({"deleting": True}, True, (True, True, True)),
    ],
)
def test_conditions(state: dict[str, bool], publish: bool, conditions: tuple[bool, bool, bool]) -> None:
    wanted = service(publishNotReadyAddresses=publish)
    (endpoint,) = plan(wanted, [at(1, **state)], []).create[0].endpoints or []
    found = endpoint.conditions
    assert (found.ready, found.serving, found.terminating) == conditions


def test_backends_of_a_service() -> None:
    pods = [at(1), at(2, phase="Succeeded"), at(3, phase="Failed"), at(4, labels={"app": "other"}), pod("no-address")]
    assert [backend.pod.metadata.name for backend in backends(service(), pods, "IPv4")] == ["p1"]


def test_named_ports_are_each_pods_own() -> None:
    wanted = service(ports=[core.ServicePort(name="web", port=80, targetPort="http", protocol="TCP")])
    other, without = at(2), at(3)
    other.spec.containers[0].ports[0].containerPort = 9090
    without.spec.containers[0].ports = []
    made = plan(wanted, [at(1), other, without], []).create
    assert sorted([(port.name, port.port) for port in found.ports or []] for found in made) == [[], [("web", 8080)], [("web", 9090)]]


def test_two_families_have_slices_of_their_own() -> None:
    both = at(1)
    both.status.podIPs.append(core.PodIP(ip="fd00::1"))
    made = plan(service(ipFamilies=["IPv4", "IPv6"]), [both, at(2)], []).create
    assert {found.addressType: [e.addresses for e in found.endpoints or []] for found in made} == {
        "IPv4": [["10.42.0.2"], ["10.42.0.3"]],
        "IPv6": [["fd00::1"]],
    }


def test_labels_zone_and_hostname() -> None:
    named = at(1)
    named.spec.hostname, named.spec.subdomain = "db-0", "web"
    stranger = at(2)
    stranger.spec.hostname, stranger.spec.subdomain = "db-0", "elsewhere"
    wanted = service(clusterIP="None")
    (made,) = slices.plan(wanted, [named, stranger], [], {"n1": "west"}).create
    assert made.metadata.labels == {
        "team": "a",
        "kubernetes.io/service-name": "web",
        "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
        "service.kubernetes.io/headless": "",
    }
    assert [(e.hostname, e.zone, e.nodeName) for e in made.endpoints or []] == [("db-0", "west", "n1"), (None, "west", "n1")]


NEAR = {"n1": "west", "n2": "east"}


def shown(slice_: discovery.EndpointSlice) -> list[tuple[list[str], list[str]] | None]:
    hints = [endpoint.hints for endpoint in slice_.endpoints or []]
    return [None if hint is None else ([zone.name for zone in hint.forZones], [node.name for node in hint.forNodes]) for hint in hints]


@pytest.mark.parametrize(
    ("distribution", "hints"),
    [
        ("PreferClose", [(["west"], []), (["east"], []), None]),
        ("PreferSameZone", [(["west"], []), (["east"], []), None]),
        ("PreferSameNode", [(["west"], ["n1"]), (["east"], ["n2"]), ([], ["n3"])]),
        (None, [None, None, None]),
    ],
)
def test_hints_of_a_traffic_distribution(distribution: str | None, hints: list[tuple[list[str], list[str]] | None]) -> None:
    pods = [at(1, node="n1"), at(2, node="n2"), at(3, node="n3"), at(4, node="n1", ready=False), at(5, node="n1", deleting=True)]
    (new,) = slices.plan(service(trafficDistribution=distribution), pods, [], NEAR).create
    assert shown(new) == [*hints, None, None]


def test_hints_follow_the_service_and_the_nodes() -> None:
    plain, near = service(), service(trafficDistribution="PreferSameZone")
    pods = [at(1, node="n1")]
    known = apply(plain, [], slices.plan(plain, pods, [], NEAR))
    known = apply(near, known, slices.plan(near, pods, known, NEAR))
    assert shown(known[0]) == [(["west"], [])]
    assert slices.plan(near, pods, known, NEAR) == slices.Plan([], [], [])
    known = apply(near, known, slices.plan(near, pods, known, {"n1": "north"}))
    assert shown(known[0]) == [(["north"], [])]
    known = apply(near, known, slices.plan(near, [at(1, node="n1", ready=False)], known, NEAR))
    assert shown(known[0]) == [None]
    known = apply(plain, known, slices.plan(plain, pods, known, NEAR))
    assert shown(known[0]) == [None]


def test_balanced_hints_are_settled_per_family() -> None:
    auto = service(trafficDistribution="PreferSameNode")
    auto.metadata.annotations = {"service.kubernetes.io/topology-mode": "Auto"}
    pods = [at(number, node="n1") for number in range(4)]
    cpu = {"west": 4000, "east": 4000}
    step = slices.plan(auto, pods, [], NEAR, cpu)
    known = apply(auto, [], step)
    assert sorted(str(hint) for hint in shown(known[0])) == [str(([zone], [])) for zone in ("east", "east", "west", "west")]
    assert step.balance == {"IPv4": balance.ENABLED}
    assert slices.plan(auto, pods, known, NEAR, cpu)[:3] == ([], [], [])
    step = slices.plan(auto, pods, known, NEAR, {})
    assert (shown(step.update[0]), step.balance) == ([None] * 4, {"IPv4": balance.UNKNOWN_NODES})


def test_slices_of_a_former_service_are_left_alone() -> None:
    former = service()
    former.metadata.uid = "uid-former"
    known = apply(former, [], plan(former, [at(1)], []))
    step = plan(service(), [at(1)], known)
    assert (len(step.create), step.update, step.delete) == (1, [], [])


# Endpoints


def test_subsets_group_by_ports() -> None:
    wanted = service(
        ports=[
            core.ServicePort(name="a", port=80, targetPort=8080, protocol="TCP"),
            core.ServicePort(name="b", port=81, targetPort="http", protocol="TCP"),
        ]
    )
    without = at(3, ready=False)
    without.spec.containers[0].ports = []
    found = legacy.plan(wanted, [at(2), at(1), without], None)
    assert found is not None
    shown = [([p.name for p in s.ports], [a.ip for a in s.addresses], [a.ip for a in s.notReadyAddresses]) for s in found.subsets]
    assert shown == [(["a"], ["10.42.0.2", "10.42.0.3"], ["10.42.0.4"]), (["b"], ["10.42.0.2", "10.42.0.3"], [])]


def test_endpoints_have_no_terminating_pods_and_know_when_they_are_right() -> None:
    wanted = service()
    pods = [at(1), at(2, deleting=True), at(3, ready=False)]
    made = legacy.plan(wanted, pods, None)
    assert made is not None
    assert [a.ip for a in made.subsets[0].addresses] == ["10.42.0.2"]
    assert [a.ip for a in made.subsets[0].notReadyAddresses] == ["10.42.0.4"]
    made.metadata.resourceVersion = "7"
    assert legacy.plan(wanted, pods, made) is None
    assert legacy.plan(wanted, pods[:1], made) is not None


def test_endpoints_are_cut_off_at_a_thousand() -> None:
    made = legacy.plan(service(), [at(number, ready=number >= 10) for number in range(1005)], None)
    assert made is not None
    assert made.metadata.annotations[legacy.OVER_CAPACITY] == "truncated"
    assert (len(made.subsets[0].addresses), len(made.subsets[0].notReadyAddresses)) == (995, 5)
