"""Dynamic resource allocation."""

from __future__ import annotations

from typing import Any

from tiphys.api.scheme import Kind

KINDS: tuple[Kind[Any], ...] = ()
