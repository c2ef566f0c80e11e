"""Pods: every mistake is told at once, with its path and in the API's words."""

# One case to a line, however long.
# ruff: noqa: E501

from __future__ import annotations

from typing import Any

import pytest

HEAD = "{apiVersion: v1, kind: Pod, metadata: {name: web}, spec: "
APP = "{name: app, image: nginx}"


def spec(server: Any, text: str) -> list[str]:
    errors: list[str] = server.errors(f"{HEAD}{text}}}")
    return errors


def container(server: Any, text: str, rest: str = "") -> list[str]:
    """Mistakes of a container, without the path of the container."""
    found = spec(server, f"{{containers: [{{name: app, image: nginx, {text}}}]{rest}}}")
    return [error.removeprefix("spec.containers[0].") for error in found]


def test_three_mistakes_are_told_together(server: Any) -> None:
    assert spec(server, "{restartPolicy: Sometimes, containers: [{name: app, image: '', ports: [{containerPort: 99999}]}]}") == [
        "spec.containers[0].image: Required value",
        "spec.containers[0].ports[0].containerPort: Invalid value: 99999: must be between 1 and 65535, inclusive",
        'spec.restartPolicy: Unsupported value: "Sometimes": supported values: "Always", "OnFailure", "Never"',
    ]


