"""Name of an object within its kind, as carried by queues and used to read caches."""

from __future__ import annotations

from typing import NamedTuple

from tiphys.api.meta.v1 import KubeObject


class Key(NamedTuple):
    """Namespace and name; the namespace is empty for cluster-scoped kinds."""

    namespace: str
    name: str

    @classmethod
    def of(cls, obj: KubeObject) -> Key:
        """Return the key of an object."""
        return cls(obj.metadata.namespace, obj.metadata.name)

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}" if self.namespace else self.name
