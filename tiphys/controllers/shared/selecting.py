"""Selectors of workloads, which must select something but not everything, and the event about those that do not."""

from __future__ import annotations

from collections.abc import Mapping

from tiphys.api.machinery.selectors import NOTHING, Selector, SelectorError, from_label_selector, from_map
from tiphys.api.meta.v1 import KubeObject, LabelSelector
from tiphys.runtime import EventRecorder


def workload_selector(selector: LabelSelector | None) -> Selector:
    """Return the selector, or NOTHING for one that is empty or cannot be understood (validation lets none of these in)."""
    try:
        parsed = from_label_selector(selector)
    except SelectorError:
        return NOTHING
    return NOTHING if parsed.empty else parsed


def map_selector(labels: Mapping[str, str]) -> Selector:
    """Return the selector of a workload that knows equality only, or NOTHING when it is empty."""
    return from_map(labels) if labels else NOTHING


def selects(selector: LabelSelector | None, obj: KubeObject) -> bool:
    """Return whether the workload's selector matches the object."""
    return workload_selector(selector).matches(obj.metadata.labels)


def shown(selector: LabelSelector | None) -> str:
    """Return a selector in the form that upstream's messages have, which is that of its generated Go code."""
    if selector is None:
        return "nil"
    labels = "".join(f"{name}: {value}," for name, value in sorted(selector.matchLabels.items()))
    needs = "".join(
        f"LabelSelectorRequirement{{Key:{one.key},Operator:{one.operator},Values:[{' '.join(one.values)}],}},"
        for one in selector.matchExpressions
    )
    return f"&LabelSelector{{MatchLabels:map[string]string{{{labels}}},MatchExpressions:[]LabelSelectorRequirement{{{needs}}},}}"


def report_everything(recorder: EventRecorder, workload: KubeObject, noun: str) -> None:
    """Tell people that a workload, which has this noun in sentences, selects everything, so that nothing is done for it."""
    recorder.event(workload, "Warning", "SelectingAll", f"This {noun} is selecting all pods. A non-empty selector is required.")
