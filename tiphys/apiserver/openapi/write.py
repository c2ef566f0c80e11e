"""OpenAPI documents of kinds, version 2 and version 3."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tiphys.api.machinery.scheme import Kind
from tiphys.api.meta.v1 import DeleteOptions, Status, WatchEvent
from tiphys.apiserver.discovery import GIT_VERSION
from tiphys.apiserver.openapi import names
from tiphys.apiserver.openapi.operations import Operation, operations, tag
from tiphys.apiserver.openapi.parameters import Parameter
from tiphys.apiserver.openapi.plain import plain_paths
from tiphys.apiserver.openapi.schemas import Definitions, Schema

_JSON, _YAML, _PROTOBUF = "application/json", "application/yaml", "application/vnd.kubernetes.protobuf"
PATCHES = (
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
)


def document_v2(kinds: Iterable[Kind[Any]]) -> dict[str, Any]:
    """The OpenAPI 2.0 (Swagger) document of all kinds."""
    definitions = Definitions(2)
    kinds = list(kinds)
    paths = dict(sorted((_paths(kinds, definitions) | plain_paths(kinds, definitions)).items()))
    return {
        "swagger": "2.0",
        "info": {"title": "Kubernetes", "version": GIT_VERSION},
        "paths": paths,
        "definitions": dict(sorted(definitions.schemas.items())),
        "securityDefinitions": {
            "BearerToken": {"description": "Bearer Token authentication", "type": "apiKey", "name": "authorization", "in": "header"}
        },
        "security": [{"BearerToken": []}],
    }


def document_v3(kinds: Iterable[Kind[Any]]) -> dict[str, Any]:
    """The OpenAPI 3.0 document of the kinds of one group and version."""
    definitions = Definitions(3)
    paths = _paths(kinds, definitions)
    bearer = {"description": "Bearer Token authentication", "type": "apiKey", "name": "authorization", "in": "header"}
    return {
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": GIT_VERSION},
        "paths": paths,
        "components": {"schemas": dict(sorted(definitions.schemas.items())), "securitySchemes": {"BearerToken": bearer}},
    }


def _paths(kinds: Iterable[Kind[Any]], definitions: Definitions) -> dict[str, Any]:
    paths: dict[str, dict[str, Any]] = {}
    for kind in kinds:
        definitions.ref(kind.type, kind.gvk)
        for operation in operations(kind):
            render = _operation_v2 if definitions.version == 2 else _operation_v3
            paths.setdefault(operation.path, {})[operation.method] = render(operation, tag(kind), definitions)
    return dict(sorted(paths.items()))


def _common(operation: Operation, tag_: str) -> dict[str, Any]:
    return {
        "tags": [tag_],
        "description": operation.text,
        "operationId": operation.id,
        "x-kubernetes-action": operation.action,
        "x-kubernetes-group-version-kind": operation.gvk._asdict(),
    }


def _result(operation: Operation, definitions: Definitions) -> Schema:
    if operation.result == "status":
        return definitions.ref(Status)
    if operation.result == "event":
        return definitions.ref(WatchEvent)
    if operation.result in ("stream", "log") or operation.type is None:
        return {"type": "string"}
    if operation.result == "list":
        return definitions.list_ref(operation.type, operation.gvk)
    return definitions.ref(operation.type, operation.gvk)


def _body(operation: Operation, definitions: Definitions) -> Schema | None:
    if operation.body == "patch":
        return definitions.named(names.PATCH)
    if operation.body == "options":
        return definitions.ref(DeleteOptions)
    if operation.body == "object" and operation.type is not None:
        return definitions.ref(operation.type, operation.gvk)
    return None


def _produced(operation: Operation) -> list[str]:
    """The media types of the answer."""
    from tiphys.api.machinery.protobuf.messages import is_known  # Loaded with the first document.

    if operation.result == "stream":
        return ["*/*"]
    media = [_JSON, _YAML] + ([_PROTOBUF] if operation.type is None or is_known(operation.type) else [])
    if operation.result == "log":
        return ["text/plain", *media]
    return media + ([f"{name};stream=watch" for name in media if name != _YAML] if operation.result in ("list", "event") else [])


def _patches(operation: Operation) -> tuple[str, ...]:
    """The formats of patches: custom kinds have no strategic merge."""
    is_custom = getattr(operation.type, "__model__", None) is not None
    return tuple(name for name in PATCHES if not is_custom or "strategic" not in name)


def _statuses(operation: Operation) -> list[tuple[str, str]]:
    """The statuses that bring a result."""
    statuses = [("200", "OK")]
    if operation.created:
        statuses.append(("201", "Created"))
    if operation.method in ("post", "delete") and operation.action not in ("connect", "deletecollection"):
        statuses.append(("202", "Accepted"))
    return statuses


def _operation_v2(operation: Operation, tag_: str, definitions: Definitions) -> dict[str, Any]:
    result, body = _result(operation, definitions), _body(operation, definitions)
    parameters = [
        {"name": parameter.name, "in": parameter.where, "type": parameter.type, "description": parameter.text, "uniqueItems": True}
        | ({"required": True} if parameter.where == "path" else {})
        for parameter in operation.parameters
    ]
    if body is not None:
        parameters.insert(0, {"name": "body", "in": "body", "schema": body} | ({"required": True} if operation.body != "options" else {}))
    produces = _produced(operation)
    responses = {code: {"description": text, "schema": result} for code, text in _statuses(operation)}
    return _common(operation, tag_) | {
        "consumes": list(_patches(operation)) if operation.body == "patch" else ["*/*"],
        "produces": produces,
        "schemes": ["https"],
        "parameters": parameters,
        "responses": responses | {"401": {"description": "Unauthorized"}},
    }


def _parameter_v3(parameter: Parameter) -> dict[str, Any]:
    schema = {"type": parameter.type, "uniqueItems": True}
    required = {"required": True} if parameter.where == "path" else {}
    return {"name": parameter.name, "in": parameter.where, "description": parameter.text, "schema": schema} | required


def _operation_v3(operation: Operation, tag_: str, definitions: Definitions) -> dict[str, Any]:
    result, body = _result(operation, definitions), _body(operation, definitions)
    content = {name: {"schema": result} for name in _produced(operation)}
    responses: dict[str, Any] = {code: {"description": text, "content": content} for code, text in _statuses(operation)}
    rendered = _common(operation, tag_) | {
        "parameters": [_parameter_v3(parameter) for parameter in operation.parameters],
        "responses": responses | {"401": {"description": "Unauthorized"}},
    }
    if body is not None:
        accepted = _patches(operation) if operation.body == "patch" else ("*/*",)
        rendered["requestBody"] = {"content": {name: {"schema": body} for name in accepted}} | (
            {"required": True} if operation.body != "options" else {}
        )
    return rendered
