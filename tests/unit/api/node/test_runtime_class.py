"""Runtime classes: mistakes, warnings and the fields that stay."""

# One case to a line, however long.
# ruff: noqa: E501

from __future__ import annotations

from typing import Any

import pytest


def runtime(rest: str) -> str:
    return f"{{apiVersion: node.k8s.io/v1, kind: RuntimeClass, metadata: {{name: a}}, {rest}}}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (runtime("handler: ''"), "handler: Required value"),
        (runtime("handler: A"), 'handler: Invalid value: "A": a lowercase RFC 1123 label'),
        (runtime("handler: a, overhead: {podFixed: {odd: '1'}}"), "must be a standard resource for containers"),
        (runtime("handler: a, scheduling: {nodeSelector: {a/b/c: d}}"), 'scheduling.nodeSelector: Invalid value: "a/b/c"'),
        (runtime("handler: a, scheduling: {tolerations: [{key: a, operator: Exists}, {key: a, operator: Exists}]}"), "scheduling.tolerations[1]: Duplicate value"),
    ],
)  # fmt: skip
def test_rejects_invalid_fields(server: Any, text: str, said: str) -> None:
    server.rejects(text, said)


@pytest.mark.parametrize(
    "text",
    [
        runtime("handler: a, overhead: {podFixed: {cpu: 10m}}"),
    ],
)
def test_accepts_valid_objects(server: Any, text: str) -> None:
    server.create(text)


def test_immutable_fields(server: Any) -> None:
    made = server.create(runtime("handler: a"))
    assert server.update(made, handler="b")[1] == ['handler: Invalid value: "b": field is immutable']


@pytest.mark.parametrize(
    ("text", "warnings"),
    [
        (runtime("handler: a, scheduling: {nodeSelector: {beta.kubernetes.io/os: a}}"), ['scheduling.nodeSelector: deprecated since v1.14; use "kubernetes.io/os" instead']),
    ],
)  # fmt: skip
def test_warnings(server: Any, text: str, warnings: list[str]) -> None:
    assert server.warnings(text) == warnings
