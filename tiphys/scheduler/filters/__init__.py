"""Filters: rules on where a pod can run. Each is a file; `ORDER` is the order in which they apply, which is upstream's.

A filter answers for many rows at once (True: the pod may run there). Its reasons are asked for rows that it alone turned down, and their
text is what `kubectl describe` shows.
"""

from __future__ import annotations

from typing import Protocol

from tiphys.scheduler.columns import Bools, Rows
from tiphys.scheduler.snapshot import Snapshot
from tiphys.scheduler.template import Template


class Filter(Protocol):
    """One rule. `depends_on_pods` says whether placing a pod on a row can change the answer for that row."""

    @property
    def name(self) -> str:
        """Upstream's name of the rule."""
        ...

    @property
    def depends_on_pods(self) -> bool: ...

    def allowed(self, template: Template, cluster: Snapshot, rows: Rows) -> Bools: ...

    def reasons(self, template: Template, cluster: Snapshot, row: int) -> list[str]: ...

    def is_final(self, template: Template, cluster: Snapshot, row: int) -> bool:
        """Return whether, in a row that this filter rejected, the removal of other pods could not help."""
        ...
