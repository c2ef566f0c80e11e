"""The rules of limit ranges and resource quotas."""

from __future__ import annotations

from tiphys.api.core.v1 import LimitRange, ResourceQuota
from tiphys.api.defaults.other import default_limit_range
from tiphys.api.kinds.rules_core import Uncounted
from tiphys.api.machinery.errors import FieldError
from tiphys.api.machinery.quantity import canonicalize
from tiphys.api.validation import quota


class LimitRangeRules(Uncounted[LimitRange]):
    create_on_update = True

    def default(self, obj: LimitRange) -> None:
        default_limit_range(obj)

    def validate(self, obj: LimitRange) -> list[FieldError]:
        return quota.validate_limit_range(obj)


class ResourceQuotaRules(Uncounted[ResourceQuota]):
    def prepare_status_update(self, new: ResourceQuota, old: ResourceQuota) -> None:
        canonicalize(new)

    def validate(self, obj: ResourceQuota) -> list[FieldError]:
        return quota.validate_quota(obj)

    def validate_update(self, new: ResourceQuota, old: ResourceQuota) -> list[FieldError]:
        return quota.validate_quota_update(new, old)

    def validate_status_update(self, new: ResourceQuota, old: ResourceQuota) -> list[FieldError]:
        return quota.validate_quota_status(new)

    def warnings(self, obj: ResourceQuota, old: ResourceQuota | None) -> list[str]:
        return quota.quota_warnings(obj) if old is None else []
