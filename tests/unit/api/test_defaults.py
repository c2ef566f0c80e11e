"""Defaults of every kind."""

# One case to a line, however long.
# ruff: noqa: E501

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tiphys.api.core.pods.image import pull_policy
from tiphys.api.kinds import SCHEME

POD = """
apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  hostNetwork: true
  containers:
  - name: app
    image: nginx
    ports: [{containerPort: 80}]
    env: [{name: N, valueFrom: {fieldRef: {fieldPath: metadata.name}}}]
    resources: {limits: {cpu: "1", memory: 1024Mi}, requests: {memory: 512Mi}}
    readinessProbe: {httpGet: {port: 80}}
    livenessProbe: {grpc: {port: 80}, periodSeconds: 3}
    lifecycle: {preStop: {httpGet: {port: 80, path: /bye}}}
  volumes:
  - {name: nothing}
  - {name: config, configMap: {name: c}}
  - {name: secret, secret: {secretName: s, defaultMode: 256}}
  - {name: host, hostPath: {path: /x}}
  - {name: down, downwardAPI: {items: [{path: labels, fieldRef: {fieldPath: metadata.labels}}]}}
  - {name: token, projected: {sources: [{serviceAccountToken: {path: token}}]}}
  serviceAccountName: bot
"""


def test_pods(server: Any) -> None:
    spec = server.create(POD).spec
    assert (spec.restartPolicy, spec.dnsPolicy, spec.schedulerName) == ("Always", "ClusterFirst", "default-scheduler")
    assert (spec.terminationGracePeriodSeconds, spec.enableServiceLinks, spec.serviceAccount) == (30, True, "bot")
    assert spec.securityContext is not None
    app = spec.containers[0]
    assert (app.imagePullPolicy, app.terminationMessagePath, app.terminationMessagePolicy) == ("Always", "/dev/termination-log", "File")
    assert (app.ports[0].protocol, app.ports[0].hostPort) == ("TCP", 80)
    assert app.env[0].valueFrom.fieldRef.apiVersion == "v1"
    assert app.resources.requests == {"cpu": "1", "memory": "512Mi"}
    ready = app.readinessProbe
    assert (ready.timeoutSeconds, ready.periodSeconds, ready.successThreshold, ready.failureThreshold) == (1, 10, 1, 3)
    assert (ready.httpGet.path, ready.httpGet.scheme) == ("/", "HTTP")
    assert (app.livenessProbe.periodSeconds, app.livenessProbe.grpc.service) == (3, "")
    assert (app.lifecycle.preStop.httpGet.path, app.lifecycle.preStop.httpGet.scheme) == ("/bye", "HTTP")
    nothing, config, secret, host, down, token = spec.volumes
    assert nothing.emptyDir is not None
    assert (config.configMap.defaultMode, secret.secret.defaultMode, host.hostPath.type) == (0o644, 256, "")
    assert (down.downwardAPI.defaultMode, down.downwardAPI.items[0].fieldRef.apiVersion) == (0o644, "v1")
    assert token.projected.sources[0].serviceAccountToken.expirationSeconds == 3600


def test_resources_have_no_finer_grain_than_thousandths(server: Any) -> None:
    pod = server.create(
        "{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {containers: [{name: a, image: b:1, resources: {requests: {cpu: 100500u}}}]}}"
    )
    assert pod.spec.containers[0].resources.requests == {"cpu": "101m"}


def test_templates_do_not_get_what_only_pods_get(server: Any) -> None:
    template = server.create(
        """
        apiVersion: apps/v1
        kind: ReplicaSet
        metadata: {name: web}
        spec:
          selector: {matchLabels: {app: web}}
          template:
            metadata: {labels: {app: web}}
            spec: {containers: [{name: app, image: "nginx:1", resources: {limits: {cpu: "1"}}}]}
        """
    ).spec.template
    assert template.spec.restartPolicy == "Always"
    assert template.spec.enableServiceLinks is None
    assert template.spec.containers[0].resources.requests == {}


def test_pod_level_resources(server: Any) -> None:
    pod = server.create(
        """
        apiVersion: v1
        kind: Pod
        metadata: {name: a}
        spec:
          resources: {limits: {cpu: "2", memory: 1Gi}}
          containers: [{name: a, image: "b:1", resources: {requests: {cpu: 250m}}}, {name: c, image: "b:1", resources: {requests: {cpu: 250m}}}]
        """
    )
    assert pod.spec.resources.requests == {"cpu": "500m", "memory": "1Gi"}


@pytest.mark.parametrize(
    ("image", "policy"),
    [
        ("nginx", "Always"),
        ("nginx:latest", "Always"),
        ("registry:5000/nginx", "Always"),
        ("registry:5000/nginx:1", "IfNotPresent"),
        ("nginx@sha256:" + "a" * 64, "IfNotPresent"),
        ("nginx:latest@sha256:" + "a" * 64, "Always"),
        ("", "IfNotPresent"),
    ],
)
def test_pull_policies(image: str, policy: str) -> None:
    assert pull_policy(image) == policy


