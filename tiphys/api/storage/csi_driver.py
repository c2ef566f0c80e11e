"""CSIDriver: defaults, validation, columns and registration."""

from __future__ import annotations

from typing import Any

from tiphys.api.core.volumes.shared import UNSET
from tiphys.api.enforcement import warn
from tiphys.api.machinery.columns import AGE, NAME, NONE, cell
from tiphys.api.machinery.errors import duplicate, invalid, not_supported, required
from tiphys.api.machinery.scheme import Column, Kind, Rules
from tiphys.api.rules.basics import Errors, immutable
from tiphys.api.storage import GROUP
from tiphys.api.storage import v1 as storage
from tiphys.api.storage.v1 import CSIDriver


def default_driver(value: CSIDriver) -> None:
    """Default the properties of a driver (API reference: "CSIDriver")."""
    spec = value.spec
    if spec.attachRequired is None:
        spec.attachRequired = True
    for name in ("podInfoOnMount", "storageCapacity", "requiresRepublish", "seLinuxMount"):
        if getattr(spec, name) is None:
            setattr(spec, name, False)
    if spec.fsGroupPolicy is None:
        spec.fsGroupPolicy = "ReadWriteOnceWithFSType"
    if not spec.volumeLifecycleModes:
        spec.volumeLifecycleModes = ["Persistent"]


_MIN_TOKEN_SECONDS, _MIN_UPDATE_SECONDS = 600, 10
_FS_GROUP_POLICIES = ("File", "None", "ReadWriteOnceWithFSType")


def validate_driver(value: CSIDriver) -> Errors:
    """Return the mistakes in a driver."""
    errors: Errors = []
    spec = value.spec
    for name, path in (("attachRequired", "attachedRequired"), ("podInfoOnMount", ""), ("storageCapacity", ""), ("seLinuxMount", "")):
        if getattr(spec, name) is None:
            errors.append(required(f"spec.{path or name}"))
    if spec.fsGroupPolicy is not None and spec.fsGroupPolicy not in _FS_GROUP_POLICIES:
        errors.append(not_supported("spec.fsGroupPolicy", spec.fsGroupPolicy, _FS_GROUP_POLICIES))
    _token_requests(errors, "spec.tokenRequests", value)
    for mode in spec.volumeLifecycleModes:
        if mode not in ("Persistent", "Ephemeral"):
            errors.append(not_supported("spec.volumeLifecycleModes", mode, ("Persistent", "Ephemeral")))
    period = spec.nodeAllocatableUpdatePeriodSeconds
    if period is not None and period < _MIN_UPDATE_SECONDS:
        message = f"must be greater than or equal to {_MIN_UPDATE_SECONDS} seconds"
        errors.append(invalid("spec.nodeAllocatableUpdatePeriodSeconds", period, message))
    if spec.serviceAccountTokenInSecrets is not None and not spec.tokenRequests:
        message = "serviceAccountTokenInSecrets is set but no tokenRequests are specified"
        errors.append(invalid("spec.serviceAccountTokenInSecrets", spec.serviceAccountTokenInSecrets, message))
    return errors


def _token_requests(errors: Errors, path: str, value: CSIDriver) -> None:
    audiences: set[str] = set()
    for index, request in enumerate(value.spec.tokenRequests):
        here = f"{path}[{index}]"
        if request.audience in audiences:
            errors.append(duplicate(f"{here}.audience", request.audience))
            continue
        audiences.add(request.audience)
        seconds = request.expirationSeconds
        if seconds is not None and seconds < _MIN_TOKEN_SECONDS:
            errors.append(invalid(f"{here}.expirationSeconds", seconds, "may not specify a duration less than 10 minutes"))
        if seconds is not None and seconds > 1 << 32:
            errors.append(invalid(f"{here}.expirationSeconds", seconds, "may not specify a duration larger than 2^32 seconds"))


def validate_driver_update(new: CSIDriver, old: CSIDriver) -> Errors:
    """Refuse changes of attachRequired and life-cycle modes."""
    errors: Errors = []
    immutable(errors, "spec.attachedRequired", new.spec.attachRequired, old.spec.attachRequired)
    immutable(errors, "spec.volumeLifecycleModes", new.spec.volumeLifecycleModes, old.spec.volumeLifecycleModes)
    return errors


_TOKENS_IN_SECRETS = (
    "spec.serviceAccountTokenInSecrets is unset; if supported by this CSI driver, set to true to prevent possible logging of tokens in"
    " volume attributes"
)


class CSIDriverRules(Rules[CSIDriver]):
    counted = False
    needs_version = True

    default = staticmethod(default_driver)

    def prepare_create(self, obj: CSIDriver) -> None:
        obj.spec.preventPodSchedulingIfMissing = None

    def prepare_update(self, new: CSIDriver, old: CSIDriver) -> None:
        if old.spec.preventPodSchedulingIfMissing is None:
            new.spec.preventPodSchedulingIfMissing = None

    validate = staticmethod(validate_driver)
    validate_update = staticmethod(validate_driver_update)

    def warnings(self, obj: CSIDriver, old: CSIDriver | None) -> list[str]:
        requests = obj.spec.tokenRequests
        same = old is not None and old.spec.tokenRequests == requests
        warnings = [] if same or not requests or obj.spec.serviceAccountTokenInSecrets is not None else [_TOKENS_IN_SECRETS]
        return warnings + warn.warnings("spec", obj.spec) if old is None else warnings


def _flag(name: str, *, unset: bool = False) -> Any:
    return cell(lambda obj: unset if getattr(obj.spec, name) is None else getattr(obj.spec, name))


def _audiences(driver: CSIDriver) -> str:
    return ",".join(request.audience for request in driver.spec.tokenRequests) if driver.spec.tokenRequests else UNSET


COLUMNS = (
    NAME,
    Column("AttachRequired", _flag("attachRequired", unset=True), type="boolean", description="Whether volumes are attached first."),
    Column("PodInfoOnMount", _flag("podInfoOnMount"), type="boolean", description="True if it gets the pod's name."),
    Column("StorageCapacity", _flag("storageCapacity"), type="boolean", description="Whether it reports what is free."),
    Column("TokenRequests", cell(_audiences), description="Audiences of the tokens that it wants."),
    Column("RequiresRepublish", _flag("requiresRepublish"), type="boolean", description="Whether volumes are mounted again and again."),
    Column("Modes", cell(lambda obj: ",".join(obj.spec.volumeLifecycleModes) or NONE), description="The kinds of volumes that it serves."),
    AGE,
)

CSI_DRIVERS: Kind[storage.CSIDriver] = Kind(
    type=storage.CSIDriver,
    plural="csidrivers",
    rules=CSIDriverRules(),
    columns=COLUMNS,
    group=GROUP,
    namespaced=False,
    shown_when_deleted=True,
)
