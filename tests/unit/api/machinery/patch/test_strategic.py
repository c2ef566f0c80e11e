"""Strategic merge patch, guided by the types."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiphys.api.apps import v1 as apps
from tiphys.api.core import v1 as core
from tiphys.api.machinery.errors import BadRequest
from tiphys.api.machinery.patch import strategic_merge


def names(items: list[Any]) -> list[str]:
    return [item["name"] for item in items]


def pod(*containers: Any, **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "p"}, "spec": {"containers": list(containers), **spec}}


def patched(document: dict[str, Any], patch: dict[str, Any], type_: Any = core.Pod) -> dict[str, Any]:
    before = copy.deepcopy(patch)
    result = strategic_merge(type_, document, patch)
    assert patch == before
    return result


def test_containers_are_merged_by_name() -> None:
    document = {
        "spec": {"template": {"spec": {"containers": [{"name": "a", "image": "a:1", "args": ["x"]}, {"name": "b", "image": "b:1"}]}}}
    }
    patch = {"spec": {"template": {"spec": {"containers": [{"name": "b", "image": "b:2"}, {"name": "a", "args": ["y"]}]}}}}
    containers = patched(document, patch, apps.Deployment)["spec"]["template"]["spec"]["containers"]
    assert containers == [{"name": "b", "image": "b:2"}, {"name": "a", "image": "a:1", "args": ["y"]}]


def test_items_only_the_server_knows_keep_their_places() -> None:
    document = pod({"name": "a"}, {"name": "b"}, {"name": "c"})
    assert names(patched(document, {"spec": {"containers": [{"name": "b", "image": "x"}]}})["spec"]["containers"]) == ["a", "b", "c"]


def test_set_element_order_decides() -> None:
    document = pod({"name": "a"}, {"name": "server"}, {"name": "b"})
    patch = {
        "spec": {
            "$setElementOrder/containers": [{"name": "b"}, {"name": "new"}, {"name": "a"}],
            "containers": [{"name": "new", "image": "n"}],
        }
    }
    assert names(patched(document, patch)["spec"]["containers"]) == ["server", "b", "new", "a"]


def test_set_element_order_alone_reorders() -> None:
    document = pod({"name": "a"}, {"name": "b"})
    assert names(patched(document, {"spec": {"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}]}})["spec"]["containers"]) == [
        "b",
        "a",
    ]


def test_a_new_item_takes_the_place_of_a_deleted_one() -> None:
    document = pod({"name": "old"}, {"name": "sidecar"})
    patch = {
        "spec": {"$setElementOrder/containers": [{"name": "new"}], "containers": [{"name": "new"}, {"name": "old", "$patch": "delete"}]}
    }
    assert names(patched(document, patch)["spec"]["containers"]) == ["sidecar", "new"]


def test_set_element_order_must_agree_with_the_patch() -> None:
    patch = {"spec": {"$setElementOrder/containers": [{"name": "a"}], "containers": [{"name": "b"}]}}
    with pytest.raises(BadRequest, match="doesn't match \\$setElementOrder list"):
        patched(pod({"name": "a"}), patch)


def test_items_can_be_deleted_and_lists_replaced() -> None:
    document = pod({"name": "a"}, {"name": "b", "image": "b"})
    assert names(patched(copy.deepcopy(document), {"spec": {"containers": [{"name": "a", "$patch": "delete"}]}})["spec"]["containers"]) == [
        "b"
    ]
    replaced = patched(document, {"spec": {"containers": [{"name": "b", "args": ["x"]}, {"$patch": "replace"}]}})
    assert replaced["spec"]["containers"] == [{"name": "b", "args": ["x"]}]


def test_maps_can_be_replaced_and_emptied() -> None:
    document = {"metadata": {"labels": {"a": "1"}, "annotations": {"x": "y"}}}
    patch = {"metadata": {"labels": {"b": "2", "$patch": "replace"}, "annotations": {"$patch": "delete"}}}
    assert patched(document, patch) == {"metadata": {"labels": {"b": "2"}, "annotations": {}}}


def test_nulls_delete_and_never_arrive() -> None:
    document = pod({"name": "a"}, nodeName="n")
    patch = {"metadata": {"labels": {"a": None, "b": "c"}}, "spec": {"nodeName": None, "securityContext": {"runAsUser": None}}}
    result = patched(document, patch)
    assert result["metadata"] == {"name": "p", "labels": {"b": "c"}}
    assert result["spec"] == {"containers": [{"name": "a"}], "securityContext": {}}


def test_retain_keys_clears_the_other_branches_of_a_union() -> None:
    document = {"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}}
    patch = {"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}}
    assert patched(document, patch, apps.Deployment) == {"spec": {"strategy": {"type": "Recreate"}}}
    with pytest.raises(BadRequest, match="invalid patch format of retainKeys"):
        patched({"spec": {"strategy": {}}}, {"spec": {"strategy": {"$retainKeys": [], "type": "Recreate"}}}, apps.Deployment)


def test_volumes_retain_keys_and_merge() -> None:
    document = pod({"name": "a"}, volumes=[{"name": "v", "emptyDir": {}}])
    patch = {"spec": {"volumes": [{"name": "v", "$retainKeys": ["name", "hostPath"], "hostPath": {"path": "/x"}}]}}
    assert patched(document, patch)["spec"]["volumes"] == [{"name": "v", "hostPath": {"path": "/x"}}]


def test_lists_of_scalars() -> None:
    document = {"metadata": {"finalizers": ["a", "b", "c"]}}
    assert patched(copy.deepcopy(document), {"metadata": {"finalizers": ["d", "a"]}})["metadata"]["finalizers"] == ["d", "a", "b", "c"]
    patch = {"metadata": {"$deleteFromPrimitiveList/finalizers": ["b"], "$setElementOrder/finalizers": ["c", "a"]}}
    assert patched(document, patch)["metadata"]["finalizers"] == ["c", "a"]


def test_atomic_lists_are_replaced() -> None:
    document = pod({"name": "a", "command": ["x", "y"]}, tolerations=[{"key": "a"}])
    patch = {"spec": {"containers": [{"name": "a", "command": ["z"]}], "tolerations": [{"key": "b"}]}}
    result = patched(document, patch)["spec"]
    assert result["containers"][0]["command"] == ["z"]
    assert result["tolerations"] == [{"key": "b"}]


def test_directives_about_what_is_not_there_vanish() -> None:
    patch = {
        "spec": {"volumes": [{"name": "v", "$patch": "delete"}], "$deleteFromPrimitiveList/x": ["a"], "nodeSelector": {"$patch": "delete"}}
    }
    assert patched({"spec": {}}, patch) == {"spec": {"volumes": []}}


@pytest.mark.parametrize(
    ("patch", "text"),
    [
        ({"spec": {"containers": [{"image": "x"}]}}, "does not contain declared merge key: name"),
        ({"spec": {"containers": ["x"]}}, "holds both objects and scalars"),
        ({"spec": {"containers": [["x"]]}}, "lists of lists are not supported"),
        ({"spec": {"containers": [{"name": "a", "$patch": "explode"}]}}, "unknown patch type: explode"),
        ({"spec": {"$patch": "explode"}}, "unknown patch type: explode"),
        ({"spec": {"$setElementOrder/containers": "x"}}, "invalid patch format of setElementOrder list"),
        ({"spec": {"$deleteFromPrimitiveList/containers": "x"}}, "invalid patch format of primitive list"),
    ],
)
def test_senseless_patches_are_bad_requests(patch: Any, text: str) -> None:
    with pytest.raises(BadRequest, match=text):
        patched(pod({"name": "a"}), patch)


letters = st.lists(st.sampled_from("abcdef"), unique=True, max_size=6)


@given(letters, letters)
def test_merging_keeps_everything_and_the_order_of_both_sides(server: list[str], patch: list[str]) -> None:
    document = pod(*[{"name": name, "image": "old"} for name in server])
    merged = patched(document, {"spec": {"containers": [{"name": name, "image": "new"} for name in patch]}})["spec"]["containers"]
    assert sorted(names(merged)) == sorted(set(server) | set(patch))
    assert [item["name"] for item in merged if item["image"] == "new"] == patch
    assert [item["name"] for item in merged if item["image"] == "old"] == [name for name in server if name not in patch]


@given(letters, letters, st.sampled_from(["merge", "delete"]))
def test_patching_twice_changes_nothing_more(server: list[str], patch: list[str], directive: str) -> None:
    items: list[dict[str, Any]] = [
        {"name": name, "image": "new"} if directive == "merge" else {"name": name, "$patch": "delete"} for name in patch
    ]
    body = {"spec": {"containers": items}}
    once = patched(pod(*[{"name": name} for name in server]), body)
    assert patched(copy.deepcopy(once), body) == once


@given(letters, letters.flatmap(lambda order: st.tuples(st.just(order), st.permutations(order))))
def test_set_element_order_is_obeyed(server: list[str], orders: tuple[list[str], list[str]]) -> None:
    order = list(orders[1])
    body = {"spec": {"$setElementOrder/containers": [{"name": name} for name in order], "containers": [{"name": name} for name in order]}}
    merged = names(patched(pod(*[{"name": name} for name in server]), body)["spec"]["containers"])
    assert [name for name in merged if name in order] == order
    assert [name for name in merged if name not in order] == [name for name in server if name not in order]
