"""Remembered results hold for every pod that is alike in the parts that were read."""

from __future__ import annotations

from types import SimpleNamespace

import msgspec
import pytest

from tiphys.api.apps import v1 as apps
from tiphys.api.core import v1 as core
from tiphys.api.kinds import SCHEME
from tiphys.api.machinery import remembered
from tiphys.api.machinery.apply import fieldset, typed
from tiphys.api.machinery.apply.managers import without
from tiphys.api.machinery.remembered import Remembered
from tiphys.api.meta.v1 import LabelSelector, ObjectMeta, OwnerReference
from tiphys.apiserver.verbs import ownership, pipeline
from tiphys.apiserver.warm import warm_up

PODS = SCHEME.of(core.Pod)


def pod(name: str = "a", image: str = "registry.example/a:1", **metadata: object) -> core.Pod:
    made = core.Pod(
        metadata=ObjectMeta(name=name, namespace="default", uid=f"uid-{name}", **metadata),  # type: ignore[arg-type]
        spec=core.PodSpec(containers=[core.Container(name="main", image=image)]),
    )
    pipeline.default(PODS, made)
    return made


def test_the_validation_of_a_pod_reads_its_spec_alone() -> None:
    bare = SimpleNamespace(spec=pod(image=" ").spec)
    assert [error.field for error in PODS.rules.validate(bare)] == [  # type: ignore[arg-type]
        error.field for error in pipeline.validate_new(PODS, pod(image=" "))[0]
    ]
    assert PODS.rules.spec_warnings(bare) == []  # type: ignore[arg-type]


def test_mistakes_are_found_again_and_do_not_stick() -> None:
    for _ in range(2):
        assert pipeline.validate_new(PODS, pod())[:2] == ([], [])
        assert [error.field for error in pipeline.validate_new(PODS, pod(image=""))[0]] == ["spec.containers[0].image"]
    odd = pod()
    odd.spec.nodeSelector = {"beta.kubernetes.io/os": "linux"}
    assert len(pipeline.validate_new(PODS, odd)[1]) == len(pipeline.validate_new(PODS, odd)[1]) == 1
    fields = [error.field for error in pipeline.validate_new(PODS, pod(name="UPPER", image=""))[0]]
    assert fields == ["metadata.name", "spec.containers[0].image"]


@pytest.mark.parametrize(
    "other",
    [
        pod("b"),
        pod(image="registry.example/b:1"),
        pod(labels={"a": "b"}),
        pod(annotations={"a": "b"}),
        pod(generateName="a-"),
        pod(finalizers=["example.com/a"]),
        pod(ownerReferences=[OwnerReference(apiVersion="v1", kind="Pod", name="x", uid="u1")]),
        pod(ownerReferences=[OwnerReference(apiVersion="v1", kind="Pod", name="x", uid="u2")]),
    ],
)
def test_the_fields_of_a_new_pod_are_those_that_are_worked_out(other: core.Pod) -> None:
    for each in (pod(), other, pod(), other):
        assert ownership.fields_of_new(PODS, each) == fieldset.encode(without(typed.created(each).changed, [("status",)]))


def test_other_kinds_are_not_remembered() -> None:
    config = core.ConfigMap(metadata=ObjectMeta(name="a"), data={"x": "1"})
    assert b"f:x" in ownership.fields_of_new(SCHEME.of(core.ConfigMap), config)
    config.data = {"y": "1"}
    assert b"f:y" in ownership.fields_of_new(SCHEME.of(core.ConfigMap), config)


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remembered, "MAX_ANSWERS", 3)
    monkeypatch.setattr(remembered, "MAX_KEY_BYTES", 100)
    asked: list[str] = []

    def name_of(obj: core.Pod) -> str:
        asked.append(obj.metadata.name)
        return obj.metadata.name

    names = Remembered(name_of, lambda obj: obj.metadata.name)
    for name in ("a", "b", "a", "c", "d", "a"):
        assert names(pod(name)) == name
    assert asked == ["a", "b", "c", "d", "a"]
    long = "x" * 200
    assert (names(pod(long)), names(pod(long))) == (long, long)
    assert asked[-2:] == [long, long]


def test_warming_up_leaves_no_trace() -> None:
    before = msgspec.json.encode(pod())
    warm_up()
    assert msgspec.json.encode(pod()) == before


def test_mistakes_and_warnings_of_templates_are_found_again_and_do_not_stick() -> None:
    kind = SCHEME.of(apps.Deployment)
    good, bad = (
        apps.Deployment(
            metadata=ObjectMeta(name="a", namespace="default"),
            spec=apps.DeploymentSpec(
                selector=LabelSelector(matchLabels={"a": "b"}),
                template=core.PodTemplateSpec(metadata=ObjectMeta(labels={"a": "b"}), spec=pod(image=image).spec),
            ),
        )
        for image in ("registry.example/a:1", "")
    )
    bad.spec.template.spec.nodeSelector = {"beta.kubernetes.io/os": "linux"}
    for one in (good, bad):
        pipeline.default(kind, one)
    for _ in range(2):
        assert (kind.rules.validate(good), kind.rules.warnings(good, None)) == ([], [])
        assert [error.field for error in kind.rules.validate(bad)] == ["spec.template.spec.containers[0].image"]
        warnings = kind.rules.warnings(bad, None)
        assert len(warnings) == 1
        assert warnings[0].startswith("spec.template.spec.nodeSelector[beta.kubernetes.io/os]")
        warnings.clear()
