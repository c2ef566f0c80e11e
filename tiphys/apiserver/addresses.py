"""IPAddress objects of Services: one for each cluster address, made with the Service and removed with it (KEP-1880)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime, timedelta

from tiphys.api.core import v1 as core
from tiphys.api.machinery.base import time
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.api.networking.ip_address import IP_ADDRESSES
from tiphys.api.networking.v1 import IPAddress, IPAddressSpec, ParentReference
from tiphys.apiserver.cache.storage import Storage
from tiphys.apiserver.cache.typed_source import TypedSource
from tiphys.apiserver.uid import new_uid
from tiphys.store.contract import KeyExists, KeyMissing, RevisionMismatch, StoreError

log = logging.getLogger(__name__)

MANAGED_BY = "ipaddress.kubernetes.io/managed-by"
MANAGER = "ipallocator.k8s.io"
FAMILY = "ipaddress.kubernetes.io/ip-family"
GRACE = timedelta(seconds=60)
"""Age that an IPAddress without a Service must reach before a repair removes it: another server may be about to store its Service."""
REPAIR_EVERY = 180.0
"""Seconds between repairs: only crashes in the middle of a write leave something to repair."""
_REPAIRED_TOGETHER = 64


def addresses_of(service: core.Service) -> set[str]:
    """The cluster addresses that a Service has."""
    return {ip for ip in (service.spec.clusterIP, *service.spec.clusterIPs) if ip not in ("", "None")}


def _parent(service: core.Service) -> ParentReference:
    return ParentReference(resource="services", namespace=service.metadata.namespace, name=service.metadata.name)


class AddressBook:
    """The IPAddresses that the server itself makes; those of others are left alone."""

    def __init__(self, storage: Storage, source: TypedSource, now: Callable[[], datetime]) -> None:
        self._storage = storage
        self._source = source
        self._now = now

    def has(self, ip: str) -> bool:
        """Return whether the address is taken, as far as this server knows."""
        return self._storage.cache(IP_ADDRESSES).get("", ip) is not None

    async def claim(self, ips: Iterable[str], service: core.Service) -> None:
        """Make the IPAddresses of a Service that is about to be stored; raises KeyExists, and then none is left."""
        claimed: list[str] = []
        for ip in ips:
            try:
                await self._create(ip, service)
            except BaseException:
                await self.release(claimed, service)
                raise
            claimed.append(ip)

    async def release(self, ips: Iterable[str], service: core.Service) -> None:
        """Remove the IPAddresses of a Service that has gone, or never came. What fails is left to the next repair."""
        for ip in ips:
            address = self._source.get(IPAddress, "", ip)
            if address is None or address.metadata.labels.get(MANAGED_BY) != MANAGER or address.spec.parentRef != _parent(service):
                continue
            await self._remove(ip)

    async def repair(self, desired: Mapping[str, core.Service], reserved: Collection[str]) -> None:
        """Bring the IPAddresses in line with the addresses that Services have, apart from what is `reserved` by writes under way."""
        missing = [ip for ip in desired if not self.has(ip)]
        for start in range(0, len(missing), _REPAIRED_TOGETHER):
            await asyncio.gather(*(self._restore(ip, desired[ip]) for ip in missing[start : start + _REPAIRED_TOGETHER]))
        for address in list(self._source.objects(IPAddress)):
            meta, parent = address.metadata, address.spec.parentRef
            if meta.labels.get(MANAGED_BY) != MANAGER or meta.name in reserved or parent is None or parent.resource != "services":
                continue
            # Read again, since Services come and go during the repair.
            service = self._source.get(core.Service, parent.namespace, parent.name)
            if service is not None and meta.name in addresses_of(service):
                continue
            other = desired.get(meta.name)
            if other is not None or (meta.creationTimestamp is not None and self._now() - meta.creationTimestamp > GRACE):
                await self._remove(meta.name)
                if other is not None:
                    await self._restore(meta.name, other)

    async def _create(self, ip: str, service: core.Service) -> None:
        meta = ObjectMeta(
            name=ip,
            uid=new_uid(),
            creationTimestamp=time(self._now()),
            labels={FAMILY: "IPv6" if ":" in ip else "IPv4", MANAGED_BY: MANAGER},
        )
        await self._storage.create(IP_ADDRESSES, IPAddress(metadata=meta, spec=IPAddressSpec(parentRef=_parent(service))))

    async def _restore(self, ip: str, service: core.Service) -> None:
        try:
            await self._create(ip, service)
        except KeyExists:
            return
        except StoreError as error:
            log.warning("an IPAddress was not made", extra={"address": ip, "error": str(error)})

    async def _remove(self, ip: str) -> None:
        entry = self._storage.cache(IP_ADDRESSES).get("", ip)
        if entry is None:
            return
        try:
            await self._storage.delete(IP_ADDRESSES, entry)
        except (KeyMissing, RevisionMismatch):
            return
        except StoreError as error:
            log.warning("an IPAddress was not removed", extra={"address": ip, "error": str(error)})