def test_containers_are_needed_and_have_names_of_their_own(server: Any) -> None:
    assert spec(server, "{}") == ["spec.containers: Required value"]
    assert spec(server, f"{{containers: [{APP}, {APP}]}}") == ['spec.containers[1].name: Duplicate value: "app"']
    assert spec(server, f"{{containers: [{APP}], initContainers: [{APP}]}}") == ['spec.initContainers[0].name: Duplicate value: "app"']
    assert container(server, "imagePullPolicy: Sometimes") == [
        'imagePullPolicy: Unsupported value: "Sometimes": supported values: "Always", "IfNotPresent", "Never"'
    ]
    assert spec(server, "{containers: [{name: app, image: ' nginx'}]}") == [
        'spec.containers[0].image: Invalid value: " nginx": must not have leading or trailing whitespace'
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ports: [{}]", "ports[0].containerPort: Required value"),
        ("ports: [{containerPort: 1, name: a}, {containerPort: 2, name: a}]", 'ports[1].name: Duplicate value: "a"'),
        ("ports: [{containerPort: 1, protocol: QUIC}]", 'ports[0].protocol: Unsupported value: "QUIC": supported values: "SCTP", "TCP", "UDP"'),
        ("ports: [{containerPort: 1, hostPort: 5}, {containerPort: 2, hostPort: 5}]", 'ports[1].hostPort: Duplicate value: "TCP//5"'),
        ("env: [{value: a}]", "env[0].name: Required value"),
        ("env: [{name: A, value: x, valueFrom: {fieldRef: {fieldPath: metadata.name}}}]", "env[0].valueFrom: Invalid value: \"\": may not be specified when `value` is not empty"),
        ("env: [{name: A, valueFrom: {fieldRef: {fieldPath: metadata.labels}}}]", "env[0].valueFrom.fieldRef.fieldPath: Unsupported value: \"metadata.labels\""),
        ("env: [{name: A, valueFrom: {fieldRef: {fieldPath: spec.color}}}]", "error converting fieldPath: field label not supported: spec.color"),
        ("env: [{name: A, valueFrom: {secretKeyRef: {name: s}}}]", "env[0].valueFrom.secretKeyRef.key: Required value"),
        ("env: [{name: A, valueFrom: {resourceFieldRef: {resource: limits.cpu, divisor: 3m}}}]", "only divisor's values 1m and 1 are supported with the cpu resource"),
        ("envFrom: [{}]", "envFrom: Invalid value: \"\": must specify one of: `configMapRef` or `secretRef`"),
        ("volumeMounts: [{name: x, mountPath: /a}]", 'volumeMounts[0].name: Not found: "x"'),
        ("resources: {requests: {gpu: 1}}", 'resources.requests[gpu]: Invalid value: "gpu": must be a standard resource type or fully qualified'),
        ("resources: {limits: {a.b/gpu: 500m}}", "resources.limits[a.b/gpu]: Invalid value: \"500m\": must be an integer"),
        ("resources: {requests: {a.b/gpu: 1}}", "resources.limits: Required value: Limit must be set for non overcommitable resources"),
        ("resources: {requests: {cpu: 2}, limits: {cpu: 1}}", 'resources.requests: Invalid value: "2": must be less than or equal to cpu limit of 1'),
        ("resources: {requests: {cpu: -1}}", 'resources.requests[cpu]: Invalid value: "-1": must be greater than or equal to 0'),
        ("livenessProbe: {}", "livenessProbe: Required value: must specify a handler type"),
        ("livenessProbe: {exec: {}}", "livenessProbe.exec.command: Required value"),
        ("livenessProbe: {tcpSocket: {port: 0}}", "livenessProbe.tcpSocket.port: Invalid value: 0: must be between 1 and 65535, inclusive"),
        ("livenessProbe: {tcpSocket: {port: 1}, successThreshold: 2}", "livenessProbe.successThreshold: Invalid value: 2: must be 1"),
        ("readinessProbe: {tcpSocket: {port: 1}, httpGet: {port: 1}}", "readinessProbe.tcpSocket: Forbidden: may not specify more than 1 handler type"),
        ("readinessProbe: {tcpSocket: {port: 1}, periodSeconds: -1}", "readinessProbe.periodSeconds: Invalid value: -1: must be greater than or equal to 0"),
        ("lifecycle: {preStop: {sleep: {seconds: 31}}}", "must be non-negative and less than terminationGracePeriodSeconds (30)"),
        ("securityContext: {runAsUser: -1}", "securityContext.runAsUser: Invalid value: -1: must be between 0 and 2147483647, inclusive"),
        ("securityContext: {privileged: true, allowPrivilegeEscalation: false}", "cannot set `allowPrivilegeEscalation` to false and `privileged` to true"),
        ("restartPolicy: Maybe", 'restartPolicy: Unsupported value: "Maybe": supported values: "Always", "Never", "OnFailure"'),
    ],
)  # fmt: skip
def test_containers(server: Any, text: str, said: str) -> None:
    text = text.replace("cpu: 2", "cpu: '2'").replace("cpu: 1}", "cpu: '1'}").replace("gpu: 1", "gpu: '1'").replace("cpu: -1", "cpu: '-1'")
    assert any(said in error for error in container(server, text)), container(server, text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{name: v, emptyDir: {}, hostPath: {path: /x}}", "spec.volumes[0].hostPath: Forbidden: may not specify more than 1 volume type"),
        ("{name: V, emptyDir: {}}", 'spec.volumes[0].name: Invalid value: "V": a lowercase RFC 1123 label'),
        ("{name: v, hostPath: {}}", "spec.volumes[0].hostPath.path: Required value"),
        ("{name: v, hostPath: {path: /a/../b}}", "spec.volumes[0].hostPath.path: Invalid value: \"/a/../b\": must not contain '..'"),
        ("{name: v, hostPath: {path: /a, type: Odd}}", 'spec.volumes[0].hostPath.type: Unsupported value: "Odd"'),
        ("{name: v, configMap: {}}", "spec.volumes[0].configMap.name: Required value"),
        (
            "{name: v, secret: {secretName: s, defaultMode: 512}}",
            "spec.volumes[0].secret.defaultMode: Invalid value: 512: must be a number between 0 and 0777",
        ),
        ("{name: v, configMap: {name: c, items: [{key: k, path: /abs}]}}", 'items[0].path: Invalid value: "/abs": must be a relative path'),
        ("{name: v, configMap: {name: c, items: [{key: k, path: ..x}]}}", "must not start with '..'"),
        ("{name: v, projected: {sources: [{serviceAccountToken: {path: t}}]}}", "must not be specified when serviceAccountName is not set"),
        ("{name: v, downwardAPI: {items: [{path: a, fieldRef: {fieldPath: spec.nodeName}}]}}", 'Unsupported value: "spec.nodeName"'),
        ("{name: v, persistentVolumeClaim: {}}", "spec.volumes[0].persistentVolumeClaim.claimName: Required value"),
        ("{name: v, nfs: {server: s, path: rel}}", 'spec.volumes[0].nfs.path: Invalid value: "rel": must be an absolute path'),
    ],
)
def test_volumes(server: Any, text: str, said: str) -> None:
    found = spec(server, f"{{containers: [{APP}], volumes: [{text}]}}")
    assert any(said in error for error in found), found


