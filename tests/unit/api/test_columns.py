"""Tables as `kubectl get` shows them."""

# One case to a line, however long.
# ruff: noqa: E501

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from tiphys.api.core.v1 import ContainerStatus, PodStatus
from tiphys.api.kinds import SCHEME
from tiphys.api.machinery.columns import duration

NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "<invalid>"), (-1, "0s"), (0, "0s"), (119, "119s"), (120, "2m"), (150, "2m30s"), (599, "9m59s"), (600, "10m"), (179 * 60, "179m"),
        (3 * 3600, "3h"), (3 * 3600 + 300, "3h5m"), (8 * 3600 + 300, "8h"), (47 * 3600, "47h"), (48 * 3600, "2d"), (49 * 3600, "2d1h"),
        (8 * 86400, "8d"), (729 * 86400, "729d"), (730 * 86400, "2y"), (740 * 86400, "2y10d"), (9 * 365 * 86400, "9y"),
    ],
)  # fmt: skip
def test_durations(seconds: int, text: str) -> None:
    assert duration(seconds) == text


def row(obj: Any) -> dict[str, Any]:
    obj.metadata.creationTimestamp = obj.metadata.creationTimestamp or NOW - timedelta(minutes=5)
    return {column.name: column.cell(obj, NOW) for column in SCHEME.of(type(obj)).columns}


def statuses(*states: dict[str, Any]) -> list[ContainerStatus]:
    return [msgspec.convert({"name": name, **state}, ContainerStatus) for name, state in zip("abc", states, strict=False)]


RUNNING = {"ready": True, "state": {"running": {}}}
DONE = {"state": {"terminated": {"exitCode": 0, "reason": "Completed"}}}
FAILED = {"state": {"terminated": {"exitCode": 3}}}
KILLED = {"state": {"terminated": {"exitCode": 137, "signal": 9}}}
BACKOFF = {
    "restartCount": 4,
    "state": {"waiting": {"reason": "CrashLoopBackOff"}},
    "lastState": {"terminated": {"exitCode": 1, "finishedAt": "2026-01-01T11:59:50Z"}},
}
CREATING = {"state": {"waiting": {"reason": "ContainerCreating"}}}
POD_INITIALIZING = {"state": {"waiting": {"reason": "PodInitializing"}}}
READY = {"type": "Ready", "status": "True"}
INITIALIZED = {"type": "Initialized", "status": "True"}


