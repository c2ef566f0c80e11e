"""AppArmor profiles by annotation: what they mean, and that a pod never runs without the one it asks for."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tiphys.api.core.v1 import Pod
from tiphys.api.helpers.apparmor import PREFIX
from tiphys.api.kinds.rules_pod import PodRules

NEXT = 'deprecated since v1.30; use the "appArmorProfile" field instead'


def made(annotation: str, own: dict[str, Any] | None = None, **spec: Any) -> tuple[dict[str, Any] | None, list[str]]:
    """The profile of the container of a pod with this annotation, and the warnings."""
    container = {"name": "a", "image": "i", "securityContext": {"appArmorProfile": own} if own else None}
    body = {"metadata": {"name": "p", "annotations": {PREFIX + "a": annotation}}, "spec": {"containers": [container], **spec}}
    pod, rules = msgspec.convert(body, Pod), PodRules()
    rules.prepare_create(pod)
    context = pod.spec.containers[0].securityContext
    profile = context.appArmorProfile if context is not None else None
    warnings = [said.removeprefix(f"metadata.annotations[{PREFIX}a]: ") for said in rules.warnings(pod, None)]
    return msgspec.to_builtins(profile) if profile is not None else None, warnings


@pytest.mark.parametrize(
    ("annotation", "profile"),
    [
        ("runtime/default", {"type": "RuntimeDefault"}),
        ("unconfined", {"type": "Unconfined"}),
        ("localhost/mine", {"type": "Localhost", "localhostProfile": "mine"}),
        ("localhost/", None),
        ("localhost/ x", None),
        ("else", None),
    ],
)
def test_an_annotation_sets_the_field(annotation: str, profile: dict[str, Any] | None) -> None:
    assert made(annotation) == (profile, [NEXT])


def test_a_field_wins_over_the_annotation() -> None:
    assert made("runtime/default", own={"type": "Unconfined"}) == ({"type": "Unconfined"}, [])
    outer = {"appArmorProfile": {"type": "RuntimeDefault"}}
    assert made("runtime/default", securityContext=outer) == (None, [])
    assert made("unconfined", securityContext=outer) == ({"type": "Unconfined"}, [NEXT])
    assert made("unconfined", os={"name": "windows"})[0] is None
