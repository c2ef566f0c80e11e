"""Rules of the options in a request's query ("Kubernetes API Concepts": resourceVersion, dry run, field validation; PodLogOptions)."""

from __future__ import annotations

from tiphys.api.machinery.apply.managers import MAX_NAME
from tiphys.api.machinery.errors import FieldError, forbidden, invalid, not_supported, required, too_long
from tiphys.api.meta.v1.options import CreateOptions, DeleteOptions, ListOptions, PatchOptions, TableOptions

VALIDATIONS = ("Ignore", "Strict", "Warn")
_MATCH = "resourceVersionMatch"
_WITH_TOKEN = "resourceVersionMatch is forbidden when continue is provided"
_POLICIES = ("Foreground", "Background", "Orphan")


def list_errors(options: ListOptions) -> list[FieldError]:
    """Contradictions in the options of a list."""
    errors: list[FieldError] = []
    if match := options.resourceVersionMatch:
        if not options.resourceVersion:
            errors.append(forbidden(_MATCH, "resourceVersionMatch is forbidden unless resourceVersion is provided"))
        if options.continue_:
            errors.append(forbidden(_MATCH, _WITH_TOKEN))
        if match not in ("Exact", "NotOlderThan"):
            errors.append(not_supported(_MATCH, match, ["Exact", "NotOlderThan", ""]))
        if match == "Exact" and options.resourceVersion == "0":
            errors.append(forbidden(_MATCH, 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"'))
    if options.sendInitialEvents is not None:
        errors.append(forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list"))
    return errors


def watch_errors(options: ListOptions) -> list[FieldError]:
    """Contradictions in the options of a watch."""
    errors: list[FieldError] = []
    match, initial = options.resourceVersionMatch, options.sendInitialEvents
    if initial is not None and match != "NotOlderThan":
        errors.append(forbidden(_MATCH, "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"))
    if match:
        if initial is None:
            errors.append(forbidden(_MATCH, "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"))
        if match != "NotOlderThan":
            errors.append(not_supported(_MATCH, match, ["NotOlderThan"]))
        if options.continue_:
            errors.append(forbidden(_MATCH, _WITH_TOKEN))
    return errors


def write_errors(options: CreateOptions) -> list[FieldError]:
    """Mistakes in the options of a create or an update."""
    errors = field_manager_errors(options.fieldManager) + dry_run_errors(options.dryRun)
    if options.fieldValidation not in ("", *VALIDATIONS):
        errors.append(not_supported("fieldValidation", options.fieldValidation, ["", *VALIDATIONS]))
    return errors


def patch_errors(options: PatchOptions, *, apply: bool) -> list[FieldError]:
    """Mistakes in the options of a patch."""
    errors: list[FieldError] = []
    if apply and not options.fieldManager:
        errors.append(required("fieldManager", "is required for apply patch"))
    if not apply and options.force is not None:
        errors.append(forbidden("force", "may not be specified for non-apply patch"))
    return errors + write_errors(options)


def field_manager_errors(name: str) -> list[FieldError]:
    """Mistakes in a fieldManager parameter."""
    errors = [too_long("fieldManager", MAX_NAME)] if len(name.encode()) > MAX_NAME else []
    for position, character in enumerate(name):
        if not character.isprintable():
            code = f"U+{ord(character):04X}"
            errors.append(invalid("fieldManager", name, f"invalid character {code} (at position {position})"))
    return errors


def dry_run_errors(values: list[str]) -> list[FieldError]:
    """Anything but `All` in a dryRun parameter."""
    return [] if set(values) <= {"All"} else [not_supported("dryRun", values, ["All"])]


def delete_errors(options: DeleteOptions) -> list[FieldError]:
    """Mistakes in the options of a delete."""
    policy = options.propagationPolicy
    if policy is None and not options.dryRun:
        return []
    errors: list[FieldError] = []
    if policy is not None and options.orphanDependents is not None:
        errors.append(invalid("propagationPolicy", policy, "orphanDependents and deletionPropagation cannot be both set"))
    if policy is not None and policy not in _POLICIES:
        errors.append(not_supported("propagationPolicy", policy, [*_POLICIES, "nil"]))
    return errors + dry_run_errors(options.dryRun)


def table_errors(options: TableOptions) -> list[FieldError]:
    """Mistakes in the options of a Table."""
    if options.includeObject in ("", "Metadata", "Object", "None"):
        return []
    return [invalid("includeObject", options.includeObject, "must be 'Metadata', 'Object', 'None', or empty")]
