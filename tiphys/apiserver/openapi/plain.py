"""Paths of OpenAPI 2 that belong to no kind: discovery, the version, and the keys of service accounts' tokens."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from tiphys.api.machinery.scheme import Kind
from tiphys.api.meta.v1 import APIGroup, APIGroupList, APIResourceList, APIVersions
from tiphys.apiserver.openapi import names
from tiphys.apiserver.openapi.schemas import Definitions, Schema

_JSON = "application/json"
_DISCOVERY = (_JSON, "application/yaml", "application/vnd.kubernetes.protobuf")


def plain_paths(kinds: Iterable[Kind[Any]], definitions: Definitions) -> dict[str, Any]:
    """One GET on each of these paths."""
    paths: dict[str, Any] = {}

    def add(path: str, tag: str, id_: str, text: str, type_: type[msgspec.Struct]) -> None:
        paths[path] = _get(tag, id_, text, definitions.ref(type_), _DISCOVERY, _DISCOVERY)

    for group, version in sorted({(kind.group, kind.version) for kind in kinds}):
        word = names.group_word(group)
        title = word[:1].upper() + word[1:]
        root = f"/apis/{group}" if group else "/api"
        id_ = f"get{title}{version.title()}APIResources"
        add(f"{root}/{version}/", f"{word}_{version}", id_, "get available resources", APIResourceList)
        if group:
            add(f"{root}/", word, f"get{title}APIGroup", "get information of a group", APIGroup)
        else:
            add("/api/", "core", "getCoreAPIVersions", "get available API versions", APIVersions)
    add("/apis/", "apis", "getAPIVersions", "get available API versions", APIGroupList)
    version_info = definitions.named(names.VERSION)
    paths["/version/"] = _get("version", "getCodeVersion", "get the version of the server", version_info, (_JSON,), (_JSON,))
    text: Schema = {"type": "string"}
    description = "get the OpenID configuration of the issuer of service account tokens"
    issuer = "getServiceAccountIssuerOpenID"
    paths["/.well-known/openid-configuration/"] = _get("WellKnown", f"{issuer}Configuration", description, text, (), (_JSON,))
    description = "get the public keys that verify service account tokens"
    paths["/openid/v1/jwks/"] = _get("openid", f"{issuer}Keyset", description, text, (), ("application/jwk-set+json",))
    return paths


def _get(tag: str, id_: str, text: str, result: Schema, consumes: tuple[str, ...], produces: tuple[str, ...]) -> dict[str, Any]:
    about: dict[str, Any] = {"tags": [tag], "description": text, "operationId": id_, "schemes": ["https"]}
    if consumes:
        about["consumes"] = list(consumes)
    responses = {"200": {"description": "OK", "schema": result}, "401": {"description": "Unauthorized"}}
    return {"get": about | {"produces": list(produces), "responses": responses}}