def test_mounts(server: Any) -> None:
    text = "{name: app, image: nginx, volumeMounts: [{name: v, mountPath: /a}, {name: v, mountPath: /a}, {name: v, mountPath: /b, subPath: ../c}]}"
    assert spec(server, f"{{containers: [{text}], volumes: [{{name: v}}]}}") == [
        'spec.containers[0].volumeMounts[1].mountPath: Invalid value: "/a": must be unique',
        "spec.containers[0].volumeMounts.subPath: Invalid value: \"../c\": must not contain '..'",
    ]


def test_init_containers_and_sidecars(server: Any) -> None:
    probe = "readinessProbe: {tcpSocket: {port: 1}}"
    assert spec(server, f"{{containers: [{APP}], initContainers: [{{name: i, image: b, {probe}}}]}}") == [
        "spec.initContainers[0].readinessProbe: Forbidden: may not be set for init containers without restartPolicy=Always"
    ]
    assert spec(server, f"{{containers: [{APP}], initContainers: [{{name: i, image: b, restartPolicy: Always, {probe}}}]}}") == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("dnsPolicy: Mine", 'spec.dnsPolicy: Unsupported value: "Mine"'),
        ("dnsPolicy: None", "spec.dnsConfig: Required value: must provide `dnsConfig` when `dnsPolicy` is None"),
        ("dnsConfig: {nameservers: [1.1.1.1, 1.1.1.2, 1.1.1.3, x]}", "must not have more than 3 nameservers"),
        ("nodeSelector: {-a: b}", 'spec.nodeSelector: Invalid value: "-a"'),
        ("activeDeadlineSeconds: 0", "spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647, inclusive"),
        ("os: {name: plan9}", 'spec.os: Unsupported value: "plan9": supported values: "linux", "windows"'),
        ("os: {}", "spec.os.name: Required value"),
        ("hostname: a.b", 'spec.hostname: Invalid value: "a.b": must not contain dots'),
        ("tolerations: [{key: a, operator: Exists, value: b}]", "value must be empty when `operator` is 'Exists'"),
        ("tolerations: [{operator: Equal}]", "operator must be Exists when `key` is empty"),
        ("tolerations: [{key: a, effect: Shy}]", 'spec.tolerations[0].effect: Unsupported value: "Shy"'),
        ("tolerations: [{key: a, tolerationSeconds: 1}]", "effect must be 'NoExecute' when `tolerationSeconds` is set"),
        ("affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {}}}", "must have at least one node selector term"),
        (
            "affinity: {podAffinity: {requiredDuringSchedulingIgnoredDuringExecution: [{}]}}",
            "topologyKey: Required value: can not be empty",
        ),
        (
            "affinity: {podAntiAffinity: {preferredDuringSchedulingIgnoredDuringExecution: [{weight: 0, podAffinityTerm: {topologyKey: a}}]}}",
            "weight: Invalid value: 0: must be in the range 1-100",
        ),
        (
            "topologySpreadConstraints: [{maxSkew: 0, topologyKey: a, whenUnsatisfiable: DoNotSchedule}]",
            "maxSkew: Invalid value: 0: must be greater than zero",
        ),
        ("hostAliases: [{ip: x}]", 'spec.hostAliases[0].ip: Invalid value: "x": must be a valid IP address'),
        ("securityContext: {sysctls: [{name: A}]}", "spec.securityContext.sysctls[0].name: Invalid value"),
        ("hostUsers: false, hostPID: true", "spec.HostPID: Forbidden: when `hostUsers` is false"),
        (
            "nodeName: n, schedulingGates: [{name: a.b/c}]",
            "spec.nodeName: Forbidden: cannot be set until all schedulingGates have been cleared",
        ),
        ("resources: {limits: {cpu: '1'}, requests: {cpu: '2'}}", "spec.resources.requests: Invalid value"),
        ("ephemeralContainers: [{name: e, image: i}]", "spec.ephemeralContainers: Forbidden: cannot be set on create"),
        ("priorityClassName: P", 'spec.priorityClassName: Invalid value: "P"'),
    ],
)
def test_specs(server: Any, text: str, said: str) -> None:
    found = spec(server, f"{{containers: [{APP}], {text.replace('dnsPolicy: None', chr(34).join(['dnsPolicy: ', 'None', '']))}}}")
    assert any(said in error for error in found), found


