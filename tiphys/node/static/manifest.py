"""From a manifest to the static pods in it: decoding, defaults, validation. Pure.

See "Create static Pods". The pod is named after its node, and its uid is a hash of what the manifest says and where it is, so the same
manifest gives the same pod after a restart, and a changed one gives another pod.
"""

from __future__ import annotations

import hashlib
import re
from datetime import datetime
from typing import Any, Final, Literal

import msgspec

from tiphys.api.core import v1 as core
from tiphys.api.machinery import codec, ordered
from tiphys.api.machinery.errors import StatusError
from tiphys.api.machinery.limits import check_depth
from tiphys.api.machinery.quantity import QuantityError, canonicalize
from tiphys.api.machinery.yamldoc import YAMLError, load
from tiphys.api.rules import meta as meta_rules
from tiphys.api.well_known import CONFIG_MIRROR
from tiphys.node.static.annotations import CONFIG_HASH, CONFIG_SEEN, CONFIG_SOURCE
from tiphys.node.static.references import api_references

MAX_BYTES: Final = 10 << 20
"""Largest manifest that is read, upstream's limit."""
PRIORITIES: Final = {"system-node-critical": 2_000_001_000, "system-cluster-critical": 2_000_000_000}
"""Values of the priority classes that every cluster has: static pods cannot look up others."""

_encode = ordered.encoder("deterministic")
_SEPARATOR = re.compile(rb"^---(?:[ \t].*)?$", re.MULTILINE)

SourceKind = Literal["file", "http"]


class ManifestError(ValueError):
    """A manifest that no pod can be made of. The message says what to change."""


class Origin(msgspec.Struct, frozen=True):
    """Place that a manifest comes from: the path of a file, or a URL."""

    kind: SourceKind
    place: str


class Manifest(msgspec.Struct, frozen=True):
    """Pods of a manifest, and warnings about parts of it that have no effect."""

    pods: tuple[core.Pod, ...]
    warnings: tuple[str, ...] = ()


def read_manifest(data: bytes, origin: Origin, *, node: str, now: datetime) -> Manifest:
    """Return the pods of a manifest in YAML or JSON. Raises ManifestError.

    A file holds one Pod; a URL may also serve a PodList.
    """
    if len(data) > MAX_BYTES:
        raise ManifestError(f"the manifest is larger than {MAX_BYTES >> 20} MiB")
    document = _document(data)
    documents = sum(1 for part in _SEPARATOR.split(data) if part.strip())
    warnings = ["only the first document is used: put each pod into a file of its own"] if documents > 1 else []
    items = _items(document, origin.kind)
    pods = []
    for where, item in items:
        pod, problems = _pod(item, origin, node, now, where)
        pods.append(pod)
        warnings += [f"{where}{problem}" for problem in problems]
    return Manifest(tuple(pods), tuple(warnings))


def _document(data: bytes) -> dict[str, Any]:
    if not data.strip():
        raise ManifestError("the manifest is empty")
    try:
        check_depth(data)
        document = load(data).document
    except (YAMLError, StatusError) as error:
        raise ManifestError(f"neither YAML nor JSON: {error}") from error
    if not isinstance(document, dict):
        raise ManifestError("the manifest is not an object: it must be a Pod, with apiVersion: v1 and kind: Pod")
    return document


def _items(document: dict[str, Any], kind: SourceKind) -> list[tuple[str, dict[str, Any]]]:
    """Return each pod's document, with the words that say which one it is."""
    version, name = document.get("apiVersion"), document.get("kind")
    if version == "v1" and name == "Pod":
        return [("", document)]
    if version == "v1" and name in ("PodList", "List") and kind == "http":
        items = document.get("items") or []
        if isinstance(items, list) and all(isinstance(item, dict) for item in items):
            return [(f"items[{index}]: ", {"apiVersion": "v1", "kind": "Pod", **item}) for index, item in enumerate(items)]
        raise ManifestError("items: it must be a list of pods")
    kinds = "a Pod or a PodList" if kind == "http" else "a Pod"
    raise ManifestError(f"apiVersion {version or '(none)'}, kind {name or '(none)'}: static pods are made of {kinds} of apiVersion v1 only")


def _pod(document: dict[str, Any], origin: Origin, node: str, now: datetime, where: str) -> tuple[core.Pod, list[str]]:
    uid = hashlib.sha256(_encode((document, node, origin.kind, origin.place))).hexdigest()[:32]
    try:
        decoded = codec.decode(core.Pod, msgspec.json.encode(document), validation="Warn")
        pod = decoded.obj
        canonicalize(pod)
    except (StatusError, QuantityError, msgspec.ValidationError) as error:
        raise ManifestError(f"{where}{error}") from error
    if not pod.metadata.name:
        raise ManifestError(f"{where}metadata.name: name is needed for the pod")
    _complete(pod, uid, origin, node, now)
    # Most nodes have no static pods: the rules of pods cost 2 MB.
    from tiphys.api.core.pods.kind import PODS

    rules = PODS.rules
    rules.default(pod)
    rules.prepare_create(pod)
    errors = meta_rules.validate(pod.metadata, namespaced=True, name_rule=rules.validate_name)
    errors += [*rules.validate(pod), *rules.validate_create(pod)]
    if errors:
        raise ManifestError(f"{where}invalid pod: {'; '.join(map(str, errors))}")
    if references := api_references(pod):
        listed = "; ".join(f"{field}: static pods may not reference {resource}" for field, resource in references)
        raise ManifestError(f"{where}{listed}")
    return pod, decoded.problems


def _complete(pod: core.Pod, uid: str, origin: Origin, node: str, now: datetime) -> None:
    """Set what a static pod has besides its manifest. Fields that only the API server sets are cleared."""
    meta, spec = pod.metadata, pod.spec
    meta.name = f"{meta.name}-{node.lower()}"
    meta.namespace = meta.namespace or "default"
    meta.uid = uid
    meta.generateName, meta.resourceVersion, meta.generation = "", "", 1
    meta.creationTimestamp = now.replace(microsecond=0)
    meta.deletionTimestamp, meta.deletionGracePeriodSeconds = None, None
    meta.ownerReferences, meta.finalizers, meta.managedFields = [], [], []
    seen = now.isoformat().replace("+00:00", "Z")
    kept = {name: value for name, value in meta.annotations.items() if name != CONFIG_MIRROR}
    meta.annotations = {**kept, CONFIG_HASH: uid, CONFIG_SEEN: seen, CONFIG_SOURCE: origin.kind}
    spec.nodeName = node
    everything = core.Toleration(operator="Exists", effect="NoExecute")
    if everything not in spec.tolerations:
        # A static pod cannot go elsewhere, so problems of the node are no reason to end it.
        spec.tolerations = [*spec.tolerations, everything]
    if spec.priority is None:
        spec.priority = PRIORITIES.get(spec.priorityClassName or "")
    pod.status = core.PodStatus()
