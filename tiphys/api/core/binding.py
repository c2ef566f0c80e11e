"""The core group."""

from __future__ import annotations

from tiphys.api.core import v1 as core
from tiphys.api.machinery.scheme import Kind

BINDINGS: Kind[core.Binding] = Kind(type=core.Binding, plural="bindings", verbs=("create",))
"""The older way to bind a pod: posted beside pods rather than below one, and not stored either."""
