"""The other kinds: their mistakes and the changes they refuse."""

# One case to a line, however long.
# ruff: noqa: E501

from __future__ import annotations

from typing import Any

import pytest

DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web}}
spec:
  selector: {selector}
  {more}
  template: {{metadata: {{labels: {{app: web}}}}, spec: {{containers: [{{name: app, image: nginx}}]{spec}}}}}
"""


def deployment(selector: str = "{matchLabels: {app: web}}", more: str = "minReadySeconds: 0", spec: str = "") -> str:
    return DEPLOYMENT.format(selector=selector, more=more, spec=spec)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (deployment("{matchLabels: {app: db}}"), 'spec.template.metadata.labels: Invalid value: {"app":"web"}: `selector` does not match template `labels`'),
        (deployment("{}"), "spec.selector: Invalid value: {}: empty selector is invalid for deployment"),
        (deployment("null"), "spec.selector: Required value"),
        (deployment("{matchExpressions: [{key: a, operator: Odd}]}"), 'spec.selector.matchExpressions[0].operator: Invalid value: "Odd": not a valid selector operator'),
        (deployment(more="replicas: -1"), "spec.replicas: Invalid value: -1: must be greater than or equal to 0"),
        (deployment(more="strategy: {type: Odd}"), 'spec.strategy: Unsupported value: {"type":"Odd"}: supported values: "Recreate", "RollingUpdate"'),
        (deployment(more="strategy: {type: Recreate, rollingUpdate: {maxSurge: 1}}"), "spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is 'Recreate'"),
        (deployment(more="strategy: {rollingUpdate: {maxSurge: 0, maxUnavailable: 0%}}"), "maxUnavailable: Invalid value: \"0%\": may not be 0 when `maxSurge` is 0"),
        (deployment(more="strategy: {rollingUpdate: {maxUnavailable: 200%}}"), "must not be greater than 100%"),
        (deployment(more="strategy: {rollingUpdate: {maxSurge: lots}}"), "a valid percent string must be a numeric string followed by an ending '%'"),
        (deployment(more="progressDeadlineSeconds: 5\n  minReadySeconds: 5"), "spec.progressDeadlineSeconds: Invalid value: 5: must be greater than minReadySeconds"),
        (deployment(spec=", restartPolicy: Never"), 'spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always"'),
        ("{apiVersion: v1, kind: Service, metadata: {name: a}}", "spec.ports: Required value"),
        ("{apiVersion: v1, kind: Service, metadata: {name: A}, spec: {ports: [{port: 1}]}}", 'metadata.name: Invalid value: "A": a lowercase RFC 1123 label'),
        ("{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {ports: [{port: 1}, {port: 2}]}}", "spec.ports[1].name: Required value"),
        ("{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {ports: [{port: 1, name: a}, {port: 1, name: b}]}}", "spec.ports[1]: Duplicate value"),
        ("{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {ports: [{port: 1, nodePort: 30000}]}}", "spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'"),
        ("{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {type: Odd, ports: [{port: 1}]}}", 'spec.type: Unsupported value: "Odd": supported values: "ClusterIP", "ExternalName", "LoadBalancer", "NodePort"'),
        ("{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {type: ExternalName}}", "spec.externalName: Required value"),
        ("{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {type: NodePort, clusterIP: None, ports: [{port: 1}]}}", "may not be set to 'None' for NodePort services"),
        ("{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {clusterIP: 1.2.3, ports: [{port: 1}]}}", 'spec.clusterIPs[0]: Invalid value: "1.2.3": must be a valid IP address'),
        ("{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {externalIPs: [127.0.0.1], ports: [{port: 1}]}}", "may not be in the loopback range"),
        ("{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {sessionAffinity: ClientIP, sessionAffinityConfig: {clientIP: {timeoutSeconds: 0}}, ports: [{port: 1}]}}", "must be greater than 0 and less than 86400"),
        ("{apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {a/b: c}}", 'data[a/b]: Invalid value: "a/b": a valid config key must consist of'),
        ("{apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {a: b}, binaryData: {a: ''}}", "duplicate of key present in binaryData"),
        ("{apiVersion: v1, kind: Secret, metadata: {name: a}, type: kubernetes.io/tls}", "data[tls.crt]: Required value"),
        ("{apiVersion: v1, kind: Secret, metadata: {name: a}, type: kubernetes.io/dockerconfigjson, stringData: {.dockerconfigjson: hush}}", '"<secret contents redacted>"'),
        ("{apiVersion: v1, kind: Namespace, metadata: {name: a.b}}", 'metadata.name: Invalid value: "a.b": must not contain dots'),
        ("{apiVersion: v1, kind: Node, metadata: {name: a}, spec: {taints: [{key: a, effect: Odd}]}}", 'metadata.taints[0].effect: Unsupported value: "Odd"'),
        ("{apiVersion: v1, kind: Node, metadata: {name: a}, spec: {podCIDRs: [10.0.0.0]}}", "spec.podCIDRs[0]: Invalid value: \"10.0.0.0\": must be a valid CIDR value"),
        ("{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: 'a:b'}, rules: [{}]}", "rules[0].verbs: Required value: verbs must contain at least one value"),
        ("{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: a}, rules: [{verbs: [get], nonResourceURLs: [/x]}]}", "namespaced rules cannot apply to non-resource URLs"),
        ("{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: a/b}}", "metadata.name: Invalid value: \"a/b\": may not contain '/'"),
        ("{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {name: a}, roleRef: {kind: Role, name: r}}", 'roleRef.kind: Unsupported value: "Role": supported values: "ClusterRole"'),
        ("{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {name: a}, roleRef: {kind: ClusterRole, name: r}, subjects: [{kind: ServiceAccount, name: s}]}", "subjects[0].namespace: Required value"),
        ("{apiVersion: coordination.k8s.io/v1, kind: Lease, metadata: {name: a}, spec: {leaseDurationSeconds: 0}}", "spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0"),
        ("{apiVersion: policy/v1, kind: PodDisruptionBudget, metadata: {name: a}, spec: {minAvailable: 1, maxUnavailable: 1}}", "minAvailable and maxUnavailable cannot be both set"),
        ("{apiVersion: policy/v1, kind: PodDisruptionBudget, metadata: {name: a}, spec: {minAvailable: 101%}}", "must not be greater than 100%"),
        ("{apiVersion: scheduling.k8s.io/v1, kind: PriorityClass, metadata: {name: a}, value: 1000000001}", "maximum allowed value of a user defined priority is 1000000000"),
        ("{apiVersion: scheduling.k8s.io/v1, kind: PriorityClass, metadata: {name: system-mine}, value: 1}", "reserved for system use only"),
        ("{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: a}, addressType: IPv4, endpoints: [{addresses: ['2001:db8::1']}]}", 'endpoints[0].addresses: Invalid value: "2001:db8::1": must be an IPv4 address'),
        ("{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: a}, addressType: IPv4, endpoints: [{addresses: [10.0.0.01]}]}", "endpoints[0].addresses[0]: Invalid value: \"10.0.0.01\": must not have leading 0s"),
        ("{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: a}, addressType: FQDN, endpoints: [{addresses: [host]}]}", "should be a domain with at least two segments separated by dots"),
        ("{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: a}, addressType: IPv4, endpoints: [{addresses: [10.0.0.1], hints: {forZones: [{name: a}, {name: a}]}}]}", 'endpoints[0].hints.forZones[1].name: Duplicate value: "a"'),
        ("{apiVersion: scheduling.k8s.io/v1, kind: PriorityClass, metadata: {name: system-node-critical}, value: 1}", "error: value of system-node-critical PriorityClass must be 2000001000"),
        ("{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: a}, addressType: IPv4, endpoints: [{}]}", "endpoints[0].addresses: Required value"),
        ("{apiVersion: v1, kind: Endpoints, metadata: {name: a}, subsets: [{}]}", "subsets[0]: Required value: must specify `addresses` or `notReadyAddresses`"),
        ("{apiVersion: v1, kind: Event, metadata: {name: a}, involvedObject: {namespace: other}}", "does not match event.namespace"),
        ("{apiVersion: apps/v1, kind: ControllerRevision, metadata: {name: a}}", "data: Required value: data is mandatory"),
    ],
)  # fmt: skip
def test_rejects_invalid_fields(server: Any, text: str, said: str) -> None:
    server.rejects(text, said)


@pytest.mark.parametrize(
    "text",
    [
        deployment(more="strategy: {type: Recreate}"),
        "{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {type: LoadBalancer, externalTrafficPolicy: Local, ports: [{port: 1}]}}",
        "{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {clusterIP: None}}",
        "{apiVersion: v1, kind: Service, metadata: {name: 1a}, spec: {ports: [{port: 53, name: a}, {port: 53, name: b, protocol: UDP}]}}",
        "{apiVersion: v1, kind: Event, metadata: {name: a}, involvedObject: {kind: Node, name: n}}",
        "{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: 'system:x'}, rules: [{verbs: [get], nonResourceURLs: [/x]}]}",
        "{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: a}, addressType: IPv4, endpoints: [{addresses: [10.0.0.1]}], ports: [{port: 1}]}",
        "{apiVersion: scheduling.k8s.io/v1, kind: PriorityClass, metadata: {name: system-node-critical}, value: 2000001000}",
        "{apiVersion: v1, kind: ServiceAccount, metadata: {name: bot}}",
    ],
)
def test_accepts_valid_objects(server: Any, text: str) -> None:
    server.create(text)


def test_size_limit(server: Any) -> None:
    config = server.create("{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}")
    config.data["big"] = "x" * (1024 * 1024)
    assert server.errors_of(config) == []
    config.data["more"] = "é"
    assert server.errors_of(config) == [": Too long: may not be more than 1048576 bytes"]


def test_frozen_configuration(server: Any) -> None:
    config = server.create("{apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {a: b}, immutable: true}")
    assert server.update(config, data={"a": "c"})[1] == ["data: Forbidden: field is immutable when `immutable` is set"]
    assert server.update(config, immutable=None)[1] == ["immutable: Forbidden: field is immutable when `immutable` is set"]
    assert server.update(config, metadata__labels={"a": "b"})[1] == []
    secret = server.create("{apiVersion: v1, kind: Secret, metadata: {name: a}}")
    assert server.update(secret, type="other")[1] == ['type: Invalid value: "other": field is immutable']


def test_immutable_fields(server: Any) -> None:
    from tiphys.api.meta.v1 import LabelSelector
    from tiphys.api.rbac.v1 import RoleRef

    web = server.create(deployment())
    _, errors = server.update(web, spec__selector=LabelSelector(matchLabels={"app": "web", "x": "y"}))
    assert 'spec.selector: Invalid value: {"matchLabels":{"app":"web","x":"y"}}: field is immutable' in errors
    assert server.update(web, spec__replicas=3)[1] == []
    binding = server.create(
        "{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: a}, roleRef: {kind: Role, name: r}}"
    )
    _, errors = server.update(binding, roleRef=RoleRef(apiGroup="rbac.authorization.k8s.io", kind="Role", name="other"))
    assert errors[0].endswith(": cannot change roleRef")
    value = server.create("{apiVersion: scheduling.k8s.io/v1, kind: PriorityClass, metadata: {name: a}, value: 1}")
    assert server.update(value, value=2)[1] == ["value: Forbidden: may not be changed in an update."]
    node = server.create("{apiVersion: v1, kind: Node, metadata: {name: a}, spec: {podCIDRs: [10.0.0.0/24]}}")
    assert server.update(node, spec__podCIDRs=[])[1] == [
        'spec.podCIDRs: Forbidden: node updates may not change podCIDR except from "" to valid'
    ]
    assert server.update(node, spec__unschedulable=True)[1] == []


def test_a_lease_keeps_no_strategy(server: Any) -> None:
    """Coordinated leader election is off in this version, and its fields are dropped."""
    lease = server.create("{apiVersion: coordination.k8s.io/v1, kind: Lease, metadata: {name: a}, spec: {strategy: a, preferredHolder: b}}")
    assert (lease.spec.strategy, lease.spec.preferredHolder) == (None, None)


def test_addresses_of_an_endpoint_slice_of_no_family(server: Any) -> None:
    """Their own form is judged for a known type only; ports may be any number, as upstream has it."""
    text = "{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: a}, addressType: odd, endpoints: [{addresses: [a]}],"
    assert server.errors(text + " ports: [{port: 70000}, {name: a, protocol: ''}]}") == [
        'addressType: Unsupported value: "odd": supported values: "FQDN", "IPv4", "IPv6"',
        'ports[1].protocol: Unsupported value: "": supported values: "SCTP", "TCP", "UDP"',
    ]