@pytest.mark.parametrize(
    ("status", "ready", "word", "restarts"),
    [
        ({"phase": "Pending"}, "0/2", "Pending", "0"),
        ({"phase": "Pending", "containers": [CREATING, CREATING]}, "0/2", "ContainerCreating", "0"),
        ({"phase": "Running", "containers": [RUNNING, RUNNING]}, "2/2", "Running", "0"),
        ({"phase": "Running", "containers": [RUNNING, BACKOFF]}, "1/2", "CrashLoopBackOff", "4 (10s ago)"),
        ({"phase": "Running", "containers": [RUNNING, DONE]}, "1/2", "NotReady", "0"),
        ({"phase": "Running", "containers": [RUNNING, DONE], "conditions": [READY]}, "1/2", "Running", "0"),
        ({"phase": "Succeeded", "containers": [DONE, DONE]}, "0/2", "Completed", "0"),
        ({"phase": "Failed", "containers": [DONE, FAILED]}, "0/2", "ExitCode:3", "0"),
        ({"phase": "Failed", "containers": [KILLED, DONE]}, "0/2", "Signal:9", "0"),
        ({"phase": "Failed", "reason": "Evicted"}, "0/2", "Evicted", "0"),
        ({"phase": "Pending", "init": [DONE, POD_INITIALIZING]}, "0/2", "Init:1/2", "0"),
        ({"phase": "Pending", "init": [BACKOFF]}, "0/2", "Init:CrashLoopBackOff", "4 (10s ago)"),
        ({"phase": "Pending", "init": [FAILED]}, "0/2", "Init:ExitCode:3", "0"),
        ({"phase": "Running", "init": [DONE, DONE], "containers": [RUNNING, RUNNING], "conditions": [INITIALIZED]}, "2/2", "Running", "0"),
        (
            {"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}]},
            "0/2",
            "SchedulingGated",
            "0",
        ),
    ],
)
def test_pods_in_one_word(server: Any, status: dict[str, Any], ready: str, word: str, restarts: str) -> None:
    pod = server.create(
        "{apiVersion: v1, kind: Pod, metadata: {name: web}, spec: {containers: [{name: a, image: i}, {name: b, image: i}],"
        " initContainers: [{name: x, image: i}, {name: y, image: i}]}}"
    )
    pod.status = msgspec.convert({k: v for k, v in status.items() if k in ("phase", "reason", "conditions")}, PodStatus)
    pod.status.containerStatuses = statuses(*status.get("containers", ()))
    pod.status.initContainerStatuses = statuses(*status.get("init", ()))
    cells = row(pod)
    assert (cells["Ready"], cells["Status"], cells["Restarts"]) == (ready, word, restarts)


def test_sidecars_count(server: Any) -> None:
    pod = server.create(
        "{apiVersion: v1, kind: Pod, metadata: {name: web}, spec: {containers: [{name: b, image: i}],"
        " initContainers: [{name: a, image: i, restartPolicy: Always}]}}"
    )
    pod.status.initContainerStatuses = statuses({**RUNNING, "started": True, "restartCount": 1})
    pod.status.containerStatuses = [msgspec.convert({"name": "b", **RUNNING}, ContainerStatus)]
    pod.status.phase = "Running"
    cells = row(pod)
    assert (cells["Ready"], cells["Status"], cells["Restarts"]) == ("2/2", "Running", "1")


def test_pods_that_go_and_where_they_are(server: Any) -> None:
    pod = server.create(
        "{apiVersion: v1, kind: Pod, metadata: {name: web}, spec: {containers: [{name: a, image: i}], readinessGates: [{conditionType: a.b/c}]}}"
    )
    cells = row(pod)
    assert [cells[name] for name in ("IP", "Node", "Nominated Node", "Readiness Gates")] == ["<none>", "<none>", "<none>", "0/1"]
    assert cells["Age"] == "5m"
    pod.metadata.deletionTimestamp = NOW
    assert row(pod)["Status"] == "Terminating"
    pod.status.reason = "NodeLost"
    assert row(pod)["Status"] == "Unknown"


def test_column_order_and_widths() -> None:
    from tiphys.api.core.v1 import Event, Node, Pod, Service

    def headers(type_: Any, priority: int) -> list[str]:
        return [column.name for column in SCHEME.of(type_).columns if column.priority <= priority]

    assert headers(Pod, 0) == ["Name", "Ready", "Status", "Restarts", "Age"]
    assert headers(Pod, 1) == [*headers(Pod, 0), "IP", "Node", "Nominated Node", "Readiness Gates"]
    assert headers(Service, 1) == ["Name", "Type", "Cluster-IP", "External-IP", "Port(s)", "Age", "Selector"]
    assert headers(Node, 0) == ["Name", "Status", "Roles", "Age", "Version"]
    assert headers(Event, 0) == ["Last Seen", "Type", "Reason", "Object", "Message"]


def test_services(server: Any) -> None:
    service = server.create(
        "{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {type: NodePort, clusterIP: 10.43.0.9, selector: {b: c, a: b},"
        " ports: [{port: 80, nodePort: 30080}]}}"
    )
    assert list(row(service).values()) == ["web", "NodePort", "10.43.0.9", "<none>", "80:30080/TCP", "5m", "a=b,b=c"]
    service.spec.type = "LoadBalancer"
    assert row(service)["External-IP"] == "<pending>"
    service.spec.type, service.spec.externalName = "ExternalName", "example.com"
    assert row(service)["External-IP"] == "example.com"


def test_nodes(server: Any) -> None:
    node = server.create(
        """
        apiVersion: v1
        kind: Node
        metadata: {name: n1, labels: {node-role.kubernetes.io/control-plane: "", node-role.kubernetes.io/etcd: ""}}
        spec: {unschedulable: true}
        status:
          conditions: [{type: Ready, status: "Unknown"}, {type: DiskPressure, status: "False"}]
          addresses: [{type: InternalIP, address: 10.0.0.1}]
          nodeInfo: {kubeletVersion: v1.36.0, kernelVersion: 6.1.0, architecture: amd64, osImage: Debian, containerRuntimeVersion: "containerd://1.6"}
        """
    )
    assert list(row(node).values()) == [
        "n1", "NotReady,SchedulingDisabled", "control-plane,etcd", "5m", "v1.36.0", "10.0.0.1", "<none>", "Debian", "6.1.0 (amd64)", "containerd://1.6",
    ]  # fmt: skip


def test_workloads(server: Any) -> None:
    web = server.create(
        """
        apiVersion: apps/v1
        kind: Deployment
        metadata: {name: web}
        spec:
          replicas: 3
          selector: {matchLabels: {app: web}}
          template: {metadata: {labels: {app: web}}, spec: {containers: [{name: app, image: "nginx:1"}, {name: log, image: "log:2"}]}}
        """
    )
    web.status.readyReplicas, web.status.updatedReplicas, web.status.availableReplicas = 2, 3, 1
    assert list(row(web).values()) == ["web", "2/3", 3, 1, "5m", "app,log", "nginx:1,log:2", "app=web"]


def test_endpoints_slices_events_and_the_rest(server: Any) -> None:
    endpoints = server.create(
        "{apiVersion: v1, kind: Endpoints, metadata: {name: a}, subsets: [{addresses: [{ip: 10.0.0.1}, {ip: 10.0.0.2}], ports: [{port: 80, name: a}, {port: 81, name: b}]}]}"
    )
    assert row(endpoints)["Endpoints"] == "10.0.0.1:80,10.0.0.2:80,10.0.0.1:81 + 1 more..."
    piece = server.create(
        "{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: a}, addressType: IPv4, endpoints: [{addresses: [10.0.0.1]}], ports: [{port: 80}]}"
    )
    assert list(row(piece).values()) == ["a", "IPv4", "80", "10.0.0.1", "5m"]
    event = server.create(
        """
        apiVersion: v1
        kind: Event
        metadata: {name: e}
        involvedObject: {kind: Pod, name: web, namespace: default, fieldPath: "spec.containers{app}"}
        type: Normal
        reason: Started
        message: "Started "
        source: {component: kubelet, host: n1}
        count: 3
        firstTimestamp: "2026-01-01T11:00:00Z"
        lastTimestamp: "2026-01-01T11:59:30Z"
        """
    )
    assert list(row(event).values()) == [
        "30s",
        "Normal",
        "Started",
        "pod/web",
        "spec.containers{app}",
        "kubelet, n1",
        "Started",
        "60m",
        3,
        "e",
    ]
    event.firstTimestamp = event.lastTimestamp = None
    event.eventTime, event.count = "2026-01-01T11:59:00.000000Z", 0
    assert (row(event)["Last Seen"], row(event)["Count"]) == ("60s", 1)
    budget = server.create("{apiVersion: policy/v1, kind: PodDisruptionBudget, metadata: {name: a}, spec: {maxUnavailable: 50%}}")
    assert list(row(budget).values()) == ["a", "N/A", "50%", 0, "5m"]
    assert row(server.create("{apiVersion: v1, kind: Secret, metadata: {name: s}, stringData: {a: b}}")) == {
        "Name": "s", "Type": "Opaque", "Data": 1, "Age": "5m",
    }  # fmt: skip


def made(text: str) -> Any:
    import yaml

    document = yaml.safe_load(text)
    kind = SCHEME.by_gvk(document["apiVersion"], document["kind"])
    assert kind is not None
    return msgspec.convert(document, kind.type)


TEMPLATE = (
    "template: {metadata: {labels: {app: web}}, spec: {nodeSelector: {disk: ssd}, containers: [{name: a, image: x}, {name: b, image: y}]}}"
)


def test_more_workloads() -> None:
    wide = {"Containers": "a,b", "Images": "x,y", "Selector": "app=web"}
    status = "status: {replicas: 2, readyReplicas: 1}"
    rc = row(
        made("{apiVersion: v1, kind: ReplicationController, spec: {replicas: 3, selector: {app: web}, " + TEMPLATE + "}, " + status + "}")
    )
    assert rc == {"Name": "", "Desired": 3, "Current": 2, "Ready": 1, "Age": "5m", **wide}
    sts = row(made("{apiVersion: apps/v1, kind: StatefulSet, spec: {replicas: 3, " + TEMPLATE + "}, " + status + "}"))
    assert sts == {"Name": "", "Ready": "1/3", "Age": "5m", "Containers": "a,b", "Images": "x,y"}
    counts = "{desiredNumberScheduled: 5, currentNumberScheduled: 4, numberReady: 3, updatedNumberScheduled: 2, numberAvailable: 1}"
    ds = row(
        made(
            "{apiVersion: apps/v1, kind: DaemonSet, spec: {selector: {matchLabels: {app: web}}, " + TEMPLATE + "}, status: " + counts + "}"
        )
    )
    assert list(ds.values()) == ["", 5, 4, 3, 2, 1, "disk=ssd", "5m", "a,b", "x,y", "app=web"]


@pytest.mark.parametrize(
    ("spec", "status", "word", "completions", "took"),
    [
        ("completions: 3", {}, "Running", "0/3", ""),
        ("parallelism: 2", {"succeeded": 1, "startTime": NOW - timedelta(seconds=90)}, "Running", "1/1 of 2", "90s"),
        ("parallelism: 1", {"conditions": [{"type": "Suspended", "status": "True"}]}, "Suspended", "0/1", ""),
        ("completions: 1", {"conditions": [{"type": "FailureTarget", "status": "True"}]}, "FailureTarget", "0/1", ""),
        ("completions: 1", {"conditions": [{"type": "FailureTarget", "status": "True"}, {"type": "Failed", "status": "True"}]}, "Failed", "0/1", ""),
        (
            "completions: 1",
            {"succeeded": 1, "startTime": NOW - timedelta(hours=2), "completionTime": NOW - timedelta(hours=1), "conditions": [{"type": "Complete", "status": "True"}]},
            "Complete", "1/1", "60m",
        ),
    ],
)  # fmt: skip
def test_jobs(spec: str, status: dict[str, Any], word: str, completions: str, took: str) -> None:
    job = made("{apiVersion: batch/v1, kind: Job, spec: {" + spec + ", selector: {matchLabels: {app: web}}, " + TEMPLATE + "}}")
    job.status = msgspec.convert(status, type(job.status))
    shown = row(job)
    assert (shown["Status"], shown["Completions"], shown["Duration"], shown["Selector"]) == (word, completions, took, "app=web")


def test_cron_jobs() -> None:
    cron = made("{apiVersion: batch/v1, kind: CronJob, spec: {schedule: '@daily', suspend: true, jobTemplate: {spec: {" + TEMPLATE + "}}}}")
    assert list(row(cron).values()) == ["", "@daily", "<none>", "True", 0, "<none>", "5m", "a,b", "x,y", "<none>"]
    cron.spec.timeZone, cron.status.lastScheduleTime = "Etc/UTC", NOW - timedelta(seconds=30)
    assert (row(cron)["Timezone"], row(cron)["Last Schedule"]) == ("Etc/UTC", "30s")
