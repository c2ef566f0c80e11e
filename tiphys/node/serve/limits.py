"""Limits of the node's two HTTP servers."""

from __future__ import annotations

import math

from tiphys.http.limits import Limits

LIMITS = Limits(body_bytes=1 << 20, idle_seconds=120.0, response_seconds=math.inf, at_once=0)
"""Handlers ask the runtime and the API server, which have time limits of their own: as upstream, there is none for an answer."""
