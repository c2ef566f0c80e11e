"""An operator of a custom resource, as people write them with kopf: a ConfigMap for each widget, and what it did in the status."""

from __future__ import annotations

from typing import Any

import kopf
from kubernetes import client, config


@kopf.on.startup()
def configure(settings: kopf.OperatorSettings, **_: Any) -> None:
    settings.persistence.finalizer = "example.com/widgets"
    config.load_kube_config()


@kopf.on.create("example.com", "v1", "widgets")
def create(name: str, namespace: str | None, spec: kopf.Spec, body: kopf.Body, patch: kopf.Patch, **_: Any) -> dict[str, Any]:
    document = {"metadata": {"name": f"widget-{name}"}, "data": {"color": spec["color"], "size": str(spec["size"])}}
    kopf.adopt(document, owner=body)
    client.CoreV1Api().create_namespaced_config_map(namespace, document)
    patch.status["state"] = "made"
    return {"map": f"widget-{name}"}


@kopf.on.update("example.com", "v1", "widgets", field="spec.color")
def recolor(name: str, namespace: str | None, old: Any, new: Any, patch: kopf.Patch, **_: Any) -> None:
    client.CoreV1Api().patch_namespaced_config_map(f"widget-{name}", namespace, {"data": {"color": new}})
    patch.status["state"] = f"{old} to {new}"


@kopf.on.delete("example.com", "v1", "widgets")
def delete(name: str, namespace: str | None, **_: Any) -> None:
    client.CoreV1Api().create_namespaced_config_map(namespace, {"metadata": {"name": f"{name}-grave"}})


@kopf.timer("example.com", "v1", "widgets", interval=0.2)
def count(status: kopf.Status, patch: kopf.Patch, **_: Any) -> None:
    patch.status["ticks"] = int(status.get("ticks", 0)) + 1
