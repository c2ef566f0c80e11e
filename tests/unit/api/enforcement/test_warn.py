"""Warnings about fields that nothing acts on."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tiphys.api.core.pods.warnings import spec_warnings
from tiphys.api.core.v1 import PodSpec


def warned(**spec: Any) -> list[str]:
    container = {"name": "a", "image": "i", **spec.pop("container", {})}
    found = spec_warnings("spec", msgspec.convert({"containers": [container], **spec}, PodSpec))
    return [text.partition(": ")[0] for text in found]


@pytest.mark.parametrize(
    ("spec", "fields"),
    [
        ({"volumes": [{"name": "v", "emptyDir": {"sizeLimit": "1Mi"}}]}, []),
        ({"volumes": [{"name": "v", "emptyDir": {"medium": "HugePages-2Mi"}}]}, []),
        ({"volumes": [{"name": "v", "nfs": {"server": "s", "path": "/"}}]}, []),
        ({"volumes": [{"name": "v", "cinder": {"volumeID": "v"}}]}, ["spec.volumes[0].cinder"]),
        ({"hostUsers": False}, ["spec.hostUsers"]),
        ({"hostUsers": True}, []),
        (
            {"container": {"resources": {"limits": {"ephemeral-storage": "1Mi", "hugepages-2Mi": "2Mi", "cpu": "1"}}}},
            [],
        ),
        (
            {"container": {"env": [{"name": "A", "valueFrom": {"fileKeyRef": {"volumeName": "v", "path": "p", "key": "A"}}}]}},
            [],
        ),
        (
            {"container": {"restartPolicyRules": [{"action": "RestartAllContainers"}]}},
            ["spec.containers[0].restartPolicyRules[0].action"],
        ),
    ],
)
def test_a_field_that_nothing_acts_on_is_named(spec: dict[str, Any], fields: list[str]) -> None:
    assert warned(**spec) == fields