def test_host_network_ports_agree(server: Any) -> None:
    ports = "[{name: app, image: nginx, ports: [{containerPort: 80, hostPort: 81}]}]"
    assert spec(server, f"{{hostNetwork: true, containers: {ports}}}") == [
        "spec.containers[0].ports[0].hostPort: Invalid value: 81: must match `containerPort` when `hostNetwork` is true"
    ]


# ---- changes ---------------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def pod(server: Any) -> Any:
    return server.create(
        f"{HEAD}{{containers: [{APP}], activeDeadlineSeconds: 60, tolerations: [{{key: a, operator: Exists, effect: NoExecute}}]}}}}"
    )


def test_allowed_changes(server: Any, pod: Any) -> None:
    from tiphys.api.core.v1 import Toleration

    more = [*pod.spec.tolerations, Toleration(key="b", operator="Exists")]
    _, errors = server.update(pod, spec__containers__0__image="nginx:2", spec__activeDeadlineSeconds=30, spec__tolerations=more)
    assert errors == []
    _, errors = server.update(pod, metadata__labels={"a": "b"})
    assert errors == []


def test_other_changes_are_refused_and_shown(server: Any, pod: Any) -> None:
    _, errors = server.update(pod, spec__hostname="other")
    assert len(errors) == 1
    assert errors[0].startswith("spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`")
    assert errors[0].endswith(
        '- "Hostname": "",\n+ "Hostname": "other",\n  "Subdomain": "",\n  "SetHostnameAsFQDN": null,\n  "Affinity": null,\n'
    )
    _, errors = server.update(pod, spec__containers=[*pod.spec.containers, pod.spec.containers[0]])
    assert "spec.containers: Forbidden: pod updates may not add or remove containers" in errors
    _, errors = server.update(pod, spec__activeDeadlineSeconds=90)
    assert errors == ["spec.activeDeadlineSeconds: Invalid value: 90: must be less than or equal to previous value"]
    _, errors = server.update(pod, spec__tolerations=[])
    assert errors == ["spec.tolerations: Forbidden: existing toleration can not be modified except its tolerationSeconds"]


def test_a_mirror_pod_stays_one_and_no_other_becomes_one(server: Any, pod: Any) -> None:
    path = "metadata.annotations[kubernetes.io/config.mirror]"
    mirror = {"kubernetes.io/config.mirror": "hash"}
    text = f"{{apiVersion: v1, kind: Pod, metadata: {{name: web, annotations: {{kubernetes.io/config.mirror: hash}}}}, spec: {{NODE containers: [{APP}]}}}}"
    assert server.errors(text.replace("NODE", "")) == [
        f'{path}: Invalid value: "hash": must set spec.nodeName if mirror pod annotation is set'
    ]
    shown = server.create(text.replace("NODE", "nodeName: n1,"))
    for changed in ({}, {"kubernetes.io/config.mirror": "other"}):
        assert server.update(shown, metadata__annotations=changed)[1] == [
            f"{path}: Forbidden: may not remove or update mirror pod annotation"
        ]
    assert server.update(shown, metadata__annotations={**mirror, "a": "b"})[1] == []
    assert server.update(pod, metadata__annotations=mirror)[1] == [
        f'{path}: Invalid value: "hash": must set spec.nodeName if mirror pod annotation is set',
        f"{path}: Forbidden: may not add mirror pod annotation",
    ]


