"""Definitions and custom objects for tests."""

from __future__ import annotations

import copy
from typing import Any

from tests.integration.apiserver.api import Answer, Api, Doc
from tiphys.testing.eventually import eventually

DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
GROUP = "stable.example.com"
NAME = f"crontabs.{GROUP}"
CRONTABS = f"/apis/{GROUP}/v1/namespaces/default/crontabs"
OPEN: Doc = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
SCHEMA: Doc = {
    "type": "object",
    "properties": {
        "spec": {
            "type": "object",
            "properties": {
                "schedule": {"type": "string", "pattern": "^[a-z*]"},
                "replicas": {"type": "integer", "default": 2, "minimum": 0, "maximum": 10},
                "mode": {"type": "string", "enum": ["fast", "slow"]},
                "ports": {
                    "type": "array",
                    "x-kubernetes-list-type": "map",
                    "x-kubernetes-list-map-keys": ["name"],
                    "items": {
                        "type": "object",
                        "required": ["name"],
                        "properties": {"name": {"type": "string"}, "port": {"type": "integer"}, "note": {"type": "string"}},
                    },
                },
            },
        },
        "status": {"type": "object", "properties": {"replicas": {"type": "integer"}, "selector": {"type": "string"}}},
    },
}


def version(name: str = "v1", schema: Doc | None = None, **more: Any) -> Doc:
    return {"name": name, "served": True, "storage": name == "v1", "schema": {"openAPIV3Schema": schema or SCHEMA}, **more}


def definition(kind: str = "CronTab", group: str = GROUP, *versions: Doc, scope: str = "Namespaced", **names: Any) -> Doc:
    plural = names.pop("plural", f"{kind.lower()}s")
    return copy.deepcopy(
        {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": f"{plural}.{group}"},
            "spec": {
                "group": group,
                "scope": scope,
                "names": {"plural": plural, "kind": kind, **names},
                "versions": list(versions) or [version()],
            },
        }
    )


def crontab(name: str = "a", version_: str = "v1", metadata: Doc | None = None, **spec: Any) -> Doc:
    return {"apiVersion": f"{GROUP}/{version_}", "kind": "CronTab", "metadata": {"name": name, **(metadata or {})}, "spec": spec}


async def conditions(api: Api, name: str = NAME) -> dict[str, tuple[str, str]]:
    found = (await api.get(f"{DEFINITIONS}/{name}")).doc
    return {one["type"]: (one["status"], one["reason"]) for one in found["status"].get("conditions") or []}


async def define(api: Api, made: Doc) -> Answer:
    """Create a definition and wait until what it defines is served."""
    answer = await api.post(DEFINITIONS, made)
    assert answer.status == 201, answer.body

    async def established() -> bool:
        return (await conditions(api, made["metadata"]["name"])).get("Established", ("", ""))[0] == "True"

    await eventually(established)
    return answer


async def gone(api: Api, path: str) -> None:
    async def is_gone() -> bool:
        return (await api.get(path)).status == 404

    await eventually(is_gone)
