"""Behavior of hollow pods: annotations, rules, durations."""

from __future__ import annotations

import pytest

from tiphys.api.core import v1 as core
from tiphys.api.meta.v1 import ObjectMeta, OwnerReference
from tiphys.node.hollow.behavior import DEFAULTS, BehaviorError, seconds
from tiphys.node.hollow.rules import behavior_of, parse_rules

RULES = """
apiVersion: hollow.tiphys.io/v1
kind: HollowRules
rules:
- match: {namespaces: [shop], labels: "app=web,tier!=db"}
  behavior: {pull: 2s, exit-code: 3}
- match: {owner: ReplicaSet}
  behavior: {pull: 9s, ready: 1m30s}
- behavior: {stop: 250ms}
"""

HEAD = "apiVersion: hollow.tiphys.io/v1\nkind: HollowRules\n"


def pod(namespace: str = "shop", labels: dict[str, str] | None = None, owner: str = "", **annotations: str) -> core.Pod:
    owners = [OwnerReference(kind=owner, name="o", controller=True)] if owner else []
    marks = {f"hollow.tiphys.io/{name.replace('_', '-')}": value for name, value in annotations.items()}
    return core.Pod(metadata=ObjectMeta(namespace=namespace, labels=labels or {}, ownerReferences=owners, annotations=marks))


@pytest.mark.parametrize(("value", "result"), [(3, 3.0), ("0.5", 0.5), ("1m30s", 90.0), ("250ms", 0.25), ("1h", 3600.0)])
def test_reads_durations(value: object, result: float) -> None:
    assert seconds(value, "x") == result


@pytest.mark.parametrize("value", ["", "soon", "-1s", "1 s", "5d", True, -1, None])
def test_rejects_what_is_no_duration(value: object) -> None:
    with pytest.raises(BehaviorError, match=r"^run: .* is not a duration: write seconds"):
        seconds(value, "run")


def test_takes_each_field_from_the_first_that_names_it() -> None:
    rules = parse_rules(RULES, "rules.yaml")
    behavior, problem = behavior_of(pod(labels={"app": "web"}, owner="ReplicaSet", exit_code="7"), rules)
    assert not problem
    assert (behavior.exit_code, behavior.pull, behavior.ready, behavior.stop, behavior.start) == (7, 2.0, 90.0, 0.25, 0.0)


def test_matches_by_namespace_labels_and_owner() -> None:
    rules = parse_rules(RULES, "rules.yaml")
    assert behavior_of(pod("other", {"app": "web"}), rules)[0].pull == 0.0
    assert behavior_of(pod(labels={"app": "web", "tier": "db"}), rules)[0].pull == 0.0
    assert behavior_of(pod("other", owner="ReplicaSet"), rules)[0].pull == 9.0


def test_matches_by_annotations() -> None:
    text = 'rules: [{match: {annotations: "batch.kubernetes.io/job-index-failure-count=0"}, behavior: {exit-code: 1}}]'
    rules = parse_rules(HEAD + text, "rules.yaml")
    tried = [core.Pod(metadata=ObjectMeta(annotations={"batch.kubernetes.io/job-index-failure-count": count})) for count in "01"]
    assert [behavior_of(one, rules)[0].exit_code for one in (*tried, pod())] == [1, 0, 0]


def test_matches_by_images() -> None:
    rules = parse_rules(f"{HEAD}rules: [{{match: {{images: ['foo:*', 'bar/?:1']}}, behavior: {{pull: 24h}}}}]", "rules.yaml")

    def pull(*images: str, init: str = "i") -> float | None:
        containers, first = ([core.Container(image=image) for image in names] for names in (images, [init]))
        return behavior_of(core.Pod(spec=core.PodSpec(containers=containers, initContainers=first)), rules)[0].pull

    assert [pull("foo:1"), pull("web", "bar/a:1"), pull("web", init="foo:2")] == [86400.0] * 3
    assert [pull("foo"), pull("Foo:1"), pull("bar/ab:1")] == [0.0] * 3


def test_pods_of_jobs_end_by_default() -> None:
    assert behavior_of(pod(owner="Job"), [])[0].run == 1.0
    assert behavior_of(pod(), [])[0] == DEFAULTS


def test_tells_everything_that_is_wrong_with_annotations_and_ignores_them() -> None:
    behavior, problem = behavior_of(pod(run="soon", exit_code="300", speed="1"), [])
    assert behavior == DEFAULTS
    assert "hollow.tiphys.io/run: 'soon' is not a duration" in problem
    assert "hollow.tiphys.io/exit-code: '300' is not a whole number from 0 to 255" in problem
    assert "hollow.tiphys.io/speed: unknown; known are pull, start, ready" in problem


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rules: [", "f.yaml: while parsing"),
        ("apiVersion: v1\nkind: HollowRules\n", "f.yaml: apiVersion and kind must be hollow.tiphys.io/v1 and HollowRules"),
        (HEAD + "rule: []\n", "f.yaml: Object contains unknown field `rule`"),
        (HEAD + "rules: [{match: {labels: a}}, {behavior: {run: x}}]", r"rules\[1\].behavior.run"),
        (HEAD + "rules: [{match: {labels: '(a'}}]", r"rules\[0\].match.labels"),
        (HEAD + "rules: [{match: {annotations: '(a'}}]", r"rules\[0\].match.annotations"),
    ],
)
def test_rejects_bad_files(text: str, message: str) -> None:
    with pytest.raises(BehaviorError, match=message):
        parse_rules(text, "f.yaml")
