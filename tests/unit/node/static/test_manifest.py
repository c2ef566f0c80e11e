"""Static pods from manifests: names, uids, defaults, and what is refused in which words."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest
import yaml

from tests.unit.node.make import MOMENT
from tiphys.api.core import v1 as core
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.api.well_known import CONFIG_MIRROR
from tiphys.node.pod.preemption import is_critical
from tiphys.node.static.annotations import CONFIG_HASH, CONFIG_SEEN, CONFIG_SOURCE, is_static
from tiphys.node.static.manifest import Manifest, ManifestError, Origin, read_manifest

FILE = Origin("file", "/manifests/web.yaml")
URL = Origin("http", "http://127.0.0.1/pods")


def document(**spec: Any) -> dict[str, Any]:
    containers = spec.pop("containers", [{"name": "main", "image": "img:1"}])
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"}, "spec": {"containers": containers, **spec}}


def read(what: dict[str, Any] | str, origin: Origin = FILE, node: str = "n1") -> Manifest:
    text = what if isinstance(what, str) else yaml.safe_dump(what)
    return read_manifest(text.encode(), origin, node=node, now=MOMENT)


def only(what: dict[str, Any] | str, origin: Origin = FILE, node: str = "n1") -> core.Pod:
    (pod,) = read(what, origin, node).pods
    return pod


def test_a_pod_is_named_after_its_node_and_marked_with_its_origin() -> None:
    pod = only(document())
    meta = pod.metadata
    assert (meta.name, meta.namespace, pod.spec.nodeName) == ("web-n1", "default", "n1")
    assert meta.annotations == {CONFIG_HASH: meta.uid, CONFIG_SEEN: "1970-01-12T13:46:40Z", CONFIG_SOURCE: "file"}
    assert is_static(pod)
    assert is_critical(pod)
    assert only(document(), URL).metadata.annotations[CONFIG_SOURCE] == "http"


def test_a_pod_gets_the_defaults_of_the_api_and_tolerates_problems_of_its_node() -> None:
    pod = only(document())
    assert (pod.spec.restartPolicy, pod.spec.dnsPolicy, pod.spec.terminationGracePeriodSeconds) == ("Always", "ClusterFirst", 30)
    assert (pod.status.phase, pod.status.qosClass) == ("Pending", "BestEffort")
    assert [(one.operator, one.effect) for one in pod.spec.tolerations] == [("Exists", "NoExecute")]
    assert only(document(priorityClassName="system-node-critical")).spec.priority == 2_000_001_000


def test_the_uid_follows_what_is_said_and_where_and_not_how() -> None:
    uid = only(document()).metadata.uid
    assert only(msgspec.json.encode(document()).decode()).metadata.uid == uid
    assert only("# a comment\n" + yaml.safe_dump(document())).metadata.uid == uid
    later = read_manifest(yaml.safe_dump(document()).encode(), FILE, node="n1", now=MOMENT + timedelta(days=1))
    assert later.pods[0].metadata.uid == uid
    changed = document(containers=[{"name": "main", "image": "img:2"}])
    others = (only(changed), only(document(), node="n2"), only(document(), Origin("file", "/elsewhere")), only(document(), URL))
    assert len({uid, *(pod.metadata.uid for pod in others)}) == 5


def test_a_manifest_cannot_forge_what_the_api_server_sets() -> None:
    body = document()
    body["metadata"] |= {
        "uid": "mine",
        "resourceVersion": "7",
        "finalizers": ["a/b"],
        "annotations": {CONFIG_MIRROR: "x", CONFIG_HASH: "y", "note": "z"},
    }
    body["status"] = {"phase": "Failed"}
    pod = only(body)
    assert pod.metadata.uid not in ("mine", "y")
    assert (pod.metadata.resourceVersion, pod.metadata.finalizers, pod.status.phase) == ("", [], "Pending")
    assert CONFIG_MIRROR not in pod.metadata.annotations
    assert pod.metadata.annotations["note"] == "z"


def test_no_annotation_makes_a_pod_of_the_api_static() -> None:
    uid = "0b0f1c9e-5a9c-4b52-9f6e-4d7f3f1f5f5f"
    meta = ObjectMeta(name="web", uid=uid, annotations={CONFIG_HASH: uid, CONFIG_SOURCE: "file"})
    assert not is_static(core.Pod(metadata=meta))
    assert not is_static(core.Pod(metadata=ObjectMeta(name="web")))


def test_a_url_may_serve_a_list() -> None:
    one, two = document(), document()
    two["metadata"] = {"name": "db", "namespace": "kube-system"}
    pods = read({"apiVersion": "v1", "kind": "PodList", "items": [one, two]}, URL).pods
    assert [(pod.metadata.namespace, pod.metadata.name) for pod in pods] == [("default", "web-n1"), ("kube-system", "db-n1")]


def test_unknown_fields_and_further_documents_are_warned_of() -> None:
    body = document()
    body["spec"]["replicas"] = 3
    assert read(body).warnings == ('unknown field "spec.replicas"',)
    two = f"{yaml.safe_dump(document())}---\n{yaml.safe_dump(document())}"
    assert read(two).warnings == ("only the first document is used: put each pod into a file of its own",)


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("", "the manifest is empty"),
        ("{", "neither YAML nor JSON: yaml: "),
        ("- a", "the manifest is not an object: it must be a Pod, with apiVersion: v1 and kind: Pod"),
        ({"metadata": {"name": "a"}}, "apiVersion (none), kind (none): static pods are made of a Pod of apiVersion v1 only"),
        (
            {"apiVersion": "apps/v1", "kind": "Deployment"},
            "apiVersion apps/v1, kind Deployment: static pods are made of a Pod of apiVersion v1 only",
        ),
        ({"apiVersion": "v1", "kind": "PodList"}, "apiVersion v1, kind PodList: static pods are made of a Pod of apiVersion v1 only"),
        ({**document(), "metadata": {}}, "metadata.name: name is needed for the pod"),
        ({**document(), "metadata": {"name": "No"}}, 'invalid pod: metadata.name: Invalid value: "No-n1"'),
        (document(containers=[]), "invalid pod: spec.containers: Required value"),
        (document(containers=[{"name": "a", "image": "b", "resources": {"limits": {"cpu": "much"}}}]), "Pod in version "),
        (document(serviceAccountName="sa"), "spec.serviceAccountName: static pods may not reference serviceaccounts"),
        (document(imagePullSecrets=[{"name": "s"}]), "spec.imagePullSecrets: static pods may not reference secrets"),
        (
            document(containers=[{"name": "a", "image": "b", "envFrom": [{"secretRef": {"name": "s"}}]}]),
            "spec.containers: static pods may not reference secrets (s)",
        ),
        (
            document(
                containers=[
                    {"name": "a", "image": "b", "env": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}}]}
                ]
            ),
            "spec.containers: static pods may not reference configmaps (c)",
        ),
        (
            document(volumes=[{"name": "v", "configMap": {"name": "c"}}]),
            "spec.volumes[0].configMap: static pods may not reference configmaps (via configmap volumes)",
        ),
        (
            document(volumes=[{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}]),
            "spec.volumes[0].persistentVolumeClaim: static pods may not reference persistentvolumeclaims",
        ),
        (
            document(volumes=[{"name": "v", "projected": {"sources": [{"secret": {"name": "s"}}]}}]),
            "spec.volumes[0].projected.sources[0].secret: static pods may not reference secrets (via projected volumes)",
        ),
    ],
)
def test_mistakes_are_refused_in_words(what: dict[str, Any] | str, message: str) -> None:
    with pytest.raises(ManifestError) as caught:
        read(what)
    assert str(caught.value).startswith(message)
