"""Distils an OpenAPI 2 document of Kubernetes into facts: names, types and numbers, one to a line, nothing that anybody wrote in prose.

    python tools/swagger_facts.py swagger-1.36.json > tests/data/swagger-1.36.tsv

The drift test (tests/unit/apiserver/openapi) distils what Tiphys publishes in the same way and compares. A line is a key, a tab and a fact:

    core.v1.Container               object required=name
    core.v1.Container.envFrom       [core.v1.EnvFromSource] list-type=atomic
    GET /api/v1/namespaces/{name}   readCoreV1Namespace get v1/Namespace tags=core_v1 parameters=name,pretty ... 200=core.v1.Namespace 401

Of alpha and beta versions only the names are kept.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

METHODS = ("get", "put", "post", "delete", "options", "head", "patch")
_PREFIXES = (
    "io.k8s.api.",
    "io.k8s.apiextensions-apiserver.pkg.apis.",
    "io.k8s.apimachinery.pkg.apis.",
    "io.k8s.apimachinery.pkg.",
    "io.k8s.kube-aggregator.pkg.apis.",
)
_UNSTABLE = re.compile(r"(?:^|[./])v\d+(?:alpha|beta)\d+(?:[./]|$)")
_MEDIA = {
    "application/json": "json",
    "application/yaml": "yaml",
    "application/vnd.kubernetes.protobuf": "protobuf",
    "application/cbor": "cbor",
    "application/json;stream=watch": "json-watch",
    "application/vnd.kubernetes.protobuf;stream=watch": "protobuf-watch",
    "application/cbor-seq": "cbor-seq",
    "application/json-patch+json": "json-patch",
    "application/merge-patch+json": "merge-patch",
    "application/strategic-merge-patch+json": "strategic-merge-patch",
    "application/apply-patch+yaml": "apply-patch-yaml",
    "application/apply-patch+cbor": "apply-patch-cbor",
}


def is_unstable(name: str) -> bool:
    """Return whether a definition, path or version belongs to an alpha or beta version."""
    return _UNSTABLE.search(name) is not None


def unstable_versions(document: Mapping[str, Any]) -> set[str]:
    """The alpha and beta versions of a document, as `group/version`."""
    found = re.compile(r"^/apis/([^/]+/v\d+(?:alpha|beta)\d+)/")
    return {match[1] for path in document["paths"] if (match := found.match(path))}


def distil(document: Mapping[str, Any]) -> dict[str, str]:
    """The facts of a document by key."""
    return dict(_definitions(document["definitions"])) | dict(_operations(document))


def short(name: str) -> str:
    """`core.v1.Pod` for the long name of a definition or a reference to it."""
    name = name.rpartition("/")[2]
    for prefix in _PREFIXES:
        if name.startswith(prefix):
            return name.removeprefix(prefix)
    return name


def _definitions(definitions: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, schema in definitions.items():
        if is_unstable(name):
            continue
        key = short(name)
        facts = [_type(schema)]
        if "required" in schema:
            facts.append("required=" + ",".join(sorted(schema["required"])))
        if "x-kubernetes-group-version-kind" in schema:
            facts.append("kind=" + ",".join(sorted(_gvks(schema["x-kubernetes-group-version-kind"]))))
        if "x-kubernetes-unions" in schema:
            facts.append("unions=" + json.dumps(schema["x-kubernetes-unions"], sort_keys=True, separators=(",", ":")))
        yield key, " ".join([*facts, *_semantics(schema)])
        for field, about in schema.get("properties", {}).items():
            yield f"{key}.{field}", " ".join([_type(about), *_semantics(about)])


def _gvks(kinds: Iterable[Mapping[str, str]]) -> Iterator[str]:
    """Kinds that are not alpha or beta."""
    for gvk in kinds:
        if not is_unstable(gvk["version"]):
            yield f"{gvk['group']}/{gvk['version']}/{gvk['kind']}".lstrip("/")


def _type(schema: Mapping[str, Any]) -> str:
    """`string`, `integer(int64)`, `core.v1.PodSpec`, `[core.v1.Container]`, `{string}`."""
    if "$ref" in schema:
        return short(schema["$ref"])
    if "items" in schema:
        return f"[{_type(schema['items'])}]"
    if "additionalProperties" in schema:
        return f"{{{_type(schema['additionalProperties'])}}}"
    bare = schema.get("type", "any")
    return f"{bare}({schema['format']})" if "format" in schema else bare


def _semantics(schema: Mapping[str, Any]) -> Iterator[str]:
    for name in ("list-type", "list-map-keys", "map-type", "patch-strategy", "patch-merge-key"):
        value = schema.get(f"x-kubernetes-{name}")
        if value is not None:
            yield f"{name}={','.join(value) if isinstance(value, list) else value}"
    for name in ("default", "enum", "minimum", "maximum", "pattern"):
        if name in schema:
            yield f"{name}={json.dumps(schema[name])}"


def _operations(document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Operations of stable versions."""
    named = document.get("parameters", {})
    for path, methods in document["paths"].items():
        if is_unstable(path):
            continue
        for method in METHODS:
            if method in methods:
                operation = methods[method]
                stated = [*methods.get("parameters", []), *operation.get("parameters", [])]
                parameters = [named[short(one["$ref"])] if "$ref" in one else one for one in stated]
                yield f"{method.upper()} {path}", " ".join(_operation(operation, parameters))
                yield from ((f"parameter {_name(one)}", _parameter(one)) for one in parameters if one["in"] != "body")


def _operation(operation: Mapping[str, Any], parameters: list[Mapping[str, Any]]) -> Iterator[str]:
    yield operation.get("operationId", "-")
    yield operation.get("x-kubernetes-action", "-")
    if "x-kubernetes-group-version-kind" in operation:
        yield from _gvks([operation["x-kubernetes-group-version-kind"]])
    yield "tags=" + ",".join(operation.get("tags", []))
    names = sorted(_name(one) for one in parameters if one["in"] != "body")
    if names:
        yield "parameters=" + ",".join(names)
    for one in parameters:
        if one["in"] == "body":
            yield f"body={_type(one['schema'])}{'!' if one.get('required') else ''}"
    for name in ("consumes", "produces"):
        if name in operation:
            yield f"{name}=" + ",".join(_MEDIA.get(media, media) for media in operation[name])
    for code, response in sorted(operation["responses"].items()):
        yield f"{code}={_type(response['schema'])}" if "schema" in response else code


def _name(parameter: Mapping[str, Any]) -> str:
    """`limit` for a parameter of the query, `{name}` for one of the path."""
    return f"{{{parameter['name']}}}" if parameter["in"] == "path" else str(parameter["name"])


def _parameter(parameter: Mapping[str, Any]) -> str:
    return " ".join([parameter["in"], _type(parameter), *(["required"] if parameter.get("required") else [])])


def main() -> None:
    document = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    for version in sorted(unstable_versions(document)):
        print(f"unstable\t{version}")
    for key, fact in sorted(distil(document).items()):
        print(f"{key}\t{fact}")


if __name__ == "__main__":
    main()
