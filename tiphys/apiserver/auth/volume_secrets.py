"""Secrets that persistent volumes name for the node that mounts them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from tiphys.api.core import v1 as core
from tiphys.apiserver.auth.source import ObjectSource

Claim = tuple[str, str]
"""(namespace, name) of a claim."""

_NODE_FIELDS: Final = ("nodePublishSecretRef", "nodeStageSecretRef", "nodeExpandSecretRef")


class VolumeSecrets:
    """Index of claims by the secrets of their volumes. Follows volumes from the first lookup on.

    The secrets of the controller's calls are left out: a node never needs them.
    """

    def __init__(self, source: ObjectSource) -> None:
        self._source = source
        self._claims: dict[tuple[str, str], dict[str, Claim]] | None = None

    def claims(self, namespace: str, name: str) -> list[Claim]:
        """Return the claims that are bound to volumes with the secret."""
        claims = self._claims if self._claims is not None else self._load()
        return list(claims.get((namespace, name), {}).values())

    def _load(self) -> dict[tuple[str, str], dict[str, Claim]]:
        claims = self._claims = {}
        self._source.on_change(core.PersistentVolume, self._changed)
        for volume in self._source.objects(core.PersistentVolume):
            self._changed(None, volume)
        return claims

    def _changed(self, old: core.PersistentVolume | None, new: core.PersistentVolume | None) -> None:
        assert self._claims is not None
        for secret in _secrets(old):
            volumes = self._claims.get(secret)
            if volumes is not None and old is not None:
                volumes.pop(old.metadata.name, None)
                if not volumes:
                    del self._claims[secret]
        if new is None or new.spec.claimRef is None:
            return
        claim = (new.spec.claimRef.namespace, new.spec.claimRef.name)
        for secret in _secrets(new):
            self._claims.setdefault(secret, {})[new.metadata.name] = claim


def _secrets(volume: core.PersistentVolume | None) -> Iterator[tuple[str, str]]:
    source = volume.spec.csi if volume is not None else None
    for field in _NODE_FIELDS if source is not None else ():
        reference = getattr(source, field)
        if reference is not None:
            yield reference.namespace, reference.name
