"""The whole declaration, in the order of the page."""

from __future__ import annotations

from tiphys.api.enforcement.containers import CONTAINERS, EPHEMERAL, RESOURCES
from tiphys.api.enforcement.entry import Entry, Section
from tiphys.api.enforcement.pods import SCHEDULING, SECURITY, SPEC
from tiphys.api.enforcement.policies import BUDGETS, CLASSES, NETWORK, QUOTAS, STANDARDS
from tiphys.api.enforcement.services import SERVICES
from tiphys.api.enforcement.storage import CLAIMS, PERSISTENT_VOLUMES, STORAGE_CLASSES, STORAGE_DRIVERS
from tiphys.api.enforcement.volumes import VOLUMES

SECTIONS: tuple[Section, ...] = (
    SECURITY, RESOURCES, SPEC, CONTAINERS, EPHEMERAL, VOLUMES, CLAIMS, PERSISTENT_VOLUMES, STORAGE_CLASSES, STORAGE_DRIVERS, SCHEDULING,
    SERVICES, NETWORK, STANDARDS, QUOTAS, BUDGETS, CLASSES,
)  # fmt: skip

ENTRIES: tuple[Entry, ...] = tuple(entry for section in SECTIONS for entry in section.entries)
