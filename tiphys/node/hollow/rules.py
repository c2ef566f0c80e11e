"""Rules of a file that give pods their behavior (kind HollowRules). Pure but for reading the file.

apiVersion: hollow.tiphys.io/v1
kind: HollowRules
rules:
- match: {namespaces: [shop], labels: "app=web", owner: ReplicaSet}
  behavior: {pull: 2s, start: 500ms, ready: 1s}
- behavior: {stop: 1s}           # all pods
"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import msgspec
import yaml

from tiphys.api.core import v1 as core
from tiphys.api.machinery.selectors import EVERYTHING, Selector, SelectorError, parse_labels
from tiphys.node.hollow.behavior import DEFAULTS, OF_JOBS, Behavior, BehaviorError, merged, of_annotations, read_behavior
from tiphys.runtime.index import controller_of

API_VERSION, KIND = "hollow.tiphys.io/v1", "HollowRules"


class _Match(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    namespaces: list[str] = []
    labels: str = ""
    annotations: str = ""
    """Selector like that of labels."""
    images: list[str] = []
    """Patterns such as `registry.example/*`, one of which matches the image of a container."""
    owner: str = ""
    """Kind of the object that controls the pod."""


class _RuleText(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    match: _Match = _Match()
    behavior: dict[str, Any] = {}


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    apiVersion: str
    kind: str
    rules: list[_RuleText] = []


class Rule(msgspec.Struct, frozen=True):
    """Behavior of the pods that match."""

    behavior: Behavior
    namespaces: frozenset[str] = frozenset()
    """Namespaces of the pods; all if empty."""
    labels: Selector = EVERYTHING
    annotations: Selector = EVERYTHING
    images: tuple[str, ...] = ()
    """Patterns of images; all match if empty."""
    owner: str = ""

    def matches(self, pod: core.Pod) -> bool:
        """True if the rule is about the pod."""
        if self.namespaces and pod.metadata.namespace not in self.namespaces:
            return False
        if self.owner:
            owner = controller_of(pod)
            if owner is None or owner.kind != self.owner:
                return False
        if self.images:
            named = [container.image for container in (*pod.spec.initContainers, *pod.spec.containers)]
            if not any(fnmatchcase(image, pattern) for image in named for pattern in self.images):
                return False
        return self.labels.matches(pod.metadata.labels) and self.annotations.matches(pod.metadata.annotations)


JOBS = Rule(OF_JOBS, owner="Job")


def parse_rules(text: str, source: str) -> list[Rule]:
    """Return the rules of a document. Raises BehaviorError that names the source and everything that is wrong."""
    try:
        document = msgspec.convert(yaml.safe_load(text), _File)
    except (yaml.YAMLError, msgspec.ValidationError) as error:
        raise BehaviorError(f"{source}: {error}") from error
    problems = []
    if (document.apiVersion, document.kind) != (API_VERSION, KIND):
        problems.append(f"{source}: apiVersion and kind must be {API_VERSION} and {KIND}")
    rules = []
    for number, rule in enumerate(document.rules):
        where = f"{source}: rules[{number}]"
        try:
            rules.append(_rule(rule, where))
        except BehaviorError as error:
            problems.append(str(error))
    if problems:
        raise BehaviorError("; ".join(problems))
    return rules


def _rule(rule: _RuleText, where: str) -> Rule:
    match = rule.match
    labels = _selector(match.labels, f"{where}.match.labels")
    annotations = _selector(match.annotations, f"{where}.match.annotations")
    behavior = read_behavior(rule.behavior, f"{where}.behavior.")
    return Rule(behavior, frozenset(match.namespaces), labels, annotations, tuple(match.images), match.owner)


def _selector(text: str, where: str) -> Selector:
    try:
        return parse_labels(text)
    except SelectorError as error:
        raise BehaviorError(f"{where}: {error}") from error


def read_rules(path: Path) -> list[Rule]:
    """Return the rules of a file. Raises BehaviorError, also when the file cannot be read."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BehaviorError(f"{path}: {error}") from error
    return parse_rules(text, str(path))


def behavior_of(pod: core.Pod, rules: Sequence[Rule]) -> tuple[Behavior, str]:
    """Return the behavior of a pod, and what is wrong with its annotations, or "": they count for nothing then."""
    problem = ""
    try:
        own = of_annotations(pod)
    except BehaviorError as error:
        own, problem = Behavior(), str(error)
    return merged([own, *(rule.behavior for rule in (*rules, JOBS) if rule.matches(pod)), DEFAULTS]), problem
