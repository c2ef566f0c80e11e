"""Warnings about pods and templates that are allowed."""

# One case to a line, however long.
# ruff: noqa: E501

from __future__ import annotations

from typing import Any

import pytest

from tiphys.api.kinds import SCHEME

POD = "{{apiVersion: v1, kind: Pod, metadata: {{name: web, annotations: {annotations}}}, spec: {{{spec}containers: [{{name: app, image: a{container}}}]}}}}"
DEPLOYMENT = (
    "{apiVersion: apps/v1, kind: Deployment, metadata: {name: web}, spec: {selector: {matchLabels: {a: b}}, "
    "template: {metadata: {labels: {a: b}}, spec: {nodeSelector: {beta.kubernetes.io/os: linux}, containers: [{name: app, image: a}]}}}}"
)


def pod(spec: str = "", container: str = "", annotations: str = "{}") -> str:
    return POD.format(spec=spec, container=container, annotations=annotations)


def said(server: Any, text: str) -> list[str]:
    made = server.prepared(text)
    rules = SCHEME.of(type(made)).rules
    return [*rules.spec_warnings(made), *rules.warnings(made, None)]


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        (pod("nodeSelector: {beta.kubernetes.io/arch: x}, "), 'spec.nodeSelector[beta.kubernetes.io/arch]: deprecated since v1.14; use "kubernetes.io/arch" instead'),
        (pod("affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: [{key: beta.kubernetes.io/os, operator: Exists}]}]}}}, "), 'spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchExpressions[0].key: beta.kubernetes.io/os is deprecated since v1.14; use "kubernetes.io/os" instead'),
        (pod("affinity: {podAntiAffinity: {requiredDuringSchedulingIgnoredDuringExecution: [{topologyKey: a}]}}, "), "spec.affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].labelSelector: a null labelSelector results in matching no pod"),
        (pod("affinity: {podAffinity: {preferredDuringSchedulingIgnoredDuringExecution: [{weight: 1, podAffinityTerm: {topologyKey: a}}]}}, "), "spec.affinity.podAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].podAffinityTerm.labelSelector: a null labelSelector results in matching no pod"),
        (pod("topologySpreadConstraints: [{maxSkew: 1, topologyKey: failure-domain.beta.kubernetes.io/zone, whenUnsatisfiable: DoNotSchedule, labelSelector: {}}], "), 'spec.topologySpreadConstraints[0].topologyKey: failure-domain.beta.kubernetes.io/zone is deprecated since v1.17; use "topology.kubernetes.io/zone" instead'),
        (pod(annotations="{scheduler.alpha.kubernetes.io/critical-pod: ''}"), 'metadata.annotations[scheduler.alpha.kubernetes.io/critical-pod]: non-functional in v1.16+; use the "priorityClassName" field instead'),
        (pod(annotations="{seccomp.security.alpha.kubernetes.io/pod: x}"), 'metadata.annotations[seccomp.security.alpha.kubernetes.io/pod]: non-functional in v1.27+; use the "seccompProfile" field instead'),
        (pod("volumes: [{name: v, gitRepo: {repository: r}}], "), "spec.volumes[0].gitRepo: deprecated in v1.11, and disabled by default in v1.33+"),
        (pod("volumes: [{name: v, configMap: {name: c, items: [{key: a, path: x}, {key: b, path: x/y}]}}], "), 'volume "v" (ConfigMap "c"): overlapping paths: "x/y" with "x"'),
        (pod("volumes: [{name: v, projected: {sources: [{secret: {name: s, items: [{key: a, path: x}]}}, {configMap: {name: c, items: [{key: a, path: x}]}}]}}], "), 'volume "v" (Projected): overlapping paths: "x" (ConfigMap "c") with "x" (Secret "s")'),
        (pod("hostAliases: [{ip: 1.2.3.4}, {ip: 1.2.3.4}], "), 'spec.hostAliases[1].ip: duplicate ip "1.2.3.4"'),
        (pod("imagePullSecrets: [{name: a}, {name: a}], "), 'spec.imagePullSecrets[1].name: duplicate name "a"'),
        (pod("imagePullSecrets: [{}], "), 'spec.imagePullSecrets[0].name: invalid empty name ""'),
        (pod(container=", resources: {limits: {memory: 100m}, requests: {memory: '1'}}"), 'spec.containers[0].resources.limits[memory]: fractional byte value "100m" is invalid, must be an integer'),
        (pod(container=", env: [{name: A, value: x}, {name: A, value: y}]"), 'spec.containers[0].env[1]: hides previous definition of "A", which may be dropped when using apply'),
        (pod(container=", ports: [{containerPort: 80}, {containerPort: 80, hostPort: 1}]"), "spec.containers[0].ports[1]: overlapping port definition with spec.containers[0].ports[0]"),
        (pod("initContainers: [{name: i, image: a, ports: [{containerPort: 80}]}], ", ", ports: [{containerPort: 80}]"), "spec.containers[0].ports[0]: duplicate port definition with spec.initContainers[0].ports[0]"),
        (pod(container=", ports: [{containerPort: 80, hostPort: 1, hostIP: 1.1.1.1}, {containerPort: 80, hostPort: 1}]"), "spec.containers[0].ports[1]: dangerously ambiguous port definition with spec.containers[0].ports[0]"),
        (pod(container=", ports: [{containerPort: 80, hostIP: 1.1.1.1}]"), "spec.containers[0].ports[0]: hostIP set without hostPort: {Name: HostPort:0 ContainerPort:80 Protocol:TCP HostIP:1.1.1.1}"),
        (pod("initContainers: [{name: i, image: a, ports: [{containerPort: 81, name: x}]}], ", ", ports: [{containerPort: 80, name: x}]"), 'spec.containers[0].ports[0]: duplicate port name "x" with spec.initContainers[0].ports[0], services and probes that select ports by name will use spec.initContainers[0].ports[0]'),
        (DEPLOYMENT.replace("nodeSelector: {beta.kubernetes.io/os: linux}", "terminationGracePeriodSeconds: -1"), "spec.template.spec.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1"),
        (pod("dnsConfig: {nameservers: ['::0:1']}, "), 'spec.dnsConfig.nameservers[0]: IPv6 address "::0:1" should be in RFC 5952 canonical format ("::1")'),
        (DEPLOYMENT, 'spec.template.spec.nodeSelector[beta.kubernetes.io/os]: deprecated since v1.14; use "kubernetes.io/os" instead'),
    ],
)  # fmt: skip
def test_warnings(server: Any, text: str, warning: str) -> None:
    assert said(server, text) == [warning]


