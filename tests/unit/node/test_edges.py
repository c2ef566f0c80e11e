"""Small parts: events from containerd, credentials, status patches, states, the node's status, metrics."""

from __future__ import annotations

import base64
import contextlib
import json
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.node.make import MOMENT, observed, pod, seen
from tiphys.aio.clock import LoopClock
from tiphys.api.core import v1 as core
from tiphys.api.machinery.errors import ServiceUnavailable
from tiphys.node.container.image_pulls import credentials, pull_policy, registry_of
from tiphys.node.host import stats
from tiphys.node.host.machine import meminfo
from tiphys.node.host.status import NodeFacts, node_status, same, status_patch
from tiphys.node.pod.states import BadTransition, Life
from tiphys.node.pod.status import Facts, pod_status
from tiphys.node.pod.status_writer import StatusWriter
from tiphys.node.pod.status_writer import status_patch as pod_status_patch
from tiphys.node.runtime.containerd_events import End, ended
from tiphys.testing.eventually import eventually
from tiphys.testing.memory_api import MemoryApi


def field(number: int, data: bytes) -> bytes:
    return bytes([number << 3 | 2, len(data)]) + data


def test_the_end_of_a_main_process_is_told_from_that_of_an_exec() -> None:
    def envelope(container: bytes, process: bytes) -> bytes:
        exit_ = field(1, container) + field(2, process) + b"\x18\x2a"
        return field(2, b"k8s.io") + field(3, b"/tasks/exit") + field(4, field(1, b"type") + field(2, exit_))

    assert ended(envelope(b"abc", b"abc")) == End("abc")
    assert ended(envelope(b"abc", b"exec-1")) == End("abc", "exec-1")
    assert ended(field(3, b"/x")) is None


@given(st.binary(max_size=40))
def test_malformed_events_do_no_harm(data: bytes) -> None:
    with contextlib.suppress(ValueError):
        ended(data)


# -- images


def secret(server: str, user: str = "u", password: str = "p") -> core.Secret:
    auth = base64.b64encode(f"{user}:{password}".encode()).decode()
    body = json.dumps({"auths": {server: {"auth": auth}}}).encode()
    return core.Secret(type="kubernetes.io/dockerconfigjson", data={".dockerconfigjson": body})


@pytest.mark.parametrize(
    ("image", "server", "fits"),
    [
        ("nginx", "https://index.docker.io/v1/", True),
        ("library/nginx:1", "docker.io", True),
        ("quay.io/a/b", "quay.io", True),
        ("quay.io/a/b", "quay.io/a", True),
        ("quay.io/a/b", "quay.io/c", False),
        ("quay.io/a/b", "docker.io", False),
        ("reg.example.com:5000/x", "reg.example.com:5000", True),
        ("a.example.com/x", "*.example.com", True),
        ("a.b.example.com/x", "*.example.com", False),
    ],
)
def test_credentials_fit_the_registry(image: str, server: str, fits: bool) -> None:
    found = credentials(image, [secret(server)])
    assert [(auth.username, auth.password) for auth in found] == ([("u", "p")] if fits else [])


def test_the_most_specific_credentials_come_first() -> None:
    found = credentials("quay.io/a/b", [secret("quay.io", "all"), secret("quay.io/a", "one")])
    assert [auth.username for auth in found] == ["one", "all"]
    assert credentials("x", [core.Secret(data={".dockerconfigjson": b"nonsense"})]) == []


def test_pull_policy_defaults() -> None:
    def policy(image: str) -> str:
        return pull_policy(core.Container(name="a", image=image))

    assert policy("nginx") == "Always"
    assert policy("nginx:latest") == "Always"
    assert policy("nginx:1") == "IfNotPresent"
    assert policy("host:5000/nginx") == "Always"
    assert policy("nginx@sha256:abc") == "IfNotPresent"
    assert registry_of("localhost/x") == "localhost"


# -- states


def test_a_worker_lives_by_the_table() -> None:
    life = Life("default/web")
    assert life.fire("over")
    assert life.fire("stopped")
    assert life.story[-1].endswith("> terminated")
    assert life.fire("deleted")
    assert life.fire("removed")
    assert life.fire("missing")
    assert life.state == "gone"
    with pytest.raises(BadTransition, match=r"default/web: stopped while gone; before that: syncing --over--> terminating"):
        life.fire("stopped")


# -- statuses


