"""The parameters of operations that many share."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of a path or a query."""

    name: str
    type: str
    text: str
    where: str = "query"


PATH = Parameter("path", "string", "The path that is asked for behind the proxy.", "path")
PRETTY = Parameter("pretty", "string", "If `true`, the answer is indented.")
NAME = Parameter("name", "string", "The name of the object.", "path")
NAMESPACE = Parameter("namespace", "string", "The namespace of the object.", "path")

DRY_RUN = Parameter("dryRun", "string", "`All`: do everything but persist the change.")
MANAGER = Parameter("fieldManager", "string", "The name under which the changed fields are owned.")
VALIDATION = Parameter(
    "fieldValidation",
    "string",
    "What to do with unknown and repeated fields: `Ignore` them, `Warn` about them, or with `Strict` refuse the request.",
)
FORCE = Parameter("force", "boolean", "Take conflicting fields over from other managers; only for apply patches.")
VERSION = Parameter("resourceVersion", "string", "How recent the answer must be.")
LIST = (
    Parameter("allowWatchBookmarks", "boolean", "Send BOOKMARK events in a watch."),
    Parameter("continue", "string", "Where to continue a list that had a limit."),
    Parameter("fieldSelector", "string", "Only objects whose fields match."),
    Parameter("labelSelector", "string", "Only objects whose labels match."),
    Parameter("limit", "integer", "The most objects to return."),
    VERSION,
    Parameter("resourceVersionMatch", "string", "How resourceVersion is meant: `Exact` or `NotOlderThan`."),
    Parameter("sendInitialEvents", "boolean", "Begin a watch with the present objects."),
    Parameter("timeoutSeconds", "integer", "After how many seconds a watch ends."),
)
WATCH = Parameter("watch", "boolean", "Stream changes instead of listing.")
DELETE = (
    DRY_RUN,
    Parameter("gracePeriodSeconds", "integer", "How many seconds the object has to end."),
    Parameter("ignoreStoreReadErrorWithClusterBreakingPotential", "boolean", "Delete an object that cannot be read."),
    Parameter("orphanDependents", "boolean", "Deprecated: use propagationPolicy."),
    Parameter("propagationPolicy", "string", "What becomes of dependents: `Orphan`, `Background` or `Foreground`."),
)
WRITE = (DRY_RUN, MANAGER, VALIDATION)
