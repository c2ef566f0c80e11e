"""Feed of the cache of devices from informers; each change comes with the hint which parked pods it may help."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from tiphys.api.machinery.scheme import Scheme
from tiphys.api.meta.v1 import KubeObject
from tiphys.api.resource.v1 import DeviceClass, ResourceClaim, ResourceSlice
from tiphys.runtime.declaration import Slim
from tiphys.runtime.informer import InformerFactory
from tiphys.scheduler.devices import kept
from tiphys.scheduler.devices.cache import DeviceCache
from tiphys.scheduler.devices.claims import RULE
from tiphys.scheduler.hints import Hint
from tiphys.scheduler.queue import Waiting

T = TypeVar("T", bound=KubeObject)
Wake = Callable[[Hint | None, str], None]


def feed_devices(informers: InformerFactory, scheme: Scheme, cache: DeviceCache, wake: Wake) -> None:
    """Keep the cache up to date, as far as the kinds are in the scheme."""
    served = {kind.type for kind in scheme}

    def follow(slim: Slim[T], handler: Callable[[T | None, T | None], Hint | None]) -> None:
        if slim.of not in served:
            return
        name = slim.of.__name__

        def changed(old: T | None, new: T | None) -> None:
            wake(handler(old, new), f"{name}{'Add' if old is None else 'Update' if new is not None else 'Delete'}")

        slim.informer(informers, scheme).subscribe(changed)

    def claim(old: ResourceClaim | None, new: ResourceClaim | None) -> Hint | None:
        if new is not None:
            cache.put_claim(new)
        elif old is not None:
            cache.drop_claim(old)
        return claim_changed(old, new)

    def slice_(old: ResourceSlice | None, new: ResourceSlice | None) -> Hint | None:
        one = new or old
        assert one is not None
        cache.put_slice(one.metadata.name, new)
        # A slice that goes may complete its pool's next generation.
        return concerns_devices

    def device_class(old: DeviceClass | None, new: DeviceClass | None) -> Hint | None:
        one = new or old
        assert one is not None
        cache.put_class(one.metadata.name, new)
        return concerns_devices if new is not None else None

    follow(kept.CLAIMS, claim)
    follow(kept.SLICES, slice_)
    follow(kept.CLASSES, device_class)


def concerns_devices(waiting: Waiting) -> bool:
    """Return whether a pod was turned down because of its devices."""
    return waiting.info.devices is not None and (not waiting.rules or RULE in waiting.rules)


def claim_changed(old: ResourceClaim | None, new: ResourceClaim | None) -> Hint:
    """Return the hint for a claim that was added, changed or removed: for its pods, and for all when it gave devices back."""
    claim = new if new is not None else old
    assert claim is not None
    key = claim.metadata.namespace, claim.metadata.name
    had = old is not None and old.status.allocation is not None
    freed = had and (new is None or new.status.allocation is None)

    def helps(waiting: Waiting) -> bool:
        devices = waiting.info.devices
        if devices is None:
            return False
        return key in devices.keys or (freed and concerns_devices(waiting))

    return helps