def test_a_status_patch_clears_what_is_gone_and_leaves_others_conditions() -> None:
    it = pod({"name": "a"})
    status = pod_status(it, Facts(observed(seen(it, "a"))), MOMENT)
    status.conditions.append(core.PodCondition(type="Other", status="True"))
    body = pod_status_patch("u1", status, core.PodStatus(podIPs=[core.PodIP(ip="1.1.1.1")]))["status"]
    assert body["message"] is None
    assert {"type", "status", "reason", "message"} <= body["conditions"][0].keys()
    assert "Other" not in [condition["type"] for condition in body["conditions"]]
    assert body["podIPs"] == [{"$patch": "replace"}, {"ip": "10.42.0.5"}]
    assert pod_status_patch("u1", core.PodStatus(), core.PodStatus())["status"]["podIPs"] is None


async def test_the_writer_writes_the_newest_once_and_survives_an_outage(api: MemoryApi) -> None:
    it = pod({"name": "a"})
    api.add(it)
    uid = api.get(core.Pod, "web", "default").metadata.uid
    it = api.get(core.Pod, "web", "default")
    writer = StatusWriter(api.client(), LoopClock())
    running = pod_status(it, Facts(observed(seen(it, "a"))), MOMENT)
    api.faults.fail("patch pods/status", ServiceUnavailable("away"), times=2)
    writer.set(it, pod_status(it, Facts(observed(boxes=())), MOMENT))
    writer.set(it, running)
    await writer.wait_written(uid)
    assert api.get(core.Pod, "web", "default").status.phase == "Running"
    count = len(api.writes())
    writer.set(it, running)
    await writer.wait_written(uid)
    assert len(api.writes()) == count

    # Somebody else changes it: it is put right.
    await api.client().patch(core.Pod, "web", "default", body={"status": {"phase": "Pending"}}, subresource="status")
    writer.observe(api.get(core.Pod, "web", "default"))
    await eventually(lambda: api.get(core.Pod, "web", "default").status.phase == "Running")
    api.remove(core.Pod, "web", "default")
    writer.set(it, pod_status(it, Facts(observed(seen(it, "a", "exited"))), MOMENT))
    await writer.wait_written(uid)
    await writer.close()


def facts(**more: Any) -> NodeFacts:
    known = {"name": "n", "addresses": ["192.0.2.1"], "port": 10250, "capacity": {"cpu": "2"}, "allocatable": {"cpu": "1"}}
    return NodeFacts(info=core.NodeSystemInfo(), **{**known, **more})


def test_node_status() -> None:
    first = node_status(core.NodeStatus(), facts(not_ready="no network"), MOMENT)
    ready = first.conditions[-1]
    assert (ready.type, ready.status, ready.message) == ("Ready", "False", "no network")
    later = node_status(first, facts(pressures={"DiskPressure": "full"}), MOMENT + timedelta(seconds=9))
    by_type = {condition.type: condition for condition in later.conditions}
    assert (by_type["Ready"].status, by_type["DiskPressure"].status) == ("True", "True")
    assert by_type["Ready"].lastTransitionTime == MOMENT + timedelta(seconds=9)
    assert by_type["MemoryPressure"].lastTransitionTime == MOMENT
    assert [(one.type, one.address) for one in later.addresses] == [("InternalIP", "192.0.2.1"), ("Hostname", "n")]
    again = node_status(later, facts(pressures={"DiskPressure": "full"}), MOMENT + timedelta(seconds=30))
    assert same(again, later)
    assert not same(first, later)
    assert status_patch(later)["status"]["daemonEndpoints"] == {"kubeletEndpoint": {"Port": 10250}}


def test_meminfo() -> None:
    assert meminfo("MemTotal:  100 kB\nHugePages_Total: 3\nbad\n") == {"MemTotal": 102400, "HugePages_Total": 3}


def test_metrics() -> None:
    use = stats.ContainerUse("ns", "p", "u", "c", stats.Usage(cpu=2_500_000_000, memory=1024, at=1.0, started=1.0))
    text = stats.resource_metrics(stats.Usage(cpu=10**9, memory=5), [use])
    assert 'container_cpu_usage_seconds_total{container="c",namespace="ns",pod="p"} 2.5\n' in text
    assert 'pod_memory_working_set_bytes{namespace="ns",pod="p"} 1024\n' in text
    assert "node_cpu_usage_seconds_total 1\n" in text
    body = msgspec.to_builtins(stats.summary("n", stats.Usage(cpu=1), [use]))
    assert body["pods"][0]["podRef"] == {"name": "p", "namespace": "ns", "uid": "u"}
    assert body["pods"][0]["containers"][0]["memory"]["workingSetBytes"] == 1024
