"""Containers: commands, resources, probes, hooks and mounts."""

from __future__ import annotations

from typing import Any

from tiphys.api.core import v1 as core
from tiphys.api.enforcement.entry import Entry, Section, dropped, enforced, refused, warned

_HTTP = {"httpGet": {"port": 80}}


def _container(**fields: Any) -> dict[str, Any]:
    return {"containers": [fields]}


def _ephemeral(field: str, value: Any) -> tuple[Entry, ...]:
    text = "cannot be set for an Ephemeral Container"
    return refused(core.EphemeralContainer, field, text, {"ephemeralContainers": [{"name": "debug", "image": "i", field: value}]})


CONTAINERS = Section(
    title="Containers",
    kind="Pod",
    entries=(
        *enforced(core.Container, "name image command args workingDir stdin stdinOnce tty", "node.container.config"),
        *enforced(core.Container, "terminationMessagePath terminationMessagePolicy", "node.container.config", "node.runtime.pleg"),
        *enforced(core.Container, "imagePullPolicy", "node.pulls.puller"),
        *enforced(core.Container, "restartPolicy", "node.pod.plan", "api.helpers.resources"),
        *enforced(core.Container, "livenessProbe readinessProbe startupProbe", "node.container.probes"),
        *enforced(core.VolumeDevice, "name devicePath", "node.container.config", "node.volumes.block"),
        *enforced(core.ContainerPort, "containerPort protocol hostPort hostIP", "node.container.config"),
        *enforced(
            core.ContainerPort, "name", "node.container.checks", "controllers.endpoints.backends",
            text="For probes and Services that name a port.",
        ),
        *enforced(core.EnvFromSource, "prefix configMapRef secretRef", "node.container.env"),
        *enforced(core.EnvVar, "name value", "node.container.env"),
        *enforced(core.EnvVarSource, "fieldRef resourceFieldRef configMapKeyRef secretKeyRef fileKeyRef", "node.container.env"),
        *enforced(core.ContainerResizePolicy, "resourceName restartPolicy", "node.pod.resize_rules"),
        *enforced(core.ContainerRestartRule, "exitCodes", "node.pod.plan"),
        *enforced(core.ContainerRestartRule, "action", "node.pod.plan", case="Restart"),
        *warned(
            core.ContainerRestartRule, "action", "RestartAllContainers is not supported by this cluster yet, the rule has no effect",
            _container(
                restartPolicyRules=[{"action": "RestartAllContainers", "exitCodes": {"operator": "In", "values": [1]}}],
                restartPolicy="Never",
            ),
            case="RestartAllContainers", when=lambda rule: rule.action == "RestartAllContainers",
        ),
        *enforced(core.VolumeMount, "name", "node.volumes.manager"),
        *enforced(core.VolumeMount, "readOnly mountPath mountPropagation", "node.container.config"),
        *enforced(
            core.VolumeMount, "subPath subPathExpr", "node.volumes.manager", "node.volumes.subpath",
            text="Of every kind of volume; links do not lead out of it.",
        ),
        *enforced(
            core.VolumeMount, "recursiveReadOnly", "node.container.config", "node.pod.status",
            text="With containerd 2.0 and later; with others `Enabled` keeps the container from starting.",
        ),
        *enforced(
            core.Probe, "initialDelaySeconds timeoutSeconds periodSeconds successThreshold failureThreshold", "node.container.probes",
        ),
        *enforced(core.Probe, "terminationGracePeriodSeconds", "node.pod.plan"),
        *enforced(core.Probe, "exec grpc httpGet tcpSocket", "node.container.probes"),
        *enforced(core.Lifecycle, "postStart", "node.pod.actions"),
        *enforced(core.Lifecycle, "preStop", "node.pod.killer"),
        *dropped(core.Lifecycle, "stopSignal", {**_container(lifecycle={"stopSignal": "SIGUSR1"}), "os": {"name": "linux"}}),
        *enforced(core.LifecycleHandler, "exec httpGet sleep", "node.container.hooks"),
        *warned(
            core.LifecycleHandler, "tcpSocket", "is not supported as a hook, which will fail",
            _container(lifecycle={"preStop": {"tcpSocket": {"port": 80}}}),
        ),
    ),
)  # fmt: skip

RESOURCES = Section(
    title="Resources",
    kind="Pod",
    entries=(
        *enforced(
            core.ResourceRequirements, "requests", "api.helpers.resources", "scheduler.resources", "node.pod.admission_rules",
            "node.host.cgroups",
            text="Extended resources too, where a node has them.",
        ),
        *enforced(core.ResourceRequirements, "limits", "node.host.cgroups", "node.container.config", keys="cpu"),
        *enforced(core.ResourceRequirements, "limits", "node.host.cgroups", "node.container.config", keys="memory"),
        *enforced(
            core.ResourceRequirements, "limits", "api.helpers.resources",
            text="Extended resources are counted by their requests, which are the same.", case="extended resources",
        ),
        *enforced(core.ResourceRequirements, "limits", "node.eviction.local_storage", keys="ephemeral-storage", text="The pod is evicted."),
        *enforced(
            core.ResourceRequirements, "limits", "node.host.huge_pages", "node.container.config", keys="hugepages-*",
            text="Counted on every node, and held where the kernel has the hugetlb controller.",
        ),
        *enforced(core.ResourceRequirements, "claims", "node.dra.manager"),
    ),
)  # fmt: skip

EPHEMERAL = Section(
    title="Ephemeral containers",
    kind="EphemeralContainers",
    entries=(
        *enforced(core.EphemeralContainer, "name image command args workingDir stdin stdinOnce tty", "node.container.config"),
        *enforced(core.EphemeralContainer, "targetContainerName", "node.pod.actions"),
        *enforced(core.EphemeralContainer, "terminationMessagePath terminationMessagePolicy", "node.container.config"),
        *enforced(core.EphemeralContainer, "imagePullPolicy", "node.pulls.puller"),
        *_ephemeral("lifecycle", {"preStop": _HTTP}),
        *_ephemeral("livenessProbe", _HTTP),
        *_ephemeral("readinessProbe", _HTTP),
        *_ephemeral("startupProbe", _HTTP),
        *_ephemeral("ports", [{"containerPort": 80}]),
        *_ephemeral("resources", {"limits": {"cpu": "1"}}),
        *_ephemeral("resizePolicy", [{"resourceName": "cpu", "restartPolicy": "NotRequired"}]),
        *_ephemeral("restartPolicy", "Always"),
        *_ephemeral("restartPolicyRules", [{"action": "Restart", "exitCodes": {"operator": "In", "values": [1]}}]),
    ),
)  # fmt: skip
