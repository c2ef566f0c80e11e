"""The rules of a kind that is kept as another one: every hook of the stored kind must be reached, with objects in its form."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from tiphys.api.autoscaling import v1, v2
from tiphys.api.autoscaling.conversion import from_v1, to_v1
from tiphys.api.machinery.scheme import Kind, Part, Rules, Stored
from tiphys.api.machinery.served import FACTS, Through
from tiphys.api.machinery.subresources import STATUS
from tiphys.api.meta.v1 import ObjectMeta

OWN = {"default": "each version fills in its own defaults, with `default_here`"}
"""Hooks that stay with the version that is served, and why."""
HOOKS = [name for name in vars(Rules) if not name.startswith("_") and name not in FACTS and name not in OWN]
REACHED_BY = {"drop_status": "prepare_create", "keep_status": "prepare_update", "keep_all_but_status": "prepare_status_update"}
"""Hooks that the generic code calls on the served form, which is enough for fields that both forms have; for the rest the hook named here
calls them again on the stored form."""
OTHERS: dict[str, Any] = {"name": "a", "grace": 5, "author": SimpleNamespace(name="jane"), "now": datetime(2026, 1, 1, tzinfo=UTC)}
"""Arguments that are no objects."""
PARAMETERS = {"stamp_author": ("obj", "author"), "stamp_status": ("new", "old", "now")}
"""Of hooks that few kinds have."""

Calls = list[tuple[str, tuple[Any, ...]]]


def recording(name: str, calls: Calls, *, changes: bool) -> Callable[..., Any]:
    """A hook that notes what it is called with, and changes the object or gives an answer that nobody else does."""

    def hook(*args: Any) -> Any:
        calls.append((name, args))
        if not changes:
            return f"the answer of {name}"
        args[0].metadata.labels = {**args[0].metadata.labels, name: "seen"}
        return None

    return hook


def answers(name: str) -> bool:
    hook = getattr(Rules, name)
    return hook is not None and inspect.signature(hook).return_annotation != "None"


def parameters(name: str) -> tuple[str, ...]:
    return PARAMETERS[name] if name in PARAMETERS else tuple(inspect.signature(getattr(Rules, name)).parameters)[1:]


def other(value: Any) -> Any:
    """A value that the default is not."""
    if isinstance(value, bool):
        return not value
    return "said by the kind" if isinstance(value, str) else {"": (("spec", "maxReplicas"),), "status": (("spec",),)}


def siblings(**members: Any) -> Through[v1.HorizontalPodAutoscaler]:
    """Rules of autoscaling/v1 over those of a stored kind with these hooks and facts."""
    rules = type("Recording", (Rules,), {name: staticmethod(each) if callable(each) else each for name, each in members.items()})()
    hub = Kind(v2.HorizontalPodAutoscaler, "horizontalpodautoscalers", "autoscaling", "v2", rules=rules, subresources=(STATUS,))
    return Through(Stored(hub, from_v1, to_v1))


def autoscaler(name: str = "a") -> v1.HorizontalPodAutoscaler:
    return v1.HorizontalPodAutoscaler(metadata=ObjectMeta(name=name), spec=v1.HorizontalPodAutoscalerSpec(maxReplicas=3))


@pytest.mark.parametrize("name", HOOKS)
def test_every_hook_reaches_the_stored_kind(name: str) -> None:
    calls: Calls = []
    through = siblings(**{hook: recording(hook, calls, changes=not answers(hook)) for hook in HOOKS})
    entered = REACHED_BY.get(name, name)
    args = [OTHERS.get(parameter) or autoscaler(parameter) for parameter in parameters(entered)]
    answer = getattr(through, entered)(*args)
    (seen,) = [arguments for hook, arguments in calls if hook == name]
    names = [each.metadata.name if isinstance(each, v2.HorizontalPodAutoscaler) else each for each in seen]
    assert names == [OTHERS.get(parameter, parameter) for parameter in parameters(name)]
    if answers(name):
        assert answer == f"the answer of {name}"
    else:
        assert args[0].metadata.labels[name] == "seen"
        assert isinstance(args[0], v1.HorizontalPodAutoscaler)


@pytest.mark.parametrize("name", sorted(set(FACTS) - {"parts"}))
def test_every_fact_is_that_of_the_stored_kind(name: str) -> None:
    fact = other(getattr(Rules, name))
    assert getattr(siblings(**{name: fact}), name) == fact != getattr(siblings(), name)


def test_parts_work_on_the_stored_form() -> None:
    calls: Calls = []
    keep, validate = recording("keep", calls, changes=True), recording("validate", calls, changes=False)
    through = siblings(parts={"half": Part(keep, validate, {"metrics": frozenset()}, of_status=True)})
    part, new = through.parts["half"], autoscaler("new")
    part.keep(new, autoscaler("old"))
    answer: Any = part.validate(new, autoscaler("old"))
    assert answer == "the answer of validate"
    assert (part.fields, part.of_status, new.metadata.labels) == ({"metrics": frozenset()}, True, {"keep": "seen"})
    assert {type(each) for _, args in calls for each in args} == {v2.HorizontalPodAutoscaler}


def test_hooks_that_a_kind_does_without_stay_away() -> None:
    assert (siblings().stamp_author, siblings().stamp_status, siblings().parts) == (None, None, {})
