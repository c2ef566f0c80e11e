"""Facts of the OpenAPI of Kubernetes 1.36 (tools/swagger_facts.py), and of that of Tiphys, distilled in the same way."""

from __future__ import annotations

import importlib.util
import json
import pkgutil
import re
import sys
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec

import tiphys.api
from tiphys.api.kinds import SCHEME
from tiphys.api.machinery.scheme import GroupVersionKind, Scheme
from tiphys.api.meta.v1 import KubeObject
from tiphys.apiserver.openapi import names
from tiphys.apiserver.openapi.schemas import Definitions
from tiphys.apiserver.openapi.write import document_v2

ROOT = Path(__file__).resolve().parents[4]
FACTS = ROOT / "tests/data/swagger-1.36.tsv"

UNSTABLE = {
    "admissionregistration.k8s.io/v1alpha1": "alpha: served by no default installation",
    "admissionregistration.k8s.io/v1beta1": "beta: off by default; its kinds are served as v1",
    "certificates.k8s.io/v1alpha1": "alpha: served by no default installation",
    "certificates.k8s.io/v1beta1": "beta: off by default (ClusterTrustBundle, PodCertificateRequest)",
    "coordination.k8s.io/v1alpha2": "alpha: served by no default installation",
    "coordination.k8s.io/v1beta1": "beta: off by default (LeaseCandidate)",
    "internal.apiserver.k8s.io/v1alpha1": "alpha: served by no default installation",
    "networking.k8s.io/v1beta1": "beta: off by default; its kinds are served as v1",
    "resource.k8s.io/v1alpha3": "alpha: served by no default installation",
    "resource.k8s.io/v1beta1": "beta: off by default; its kinds are served as v1",
    "resource.k8s.io/v1beta2": "beta: off by default; its kinds are served as v1",
    "scheduling.k8s.io/v1alpha2": "alpha: served by no default installation",
    "storage.k8s.io/v1beta1": "beta: off by default; its kinds are served as v1",
    "storagemigration.k8s.io/v1beta1": "beta: off by default (StorageVersionMigration)",
}
"""Every alpha and beta version of the published document, and why Tiphys does not serve it."""

APART = {
    "cbor": "a media type behind the alpha gate CBORServingAndStorage",
    "shardSelector": "a parameter behind the alpha gate ShardedListAndWatch",
    "GET /logs/": "the log directory of the machine, behind a switch of the kubelet's past; nodes serve theirs under /logs",
    "GET /logs/{logpath}": "as /logs/",
    "GET /apis/internal.apiserver.k8s.io/": "a group with alpha versions alone",
    "GET /apis/storagemigration.k8s.io/": "a group with beta versions alone",
}
"""Other facts that are left out on purpose."""

BESIDE = {"metrics.k8s.io": "served by metrics-server in other clusters"}
"""Groups that are served here and that kube-apiserver does not publish, and why."""


@cache
def tool() -> ModuleType:
    """tools/swagger_facts.py, which is no package."""
    spec = importlib.util.spec_from_file_location("swagger_facts", ROOT / "tools/swagger_facts.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["swagger_facts"] = module
    spec.loader.exec_module(module)
    return module


@cache
def published() -> Mapping[str, str]:
    """The facts of 1.36 without what is left out on purpose."""
    facts = {}
    for line in FACTS.read_text(encoding="utf-8").splitlines():
        key, _, fact = line.partition("\t")
        if key not in APART and key not in ("unstable", "parameter shardSelector", "parameter {logpath}"):
            facts[key] = _without_apart(fact)
    return facts


def unstable() -> set[str]:
    return {fact for key, _, fact in (line.partition("\t") for line in FACTS.read_text().splitlines()) if key == "unstable"}


def _without_apart(fact: str) -> str:
    words = []
    for word in fact.split(" "):
        name, equals, values = word.partition("=")
        if name in ("parameters", "consumes", "produces"):
            kept = [value for value in values.split(",") if value not in APART and "cbor" not in value]
            words.append(name + equals + ",".join(kept))
        else:
            words.append(word)
    return " ".join(words)


@cache
def types() -> dict[str, type[msgspec.Struct]]:
    """Every wire type by `core.v1.Pod`."""
    found: dict[str, type[msgspec.Struct]] = {}
    for info in pkgutil.walk_packages(tiphys.api.__path__, "tiphys.api."):
        parts = info.name.split(".")
        if len(parts) == 4 and parts[3].startswith("v") and parts[3][1:].isdigit():
            for item in vars(importlib.import_module(info.name)).values():
                if isinstance(item, type) and issubclass(item, msgspec.Struct) and item.__module__.startswith(info.name):
                    found[names.key_of(item)] = item
    del found["meta.v1.KubeObject"]  # The base of kinds, which is no type of the wire.
    return found


@cache
def of_types() -> Mapping[str, str]:
    """The facts of all types, served or not, and of the lists of those that are kinds."""
    definitions = Definitions(2)
    for name, type_ in types().items():
        definitions.ref(type_)
        if issubclass(type_, KubeObject) and f"{name}List" in published():
            gvk = names.gvks_of(type_)[0]
            assert isinstance(gvk, GroupVersionKind)
            definitions.list_ref(type_, gvk)
    for name in (names.PATCH, names.VERSION):
        definitions.named(name)
    return _distilled({"definitions": definitions.schemas, "paths": {}})


@cache
def of_served() -> Mapping[str, str]:
    """The facts of the document that is served."""
    return _distilled(document_v2(Scheme(kind for kind in SCHEME if kind.group not in BESIDE)))


def _distilled(document: Mapping[str, Any]) -> dict[str, str]:
    facts: dict[str, str] = tool().distil(json.loads(msgspec.json.encode(document)))
    return facts


def differences(ours: Mapping[str, str], theirs: Mapping[str, str], keys: Iterable[str]) -> str:
    """One line for each key whose facts differ."""
    lines = []
    for key in sorted(set(keys)):
        mine, wanted = ours.get(key), theirs.get(key)
        if mine == wanted:
            continue
        if mine is None or wanted is None:
            lines.append(f"{key}: {'is missing' if mine is None else 'is not in 1.36'}")
        else:
            have, want = mine.split(" "), wanted.split(" ")
            extra, lacking = [word for word in have if word not in want], [word for word in want if word not in have]
            lines.append(f"{key}: {' '.join(extra) or 'nothing'} instead of {' '.join(lacking) or 'nothing'}")
    return "\n".join(lines)


def is_path(key: str) -> bool:
    """Return whether a fact is about an operation."""
    return "/" in key


def is_definition(key: str) -> bool:
    """Return whether a fact is about a type rather than a field."""
    return re.fullmatch(r"(?:\w+\.v\d+|api\.resource|util\.intstr|runtime|version)\.\w+", key) is not None
