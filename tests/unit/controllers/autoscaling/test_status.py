"""Words by which autoscalers name metrics and their failures: people and alerts search for them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tiphys.api.autoscaling import v2
from tiphys.controllers.autoscaling.status import described, failure

OWED = "&LabelSelector{MatchLabels:map[string]string{state: owed,},MatchExpressions:[]LabelSelectorRequirement{},}"
AVERAGE, VALUE = {"type": "AverageValue", "averageValue": "5"}, {"type": "Value", "value": "5"}
SHARE = {"type": "Utilization", "averageUtilization": 50}
INGRESS = {"kind": "Ingress", "name": "main"}


def spec(type_: str, **source: Any) -> v2.MetricSpec:
    field = type_[0].lower() + type_[1:]
    return msgspec.convert({"type": type_, field: source}, v2.MetricSpec)


@pytest.mark.parametrize(
    ("metric", "name", "failed"),
    [
        (spec("Resource", name="cpu", target=SHARE),
         "cpu resource utilization (percentage of request)", "failed to get cpu resource metric value: why"),
        (spec("Resource", name="cpu", target=AVERAGE), "cpu resource", "failed to get cpu resource metric value: why"),
        (spec("ContainerResource", name="cpu", container="app", target=SHARE),
         "cpu container resource utilization (percentage of request)", "failed to get app container metric value: why"),
        (spec("ContainerResource", name="cpu", container="app", target=AVERAGE), "cpu resource",
         "failed to get app container metric value: why"),
        (spec("Pods", metric={"name": "hits"}, target=AVERAGE), "pods metric hits", "failed to get pods metric value: why"),
        (spec("Object", describedObject=INGRESS, metric={"name": "rate"}, target=VALUE),
         "Ingress metric rate", "failed to get object metric value: why"),
        (spec("Object", describedObject=INGRESS, metric={"name": "rate"}, target=AVERAGE),
         "external metric rate(nil)", "failed to get object metric value: failed to get rate object metric: why"),
        (spec("External", metric={"name": "jobs"}, target=VALUE),
         "external metric jobs(nil)", "failed to get jobs external metric value: failed to get external metric jobs: why"),
        (spec("External", metric={"name": "jobs", "selector": {"matchLabels": {"state": "owed"}}}, target=AVERAGE),
         f"external metric jobs({OWED})", "failed to get jobs external metric value: failed to get jobs external metric: why"),
    ],
)  # fmt: skip
def test_words_are_those_of_upstream(metric: v2.MetricSpec, name: str, failed: str) -> None:
    assert (described(metric), failure(metric, "why")) == (name, failed)
