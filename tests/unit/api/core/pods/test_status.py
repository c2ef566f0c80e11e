"""Mistakes in the claims that a pod's status records."""

from __future__ import annotations

import pytest

from tiphys.api.core import v1 as core
from tiphys.api.kinds import SCHEME

RULES = SCHEME.of(core.Pod).rules


def pod(*records: tuple[str, str | None]) -> core.Pod:
    """A pod with a claim of its own, a claim of somebody else's, and what its status records."""
    entries = [
        core.PodResourceClaim(name="gpu", resourceClaimTemplateName="gpus"),
        core.PodResourceClaim(name="net", resourceClaimName="shared"),
    ]
    recorded = [core.PodResourceClaimStatus(name=name, resourceClaimName=claim) for name, claim in records]
    return core.Pod(spec=core.PodSpec(resourceClaims=entries), status=core.PodStatus(resourceClaimStatuses=recorded))


@pytest.mark.parametrize(
    ("records", "messages"),
    [
        ([("gpu", "p-gpu-x7k2p")], []),
        ([("gpu", None), ("net", "shared")], []),
        ([("disk", "a")], ['[0].name: Invalid value: "disk": must match the name of an entry in `spec.resourceClaims`']),
        ([("gpu", "a"), ("gpu", "b")], ['[1].name: Duplicate value: "gpu"']),
        ([("gpu", "A b")], ['[0].resourceClaimName: Invalid value: "A b": a lowercase RFC 1123 subdomain must consist of']),
    ],
)
def test_recorded_claims_belong_to_entries_of_the_spec(records: list[tuple[str, str | None]], messages: list[str]) -> None:
    errors = [str(error).removeprefix("status.resourceClaimStatuses") for error in RULES.validate_status_update(pod(*records), pod())]
    assert len(errors) == len(messages)
    assert all(error.startswith(message) for error, message in zip(errors, messages, strict=True))