def test_deployments(server: Any) -> None:
    spec = server.create(DEPLOYMENT).spec
    assert (spec.replicas, spec.revisionHistoryLimit, spec.progressDeadlineSeconds) == (1, 10, 600)
    assert spec.strategy.type == "RollingUpdate"
    assert (spec.strategy.rollingUpdate.maxSurge, spec.strategy.rollingUpdate.maxUnavailable) == ("25%", "25%")


DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template: {metadata: {labels: {app: web}}, spec: {containers: [{name: app, image: nginx}]}}
"""


def test_services(server: Any) -> None:
    spec = server.create("{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {ports: [{port: 80}]}}").spec
    assert (spec.type, spec.sessionAffinity, spec.internalTrafficPolicy, spec.externalTrafficPolicy) == ("ClusterIP", "None", "Cluster", "")
    assert (spec.ports[0].protocol, spec.ports[0].targetPort) == ("TCP", 80)
    assert (spec.ipFamilies, spec.ipFamilyPolicy) == (["IPv4"], "SingleStack")
    spec = server.create(
        "{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {type: NodePort, sessionAffinity: ClientIP, ports: [{port: 80, targetPort: http}]}}"
    ).spec
    assert (spec.externalTrafficPolicy, spec.sessionAffinityConfig.clientIP.timeoutSeconds) == ("Cluster", 10800)
    assert spec.ports[0].targetPort == "http"
    spec = server.create("{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {clusterIP: None, selector: {a: b}}}").spec
    assert spec.clusterIPs == ["None"]
    spec = server.create(
        "{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {type: ExternalName, externalName: example.com.}}"
    ).spec
    assert (spec.ipFamilies, spec.internalTrafficPolicy) == ([], None)


def test_small_kinds(server: Any) -> None:
    secret = server.create("{apiVersion: v1, kind: Secret, metadata: {name: s}, data: {a: b2xk}, stringData: {a: new, b: x}}")
    assert (secret.type, secret.data, secret.stringData) == ("Opaque", {"a": b"new", "b": b"x"}, {})
    namespace = server.create("{apiVersion: v1, kind: Namespace, metadata: {name: team}}")
    assert namespace.metadata.labels == {"kubernetes.io/metadata.name": "team"}
    assert (namespace.spec.finalizers, namespace.status.phase) == (["kubernetes"], "Active")
    node = server.create("{apiVersion: v1, kind: Node, metadata: {name: n}, status: {capacity: {cpu: '2.0'}}}")
    assert node.status.allocatable == {"cpu": "2"}
    binding = server.create(
        """
        apiVersion: rbac.authorization.k8s.io/v1
        kind: RoleBinding
        metadata: {name: b}
        roleRef: {kind: Role, name: r}
        subjects: [{kind: User, name: ann}, {kind: ServiceAccount, name: bot, namespace: default}]
        """
    )
    assert binding.roleRef.apiGroup == binding.subjects[0].apiGroup == "rbac.authorization.k8s.io"
    assert binding.subjects[1].apiGroup == ""
    value = server.create("{apiVersion: scheduling.k8s.io/v1, kind: PriorityClass, metadata: {name: p}, value: 5}")
    assert value.preemptionPolicy == "PreemptLowerPriority"


@pytest.mark.parametrize("text", [POD, DEPLOYMENT])
def test_defaults_change_nothing_the_second_time(server: Any, text: str) -> None:
    obj = server.create(text)
    before = msgspec.to_builtins(obj)
    SCHEME.of(type(obj)).rules.default(obj)
    assert msgspec.to_builtins(obj) == before


def test_a_negative_grace_period_of_a_pod_is_one_second_and_that_of_a_template_stays(server: Any) -> None:
    spec = "{terminationGracePeriodSeconds: -5, restartPolicy: Never, containers: [{name: a, image: a}]}"
    pod = server.prepared(f"{{apiVersion: v1, kind: Pod, metadata: {{name: p}}, spec: {spec}}}")
    assert pod.spec.terminationGracePeriodSeconds == 1
    job = server.prepared(f"{{apiVersion: batch/v1, kind: Job, metadata: {{name: j}}, spec: {{template: {{spec: {spec}}}}}}}")
    assert job.spec.template.spec.terminationGracePeriodSeconds == -5


@pytest.mark.parametrize(
    ("labels", "template", "own"),
    [("{a: b}", "{a: b}", {"a": "b"}), ("{a: b}", "{}", {"a": "b"}), ("{}", "{a: b}", None), ("{}", "{}", None)],
)
def test_only_a_job_without_labels_gets_those_that_the_server_adds_to_its_pods(
    server: Any, labels: str, template: str, own: dict[str, str] | None
) -> None:
    pods = f"{{metadata: {{labels: {template}}}, spec: {{restartPolicy: Never, containers: [{{name: a, image: a}}]}}}}"
    job = server.create(f"{{apiVersion: batch/v1, kind: Job, metadata: {{name: j, uid: u, labels: {labels}}}, spec: {{template: {pods}}}}}")
    added = {
        f"{prefix}{name}": value for prefix in ("", "batch.kubernetes.io/") for name, value in (("controller-uid", "u"), ("job-name", "j"))
    }
    assert job.spec.template.metadata.labels == {**added, **({"a": "b"} if template != "{}" else {})}
    assert job.metadata.labels == (own or job.spec.template.metadata.labels)


@pytest.mark.parametrize(
    ("image", "policy"),
    [
        ("x y", "IfNotPresent"),
        ("X", "IfNotPresent"),
        ("x:", "IfNotPresent"),
        ("x@sha256:abc", "IfNotPresent"),
        ("a" * 64, "IfNotPresent"),
        ("UPPER.example/x", "Always"),
        ("reg:5000/x", "Always"),
        ("x:latest@sha256:" + "0" * 64, "Always"),
        ("x@sha256:" + "0" * 64, "IfNotPresent"),
    ],
)
def test_pull_policy_of_odd_references(image: str, policy: str) -> None:
    assert pull_policy(image) == policy


def _new(server: Any, spec: str, metadata: str = "") -> Any:
    containers = "" if "containers: " in spec else "containers: [{name: app, image: x}], "
    return server.create(f"{{apiVersion: v1, kind: Pod, metadata: {{name: web{metadata}}}, spec: {{{containers}{spec}}}}}")


def test_label_keys_join_the_selectors_of_a_new_pod(server: Any) -> None:
    term = "{topologyKey: k, labelSelector: {}, matchLabelKeys: [a, z], mismatchLabelKeys: [b]}"
    spread = "{maxSkew: 1, topologyKey: k, whenUnsatisfiable: DoNotSchedule, labelSelector: {}, matchLabelKeys: [a]}"
    affinity = f"{{podAntiAffinity: {{preferredDuringSchedulingIgnoredDuringExecution: [{{weight: 1, podAffinityTerm: {term}}}]}}}}"
    made = _new(server, f"affinity: {affinity}, topologySpreadConstraints: [{spread}]", ", labels: {a: '1', b: '2'}").spec
    preferred = made.affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].podAffinityTerm.labelSelector
    assert [(e.key, e.operator, e.values) for e in preferred.matchExpressions] == [("a", "In", ["1"]), ("b", "NotIn", ["2"])]
    assert [e.key for e in made.topologySpreadConstraints[0].labelSelector.matchExpressions] == ["a"]


def test_app_armor_annotations_become_fields(server: Any) -> None:
    text = "{apiVersion: v1, kind: Pod, metadata: {name: web, annotations: {container.apparmor.security.beta.kubernetes.io/app: localhost/p}}, spec: {containers: [{name: app, image: x}]}}"
    profile = server.create(text).spec.containers[0].securityContext.appArmorProfile
    assert (profile.type, profile.localhostProfile) == ("Localhost", "p")
    assert server.warnings(text) == [
        'metadata.annotations[container.apparmor.security.beta.kubernetes.io/app]: deprecated since v1.30; use the "appArmorProfile" field instead'
    ]


def test_fields_of_disabled_features_are_dropped(server: Any) -> None:
    sources = "[{clusterTrustBundle: {name: b, path: p}}, {podCertificate: {signerName: a.b/c, keyType: ED25519}}]"
    container = "{name: app, image: x, lifecycle: {stopSignal: SIGTERM}}"
    made = _new(
        server,
        f"schedulingGroup: {{podGroupName: g}}, volumes: [{{name: v, projected: {{sources: {sources}}}}}], containers: [{container}]",
    ).spec
    assert made.schedulingGroup is None
    assert made.containers[0].lifecycle is None
    assert [(source.clusterTrustBundle, source.podCertificate) for source in made.volumes[0].projected.sources] == [(None, None)] * 2


def test_resources_of_pods(server: Any) -> None:
    pages = "{name: app, image: x, resources: {limits: {hugepages-2Mi: 2Mi, memory: '1'}}}"
    made = _new(server, f"resources: {{limits: {{cpu: 100u}}}}, containers: [{pages}]").spec.resources
    assert made.limits == {"cpu": "1m", "hugepages-2Mi": "2Mi"}
    assert made.requests == {"cpu": "1m", "hugepages-2Mi": "2Mi", "memory": "1"}
    divisor = "{name: app, image: x, env: [{name: A, valueFrom: {resourceFieldRef: {resource: limits.cpu}}}]}"
    assert _new(server, f"containers: [{divisor}]").spec.containers[0].env[0].valueFrom.resourceFieldRef.divisor == "0"
