"""The ConfigMap `kube-root-ca.crt` of every namespace, with which pods verify the API server's certificate."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tiphys.api.core import v1 as core
from tiphys.api.machinery.errors import AlreadyExists
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.controllers.rootca.settings import RootCaSettings
from tiphys.controllers.shared.namespaces import is_active, skip_ended
from tiphys.runtime import DONE, ControllerContext, Declaration, Key, Result, Whole, copied

CONFIG_MAP = "kube-root-ca.crt"
FILE = "ca.crt"
DESCRIPTION = "kubernetes.io/description"
RECHECK = 3600.0
"""Seconds between checks of the bundle's file: a renewed authority is published long before the old one expires."""
TEXT = "The certificates that the API server's certificate is verified with. Only valid for in-cluster connections to it."


def _namespace(config: core.ConfigMap) -> Iterable[Key]:
    return (Key("", config.metadata.namespace),)


class RootCaController:
    """Publishes the bundle, restores it after changes, and follows its file. Keys are namespaces."""

    declaration = Declaration(
        name="root-ca-cert-publisher",
        kind=core.Namespace,
        roles=("root-ca-cert-publisher",),
        # Only these are kept in memory, not every ConfigMap of the cluster.
        reads=(Whole(core.Namespace), Whole(core.ConfigMap, fields=f"metadata.name={CONFIG_MAP}")),
        settings=RootCaSettings,
    )

    def __init__(self, settings: RootCaSettings) -> None:
        self._file = Path(settings.file)

    def setup(self, ctx: ControllerContext) -> None:
        self._ctx = ctx
        self._namespaces = ctx.read(core.Namespace)
        self._configs = ctx.read(core.ConfigMap)
        ctx.watch(self._namespaces)
        ctx.watch(self._configs, _namespace)

    async def reconcile(self, key: Key) -> Result:
        namespace = self._namespaces.get(key)
        if namespace is None or not is_active(namespace):
            return DONE
        data = {FILE: self._file.read_text()}
        config_map = self._configs.get(Key(key.name, CONFIG_MAP))
        with skip_ended(AlreadyExists):
            if config_map is None:
                meta = ObjectMeta(name=CONFIG_MAP, namespace=key.name, annotations={DESCRIPTION: TEXT})
                await self._ctx.client.create(core.ConfigMap(metadata=meta, data=data))
            elif config_map.data != data:
                changed = copied(config_map)
                changed.data = data
                await self._ctx.client.update(changed)
        return Result(after=RECHECK)
