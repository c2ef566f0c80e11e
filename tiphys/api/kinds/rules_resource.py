"""The rules of dynamic resource allocation."""

from __future__ import annotations

from tiphys.api.kinds.rules_core import Uncounted
from tiphys.api.machinery.base import Quantity
from tiphys.api.machinery.errors import FieldError
from tiphys.api.machinery.scheme import METADATA_STAYS, Rules
from tiphys.api.resource.v1 import DeviceClass, ResourceClaim, ResourceClaimSpec, ResourceClaimTemplate, ResourceSlice
from tiphys.api.validation import resource, resource_slice


def _default_claim(spec: ResourceClaimSpec) -> None:
    for request in spec.devices.requests or []:
        for wanted in (request.exactly, *request.firstAvailable):
            if wanted is not None:
                wanted.allocationMode = wanted.allocationMode or "ExactCount"
                if wanted.allocationMode == "ExactCount":
                    wanted.count = wanted.count or 1


class DeviceClassRules(Rules[DeviceClass]):
    judges_prefix = False

    def validate(self, obj: DeviceClass) -> list[FieldError]:
        return resource.validate_class(obj)


class ResourceClaimRules(Uncounted[ResourceClaim]):
    resets = METADATA_STAYS

    def default(self, obj: ResourceClaim) -> None:
        _default_claim(obj.spec)

    def validate(self, obj: ResourceClaim) -> list[FieldError]:
        return resource.validate_claim(obj)

    def validate_update(self, new: ResourceClaim, old: ResourceClaim) -> list[FieldError]:
        return resource.validate_claim_update(new, old)

    def prepare_status_update(self, new: ResourceClaim, old: ResourceClaim) -> None:
        new.metadata.labels, new.metadata.annotations = old.metadata.labels, old.metadata.annotations

    def validate_status_update(self, new: ResourceClaim, old: ResourceClaim) -> list[FieldError]:
        return resource.validate_claim_status(new, old)


class ResourceClaimTemplateRules(Uncounted[ResourceClaimTemplate]):
    def default(self, obj: ResourceClaimTemplate) -> None:
        _default_claim(obj.spec.spec)

    def validate(self, obj: ResourceClaimTemplate) -> list[FieldError]:
        return resource.validate_template(obj)

    def validate_update(self, new: ResourceClaimTemplate, old: ResourceClaimTemplate) -> list[FieldError]:
        return resource.validate_template_update(new, old)


class ResourceSliceRules(Rules[ResourceSlice]):
    def default(self, obj: ResourceSlice) -> None:
        for device in obj.spec.devices:
            for mapping in device.nodeAllocatableResourceMappings.values():
                if mapping.allocationMultiplier is None:
                    mapping.allocationMultiplier = Quantity("1")

    def prepare_create(self, obj: ResourceSlice) -> None:
        super().prepare_create(obj)
        for device in obj.spec.devices:
            for taint in device.taints:
                taint.timeAdded = taint.timeAdded or obj.metadata.creationTimestamp

    def validate(self, obj: ResourceSlice) -> list[FieldError]:
        return resource_slice.validate_slice(obj)

    def validate_update(self, new: ResourceSlice, old: ResourceSlice) -> list[FieldError]:
        return resource_slice.validate_slice_update(new, old)

    def warnings(self, obj: ResourceSlice, old: ResourceSlice | None) -> list[str]:
        driver = obj.spec.driver
        if driver == driver.lower():
            return []
        return [f'spec.driver: driver names should be lowercase; "{driver}" contains uppercase characters']
