"""Facts of OpenAPI about types beyond their fields, and about the one answer that has no type."""

from __future__ import annotations

from typing import Any

_VERSION_TEXTS = {
    "buildDate": "When it was built.",
    "compiler": "What runs it.",
    "emulationMajor": "The major version whose API it speaks.",
    "emulationMinor": "The minor version whose API it speaks.",
    "gitCommit": "The commit that it was built from.",
    "gitTreeState": "Whether the source was `clean` or changed.",
    "gitVersion": "The version, `v1.36.0` and what follows.",
    "goVersion": "The language and its version.",
    "major": "The first number of the version.",
    "minCompatibilityMajor": "The major version of the oldest API that it is compatible with.",
    "minCompatibilityMinor": "The minor version of the oldest API that it is compatible with.",
    "minor": "The second number of the version.",
    "platform": "Operating system and architecture.",
}
VERSION: dict[str, Any] = {
    "description": "The version of the server, the answer of /version.",
    "type": "object",
    "required": sorted(name for name in _VERSION_TEXTS if not name.startswith(("emulation", "minCompatibility"))),
    "properties": {name: {"type": "string", "description": text} for name, text in _VERSION_TEXTS.items()},
}

UNIONS: dict[str, dict[str, Any]] = {
    "core.v1.AppArmorProfile": {"discriminator": "type", "fields-to-discriminateBy": {"localhostProfile": "LocalhostProfile"}},
    "core.v1.PodSchedulingGroup": {"fields-to-discriminateBy": {"podGroupName": "PodGroupName"}},
    "core.v1.SeccompProfile": {"discriminator": "type", "fields-to-discriminateBy": {"localhostProfile": "LocalhostProfile"}},
    "flowcontrol.v1.LimitResponse": {"discriminator": "type", "fields-to-discriminateBy": {"queuing": "Queuing"}},
    "flowcontrol.v1.PriorityLevelConfigurationSpec": {
        "discriminator": "type",
        "fields-to-discriminateBy": {"exempt": "Exempt", "limited": "Limited"},
    },
    "flowcontrol.v1.Subject": {
        "discriminator": "kind",
        "fields-to-discriminateBy": {"group": "Group", "serviceAccount": "ServiceAccount", "user": "User"},
    },
}
"""Types of which one field says which other field is set, `x-kubernetes-unions`."""

GRANULAR = frozenset({("PersistentVolumeClaimStatus", "allocatedResourceStatuses"), ("PersistentVolumeSpec", "claimRef")})
"""Fields that state the default explicitly: they are merged key by key."""
