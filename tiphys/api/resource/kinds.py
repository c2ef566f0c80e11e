"""Dynamic resource allocation."""

from __future__ import annotations

from typing import Any

from tiphys.api.machinery.scheme import Kind
from tiphys.api.resource.device_class import DEVICE_CLASSES
from tiphys.api.resource.resource_claim import RESOURCE_CLAIMS
from tiphys.api.resource.resource_claim_template import RESOURCE_CLAIM_TEMPLATES
from tiphys.api.resource.resource_slice import RESOURCE_SLICES

KINDS: tuple[Kind[Any], ...] = (DEVICE_CLASSES, RESOURCE_CLAIM_TEMPLATES, RESOURCE_CLAIMS, RESOURCE_SLICES)
