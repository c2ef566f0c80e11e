"""The class `local-path` and the drivers of the node process, as objects of every new cluster.

A driver's object belongs to the system and is restored at every start. The class belongs to the user from its creation on: it is created
once in the life of a store, and what the user changes about it, or that it was deleted, stays. An annotation of the namespace
`kube-system` remembers that; without it the next start creates the class again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Final

import msgspec

from tiphys.api import well_known
from tiphys.api.core import v1 as core
from tiphys.api.meta.v1 import KubeObject, ObjectMeta
from tiphys.api.storage.classes import is_default_class
from tiphys.api.storage.v1 import CSIDriver, CSIDriverSpec, StorageClass
from tiphys.apiserver.cache.typed_source import TypedSource
from tiphys.apiserver.settings import LocalStorage

CREATED: Final = "tiphys.io/local-path-class"
"""Annotation of the namespace `kube-system`: `created` once the class has been."""


def driver(*, has_capacity: bool) -> CSIDriver:
    """Return the object of the driver; with `has_capacity` nodes report the room on their disks and the scheduler looks at it."""
    return CSIDriver(
        metadata=ObjectMeta(name=well_known.LOCAL_PATH_DRIVER),
        spec=CSIDriverSpec(attachRequired=False, storageCapacity=has_capacity, fsGroupPolicy="File", volumeLifecycleModes=["Persistent"]),
    )


def nfs_driver() -> CSIDriver:
    """Return the object of the driver of NFS shares, which no class uses until the user creates one."""
    # Servers keep the owners of files, and many refuse to change them.
    spec = CSIDriverSpec(attachRequired=False, storageCapacity=False, fsGroupPolicy="None", volumeLifecycleModes=["Persistent"])
    return CSIDriver(metadata=ObjectMeta(name=well_known.NFS_DRIVER), spec=spec)


def storage_class(others: Iterable[StorageClass]) -> StorageClass:
    """Return the class; it is the default one unless another class is."""
    annotations = {} if any(map(is_default_class, others)) else {well_known.DEFAULT_STORAGE_CLASS: "true"}
    return StorageClass(
        metadata=ObjectMeta(name=well_known.LOCAL_PATH, annotations=annotations),
        provisioner=well_known.LOCAL_PATH_DRIVER,
        reclaimPolicy="Delete",
        volumeBindingMode="WaitForFirstConsumer",
        allowVolumeExpansion=True,
    )


async def ensure_local_storage(mode: LocalStorage, source: TypedSource, write: Callable[[str, KubeObject], Awaitable[None]]) -> None:
    """Create what is missing, with `write` as the server itself. Raises BootstrapError."""
    if not mode:
        return
    desired = driver(has_capacity=mode == "disk")
    present = source.get(CSIDriver, "", desired.metadata.name)
    if present is None:
        await write("POST", desired)
    elif present.spec.storageCapacity != desired.spec.storageCapacity:
        await write("PUT", msgspec.structs.replace(present, spec=desired.spec))
    if mode == "disk" and source.get(CSIDriver, "", well_known.NFS_DRIVER) is None:
        await write("POST", nfs_driver())
    namespace = source.get(core.Namespace, "", "kube-system")
    if namespace is None or CREATED in namespace.metadata.annotations:
        return
    if source.get(StorageClass, "", well_known.LOCAL_PATH) is None:
        await write("POST", storage_class(source.objects(StorageClass)))
    # Last: a crash before it means one more look, not a cluster without a class.
    annotations = namespace.metadata.annotations | {CREATED: "created"}
    await write("PUT", msgspec.structs.replace(namespace, metadata=msgspec.structs.replace(namespace.metadata, annotations=annotations)))