@pytest.mark.parametrize(
    "text",
    [
        pod(),
        pod(container=", env: [{name: A, value: x}, {name: A, value: $(A)y}], ports: [{containerPort: 53}, {containerPort: 53, protocol: UDP}]"),
        pod("volumes: [{name: v, projected: {sources: [{serviceAccountToken: {path: token}}, {configMap: {name: c, items: [{key: a, path: a/b}, {key: b, path: a/c}]}}]}}], "),
        pod(container=", resources: {limits: {memory: 1Gi, cpu: 100m}}"),
    ],
)  # fmt: skip
def test_nothing_to_say(server: Any, text: str) -> None:
    assert said(server, text) == []


def test_a_workload_s_name_becomes_its_pods_hostname(server: Any) -> None:
    sound = DEPLOYMENT.replace("nodeSelector: {beta.kubernetes.io/os: linux}, ", "")
    hint = "metadata.name: this is used in Pod names and hostnames, which can result in surprising behavior; a DNS label is recommended: [must not contain dots]"
    assert said(server, sound.replace("name: web}", "name: a.b}")) == [hint]
    assert said(server, sound) == []


def test_a_template_is_judged_when_it_is_written(server: Any) -> None:
    made = server.prepared(DEPLOYMENT)
    rules = SCHEME.of(type(made)).rules
    relabeled, _ = server.update(made, metadata__labels={"x": "y"})
    scaled, _ = server.update(made, spec__replicas=3)
    assert (rules.warnings(relabeled, made), len(rules.warnings(scaled, made))) == ([], 1)
    alone = server.prepared(pod("nodeSelector: {beta.kubernetes.io/os: x}, "))
    assert SCHEME.of(type(alone)).rules.warnings(alone, alone) == []
