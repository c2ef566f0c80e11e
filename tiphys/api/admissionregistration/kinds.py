"""Admission by webhooks and policies."""

from __future__ import annotations

from typing import Any

from tiphys.api.admissionregistration.policy import MUTATING_POLICIES, VALIDATING_POLICIES
from tiphys.api.admissionregistration.policy_binding import MUTATING_BINDINGS, VALIDATING_BINDINGS
from tiphys.api.admissionregistration.webhook_configuration import MUTATING_CONFIGURATIONS, VALIDATING_CONFIGURATIONS
from tiphys.api.machinery.scheme import Kind

KINDS: tuple[Kind[Any], ...] = (
    MUTATING_BINDINGS,
    MUTATING_CONFIGURATIONS,
    MUTATING_POLICIES,
    VALIDATING_BINDINGS,
    VALIDATING_CONFIGURATIONS,
    VALIDATING_POLICIES,
)