def test_app_armor_annotations_are_for_life(server: Any, pod: Any) -> None:
    key = "container.apparmor.security.beta.kubernetes.io/app"
    assert server.update(pod, metadata__annotations={key: "unconfined"})[1] == [
        f"metadata.annotations[{key}]: Forbidden: may not add AppArmor annotations"
    ]
    confined = server.create(
        f"{{apiVersion: v1, kind: Pod, metadata: {{name: web, annotations: {{{key}: unconfined}}}}, spec: {{containers: [{APP}]}}}}"
    )
    assert server.update(confined, metadata__annotations={})[1] == [
        f"metadata.annotations[{key}]: Forbidden: may not remove or update AppArmor annotations"
    ]


@pytest.mark.parametrize(
    ("template", "causes"),
    [
        (
            "metadata: {labels: {a: b}, annotations: {container.apparmor.security.beta.kubernetes.io/x: x}}",
            [
                'spec.template.annotations[container.apparmor.security.beta.kubernetes.io/x]: Invalid value: "x": container not found',
                'spec.template.annotations[container.apparmor.security.beta.kubernetes.io/x]: Invalid value: "x": invalid AppArmor profile name: "x"',
            ],
        ),
        ("metadata: {}", ["spec.template.metadata.labels: Invalid value: null: `selector` does not match template `labels`"]),
    ],
)
def test_templates(server: Any, template: str, causes: list[str]) -> None:
    spec = f"{{selector: {{matchLabels: {{a: b}}}}, template: {{{template}, spec: {{containers: [{APP}]}}}}}}"
    for kind in ("Deployment", "ReplicaSet", "DaemonSet"):
        assert server.errors(f"{{apiVersion: apps/v1, kind: {kind}, metadata: {{name: web}}, spec: {spec}}}") == causes


def test_gated_pods_can_be_narrowed_down(server: Any) -> None:
    pod = server.create(f"{HEAD}{{containers: [{APP}], schedulingGates: [{{name: a.b/c}}], nodeSelector: {{x: y}}}}}}")
    assert (pod.status.conditions[0].type, pod.status.conditions[0].reason) == ("PodScheduled", "SchedulingGated")
    assert server.update(pod, spec__nodeSelector={"x": "y", "z": "1"})[1] == []
    assert server.update(pod, spec__schedulingGates=[])[1] == []
    assert "only additions to spec.nodeSelector are allowed" in server.update(pod, spec__nodeSelector={"x": "other"})[1][0]


def test_status_changes_that_cannot_be_true(server: Any) -> None:
    import copy

    from tiphys.api.core.v1 import ContainerState, ContainerStateRunning, ContainerStateTerminated, ContainerStatus
    from tiphys.api.kinds import SCHEME

    old = server.create(f"{HEAD}{{containers: [{APP}], restartPolicy: Never}}}}")
    rules = SCHEME.of(type(old)).rules
    old.status.containerStatuses = [ContainerStatus(name="app", state=ContainerState(terminated=ContainerStateTerminated(exitCode=1)))]
    new = copy.deepcopy(old)
    new.status.containerStatuses[0].state = ContainerState(running=ContainerStateRunning())
    new.status.qosClass = "Guaranteed"
    assert [str(error) for error in rules.validate_status_update(new, old)] == [
        'status.qosClass: Invalid value: "Guaranteed": field is immutable',
        "status.containerStatuses[0].state: Forbidden: may not be transitioned to non-terminated state",
    ]
    old.spec.restartPolicy = new.spec.restartPolicy = "OnFailure"
    new.status.qosClass = ""
    rules.prepare_status_update(new, old)
    assert rules.validate_status_update(new, old) == []


def test_grace_periods(pod: Any) -> None:
    from tiphys.api.kinds import SCHEME

    grace = SCHEME.of(type(pod)).rules.grace_period
    assert grace(pod, None) == 0
    pod.spec.nodeName = "n"
    assert (grace(pod, None), grace(pod, 5), grace(pod, 0), grace(pod, -1)) == (30, 5, 0, 1)
    pod.status.phase = "Failed"
    assert grace(pod, 5) == 0
