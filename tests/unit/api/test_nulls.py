"""Fields that are null when they hold nothing: upstream's types have neither a pointer nor `omitempty` (times: `omitzero`) there."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest

from tiphys.api.kinds import SCHEME
from tiphys.api.machinery.introspect import describe

TIMES = """
    APIServiceCondition.lastTransitionTime CertificateSigningRequestCondition.lastTransitionTime
    CertificateSigningRequestCondition.lastUpdateTime ContainerStateRunning.startedAt ContainerStateTerminated.finishedAt
    ContainerStateTerminated.startedAt CustomResourceDefinitionCondition.lastTransitionTime DaemonSetCondition.lastTransitionTime
    DeploymentCondition.lastTransitionTime DeploymentCondition.lastUpdateTime Event.deprecatedFirstTimestamp Event.deprecatedLastTimestamp
    Event.eventTime Event.firstTimestamp Event.lastTimestamp EventSeries.lastObservedTime FlowSchemaCondition.lastTransitionTime
    HorizontalPodAutoscalerCondition.lastTransitionTime JobCondition.lastProbeTime JobCondition.lastTransitionTime
    NamespaceCondition.lastTransitionTime NodeCondition.lastHeartbeatTime NodeCondition.lastTransitionTime
    PersistentVolumeClaimCondition.lastProbeTime PersistentVolumeClaimCondition.lastTransitionTime PodCondition.lastProbeTime
    PodCondition.lastTransitionTime PriorityLevelConfigurationCondition.lastTransitionTime ReplicaSetCondition.lastTransitionTime
    ReplicationControllerCondition.lastTransitionTime StatefulSetCondition.lastTransitionTime VolumeError.time
"""
LISTS = """
    AllocatedDeviceStatus.conditions ClusterRole.rules CSINodeDriver.topologyKeys CSINodeSpec.drivers
    CustomResourceDefinitionStatus.conditions DeviceClaim.requests EndpointSlice.endpoints EndpointSlice.ports
    HorizontalPodAutoscalerStatus.currentMetrics LimitRangeSpec.limits PodFailurePolicy.rules ResourcePolicyRule.namespaces Role.rules
"""


def types() -> Iterator[type[msgspec.Struct]]:
    """Every type of the served kinds."""
    found: set[type[msgspec.Struct]] = set()
    waiting: list[type[msgspec.Struct]] = [kind.type for kind in SCHEME]
    while waiting:
        type_ = waiting.pop()
        if type_ in found:
            continue
        found.add(type_)
        yield type_
        for about in describe(type_).fields.values():
            shape = about.shape
            while shape.item is not None:
                shape = shape.item
            if shape.struct is not None:
                waiting.append(shape.struct)


@pytest.mark.parametrize(("forms", "listed"), [(("time", "microtime"), TIMES), (("list", "map"), LISTS)])
def test_nulls(forms: tuple[str, ...], listed: str) -> None:
    shown = {
        f"{type_.__name__}.{name}"
        for type_ in types()
        for name, about in describe(type_).fields.items()
        if about.shape.form in forms and b'"%b":null' % name.encode() in msgspec.json.encode(type_())
    }
    assert shown == set(listed.split())
