"""Tables and bare metadata."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from tiphys.api.core import v1 as core
from tiphys.api.machinery.scheme import Column, Kind
from tiphys.api.meta import v1 as meta
from tiphys.apiserver.answers.table import render_partial, render_partial_list, render_table

NOW = datetime(2026, 1, 1, 0, 1, tzinfo=UTC)
PODS: Kind[core.Pod] = Kind(
    type=core.Pod,
    plural="pods",
    columns=(
        Column("Name", lambda pod, _: pod.metadata.name, format="name"),
        Column("Restarts", lambda pod, _: 3, type="integer"),
        Column("Age", lambda pod, now: f"{(now - pod.metadata.creationTimestamp).total_seconds():.0f}s", priority=1, description="age"),
        Column("Node", lambda pod, _: None),
    ),
)
POD = core.Pod(
    metadata=meta.ObjectMeta(
        name="a", namespace="n", resourceVersion="7", labels={"x": "y"}, creationTimestamp=datetime(2026, 1, 1, tzinfo=UTC)
    ),
    spec=core.PodSpec(nodeName="one"),
)


def table(*objects: core.Pod, kind: Kind[Any] = PODS, **options: Any) -> Any:
    return json.loads(render_table(kind, objects, now=NOW, **options))


def test_a_table_has_headers_and_a_row_for_each_object() -> None:
    got = table(POD, resource_version="9", continue_="c", remaining=4)
    assert (got["kind"], got["apiVersion"]) == ("Table", "meta.k8s.io/v1")
    assert got["metadata"] == {"resourceVersion": "9", "continue": "c", "remainingItemCount": 4}
    assert [column["name"] for column in got["columnDefinitions"]] == ["Name", "Restarts", "Age", "Node"]
    assert got["columnDefinitions"][2] == {"name": "Age", "type": "string", "format": "", "description": "age", "priority": 1}
    (row,) = got["rows"]
    assert row["cells"] == ["a", 3, "60s", None]
    assert row["object"]["kind"] == "PartialObjectMetadata"
    assert row["object"]["metadata"]["labels"] == {"x": "y"}
    assert "spec" not in row["object"]


def test_the_client_chooses_what_stands_beside_the_cells() -> None:
    assert table(POD, include="Object")["rows"][0]["object"]["spec"]["nodeName"] == "one"
    assert "object" not in table(POD, include="None")["rows"][0]


def test_later_events_of_a_watch_have_no_headers() -> None:
    assert table(POD, with_headers=False)["columnDefinitions"] is None


def test_an_empty_list_is_a_table_without_rows() -> None:
    got = table(version="v1beta1")
    assert got["rows"] == []
    assert got["apiVersion"] == "meta.k8s.io/v1beta1"


def test_kinds_without_columns_show_name_and_creation() -> None:
    got = table(POD, kind=Kind(type=core.Pod, plural="pods"))
    assert [column["name"] for column in got["columnDefinitions"]] == ["Name", "Created At"]
    assert got["rows"][0]["cells"] == ["a", "2026-01-01T00:00:00Z"]


def test_partial_metadata() -> None:
    one = json.loads(render_partial(POD, version="v1beta1"))
    assert one.keys() == {"kind", "apiVersion", "metadata"}
    assert one["apiVersion"] == "meta.k8s.io/v1beta1"
    many = json.loads(render_partial_list([POD, POD], resource_version="9"))
    assert (many["kind"], len(many["items"]), many["metadata"]) == ("PartialObjectMetadataList", 2, {"resourceVersion": "9"})
    assert many["items"][0]["kind"] == "PartialObjectMetadata"
