"""Columns that definitions make: what all cells of a row and of an answer take together has a bound."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from tiphys.api.apiextensions import v1 as extensions
from tiphys.api.custom import kinds
from tiphys.api.custom.kinds import kinds_of
from tiphys.api.custom.object import document_of
from tiphys.api.machinery.columns import MAX_ROW, PER_ROW, Meter
from tiphys.apiserver.answers.table import render_table

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def kind_with(*paths: str) -> Any:
    columns = [extensions.CustomResourceColumnDefinition(name=path, type="string", jsonPath=path) for path in paths]
    version = extensions.CustomResourceDefinitionVersion(name="v1", served=True, storage=True, additionalPrinterColumns=columns)
    names = extensions.CustomResourceDefinitionNames(plural="as", kind="A", singular="a", listKind="AList")
    definition = extensions.CustomResourceDefinition()
    definition.spec = extensions.CustomResourceDefinitionSpec(group="b.c", scope="Cluster", names=names, versions=[version])
    definition.status.acceptedNames = names
    (kind,) = kinds_of(definition)
    return kind


def cells(kind: Any, objects: list[Any], meter: Meter | None = None) -> list[list[Any]]:
    return [row["cells"][1:] for row in json.loads(render_table(kind, objects, now=NOW, include="None", meter=meter))["rows"]]


def obj(kind: Any, **content: Any) -> Any:
    made = kind.type(content=content)
    made.metadata.name = "a"
    return made


def test_a_row_has_one_budget_for_all_its_cells() -> None:
    kind = kind_with(*[".spec..a"] * 20, ".spec.b")
    large = obj(kind, spec={"a": 1, "l": [1] * (MAX_ROW // 4)})
    (row,) = cells(kind, [large])
    assert 0 < row.count("1") < 5
    assert row[-1] is None
    assert cells(kind, [obj(kind, spec={"a": 1, "b": 2})]) == [["1"] * 20 + ["2"]]


def test_an_answer_has_one_budget_for_all_its_rows() -> None:
    kind = kind_with(".spec..a")
    shown = obj(kind, spec={"a": 1, "l": [1] * (2 * PER_ROW)})
    rows = cells(kind, [shown] * 100)
    assert rows[0] == ["1"]
    assert MAX_ROW // (2 * PER_ROW) <= rows.count(["1"]) <= 60


def test_a_watch_has_one_budget_for_all_its_events() -> None:
    kind, meter = kind_with(".spec..a"), Meter()
    shown = obj(kind, spec={"a": 1, "l": [1] * (2 * PER_ROW)})
    rows = [cells(kind, [shown], meter)[0] for _ in range(100)]
    assert rows[0] == ["1"]
    assert rows.count(["1"]) <= 60


def test_usual_rows_are_shown_however_many() -> None:
    kind = kind_with('.status.conditions[?(@.type=="Ready")].status', ".spec.n", ".metadata.name")
    conditions = [{"type": f"T{n}", "status": "False"} for n in range(20)] + [{"type": "Ready", "status": "True"}]
    assert cells(kind, [obj(kind, spec={"n": 1}, status={"conditions": conditions})] * 500) == [["True", "1", "a"]] * 500


def test_long_cells_take_from_the_budget() -> None:
    kind = kind_with(*[".spec"] * 100)
    (row,) = cells(kind, [obj(kind, spec={"a": "x" * 100_000})])
    assert 0 < sum(cell is not None for cell in row) <= 20


def test_metadata_becomes_a_document_once_for_all_columns(monkeypatch: Any) -> None:
    count = 0

    def counted(made: Any) -> Any:
        nonlocal count
        count += 1
        return document_of(made)

    monkeypatch.setattr(kinds, "document_of", counted)
    kind = kind_with(*[".metadata.name"] * 50)
    assert cells(kind, [obj(kind), obj(kind)]) == [["a"] * 50] * 2
    assert count == 2
