"""An operator as people write them with kopf: it keeps a Secret for every ConfigMap with the label `managed`, and counts in a timer."""

from __future__ import annotations

from typing import Any

import kopf
from kubernetes import client, config

WANTED = {"managed": "yes"}


@kopf.on.startup()
def configure(settings: kopf.OperatorSettings, **_: Any) -> None:
    settings.persistence.finalizer = "example.com/settings"
    config.load_kube_config()


@kopf.on.create("configmaps", labels=WANTED)
def create(name: str, namespace: str | None, body: kopf.Body, patch: kopf.Patch, **_: Any) -> None:
    secret = client.V1Secret(metadata=client.V1ObjectMeta(name=name), string_data=dict(body.get("data", {})))
    document = client.ApiClient().sanitize_for_serialization(secret)
    kopf.adopt(document, owner=body)
    client.CoreV1Api().create_namespaced_secret(namespace, document)
    patch.metadata.annotations["example.com/state"] = "created"


@kopf.on.update("configmaps", labels=WANTED, field="data")
def update(name: str, namespace: str | None, body: kopf.Body, new: Any, patch: kopf.Patch, **_: Any) -> None:
    client.CoreV1Api().patch_namespaced_secret(name, namespace, {"stringData": new})
    patch.metadata.annotations["example.com/state"] = "updated"
    kopf.info(body, reason="Copied", message="The Secret has the new data.")


@kopf.on.delete("configmaps", labels=WANTED)
def delete(name: str, namespace: str | None, retry: int, **_: Any) -> None:
    if retry == 0:
        raise kopf.TemporaryError("not at the first try", delay=0.1)
    grave = client.V1ConfigMap(metadata=client.V1ObjectMeta(name=f"{name}-grave"))
    client.CoreV1Api().create_namespaced_config_map(namespace, grave)


@kopf.timer("configmaps", labels=WANTED, interval=0.2)
def count(annotations: kopf.Annotations, patch: kopf.Patch, **_: Any) -> None:
    patch.metadata.annotations["example.com/ticks"] = str(int(annotations.get("example.com/ticks", "0")) + 1)
