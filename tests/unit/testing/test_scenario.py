"""Scenarios as text, and what of objects a trace shows."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tiphys.api.core import v1 as core
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.testing.scenario import ScenarioError, length, parse
from tiphys.testing.trace import show

TEXT = """# About it.
# And more.
clock 2026-01-01T00:00:00Z
----

apply
  kind: ConfigMap
  apiVersion: v1
----
2026-01-01T00:00:00Z ConfigMap/one added

wait 1d1h
----
"""


def test_text_survives_parsing() -> None:
    assert "\n".join(map(str, parse(TEXT))) == TEXT


@pytest.mark.parametrize("text", ["", "wait 1d", "# only a remark"])
def test_rejects_steps_without_a_trace(text: str) -> None:
    with pytest.raises(ScenarioError, match="a line of dashes"):
        parse(text)


def test_lengths() -> None:
    assert [length(text) for text in ("90s", "1d12h", "2m5s")] == [
        timedelta(seconds=90), timedelta(hours=36), timedelta(seconds=125),
    ]  # fmt: skip
    for wrong in ("", "5", "1w", "1h1d"):
        with pytest.raises(ScenarioError, match="not a length"):
            length(wrong)


def test_paths_lead_through_lists_and_keys_with_dots() -> None:
    pod = core.Pod(
        metadata=ObjectMeta(name="p", labels={"a.b/c": "d"}),
        spec=core.PodSpec(hostNetwork=True, containers=[core.Container(name="x", args=["1", "2"]), core.Container(name="y", args=["3"])]),
    )
    found = [show(pod, path) for path in ("metadata.labels[a.b/c]", "spec.containers.name", "spec.containers.args", "spec.hostNetwork")]
    assert found == ["d", "x,y", "1,2,3", "true"]
    assert [show(pod, path) for path in ("status.phase", "spec.containers.missing", "nothing.at.all")] == ["", "", ""]


def test_paths_choose_items_by_type_or_name_and_show_conditions() -> None:
    pod = core.Pod(
        metadata=ObjectMeta(name="p"),
        spec=core.PodSpec(containers=[core.Container(name="x", image="a"), core.Container(name="y", image="b")]),
        status=core.PodStatus(
            conditions=[
                core.PodCondition(type="Ready", status="False", reason="PodCompleted"),
                core.PodCondition(type="Initialized", status="True"),
            ]
        ),
    )
    paths = ("status.conditions[Ready]", "status.conditions[Initialized]", "status.conditions[Other]", "status.conditions[Ready].status")
    assert [show(pod, path) for path in paths] == ["False(PodCompleted)", "True", "", "False"]
    assert show(pod, "spec.containers[y].image") == "b"
    assert show(pod, "spec.containers.y") == ""
