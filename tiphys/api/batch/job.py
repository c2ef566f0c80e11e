"""Job: defaults, validation, columns and registration."""

from __future__ import annotations

import copy
import re
from datetime import datetime

from tiphys.api.batch import v1 as batch
from tiphys.api.batch.job_status import validate_job_status
from tiphys.api.batch.v1 import Job, JobSpec, PodFailurePolicyOnExitCodesRequirement, PodFailurePolicyRule, SuccessPolicyRule
from tiphys.api.core.internal import internal
from tiphys.api.core.pods import validation
from tiphys.api.core.pods.defaults import default_pod_spec
from tiphys.api.core.pods.kind import hostname_warning
from tiphys.api.core.pods.warnings import template_warnings
from tiphys.api.core.v1 import Affinity, Container, PodSpec, PodTemplateSpec
from tiphys.api.core.workloads import TEMPLATE
from tiphys.api.helpers.jobs import COMPLETIONS_SOFT_LIMIT, CONTROLLER_LABELS, NAME_LABELS, has_condition, is_indexed
from tiphys.api.machinery.columns import AGE, NAME, cell, duration
from tiphys.api.machinery.errors import OMITTED, duplicate, invalid, not_supported, required, too_long, too_many
from tiphys.api.machinery.names import dns_label_messages
from tiphys.api.machinery.scheme import Column, Kind, Rules
from tiphys.api.machinery.selectors import SelectorError, from_label_selector
from tiphys.api.machinery.subresources import STATUS
from tiphys.api.meta.v1 import LabelSelector
from tiphys.api.rules.basics import Errors, dns_subdomain, immutable, label_name, label_selector, non_negative
from tiphys.api.rules.indexes import BadIndexes, count

BACKOFF_LIMIT = 6
UNLIMITED = 2**31 - 1


def default_job(job: Job) -> None:
    """A job without labels shares those of its pods, and so gets additions to them. One completion and one pod at a time by default."""
    spec = job.spec
    default_job_template(spec)
    if spec.completions is None and spec.parallelism is None:
        spec.completions = spec.parallelism = 1
    if spec.parallelism is None:
        spec.parallelism = 1
    if spec.backoffLimit is None:
        spec.backoffLimit = BACKOFF_LIMIT if spec.backoffLimitPerIndex is None else UNLIMITED
    if not job.metadata.labels:
        job.metadata.labels = spec.template.metadata.labels
    if spec.completionMode is None:
        spec.completionMode = "NonIndexed"
    spec.suspend = bool(spec.suspend)
    spec.manualSelector = bool(spec.manualSelector)
    if spec.podReplacementPolicy is None:
        spec.podReplacementPolicy = "TerminatingOrFailed" if spec.podFailurePolicy is None else "Failed"


def default_job_template(spec: JobSpec) -> None:
    """Default the template of pods."""
    default_pod_spec(spec.template.spec)
    if spec.podFailurePolicy is not None:
        for rule in spec.podFailurePolicy.rules or []:
            for pattern in rule.onPodConditions:
                pattern.status = pattern.status or "True"


_MAX_PARALLELISM = _MAX_FAILED = 100_000
_MAX_PARALLELISM_OF_MANY = _MAX_FAILED_OF_MANY = 10_000
_MAX_RULES, _MAX_EXIT_CODES, _MAX_PATTERNS = 20, 255, 20
_MAX_MANAGER = 63
_MAX_SUCCEEDED_INDEXES = 64 * 1024
_ACTIONS = ("Count", "FailIndex", "FailJob", "Ignore")
_STATUSES = ("False", "True", "Unknown")
_URL_PATH = re.compile(r"[A-Za-z0-9/\-._~%!$&'()*+,;=:]+")

_COUNTS = (
    "parallelism",
    "completions",
    "activeDeadlineSeconds",
    "backoffLimit",
    "ttlSecondsAfterFinished",
    "backoffLimitPerIndex",
    "maxFailedIndexes",
)


def validate_job(job: Job) -> Errors:
    """Everything wrong with a job but what depends on the job that it replaces."""
    errors: Errors = []
    spec = job.spec
    _generated_selector(errors, job)
    validate_job_spec(errors, "spec", spec)
    if spec.selector is None:
        errors.append(required("spec.selector"))
    else:
        label_selector(errors, "spec.selector", spec.selector)
    try:
        selected = from_label_selector(spec.selector).matches(spec.template.metadata.labels)
    except SelectorError:
        selected = True
    if not selected:
        message = "`selector` does not match template `labels`"
        errors.append(invalid("spec.template.metadata.labels", internal(spec.template.metadata.labels), message))
    if is_indexed(spec) and spec.completions is not None and spec.completions > 0:
        hostname = f"{job.metadata.name}-{spec.completions - 1}"
        if dns_label_messages(hostname):
            message = f"will not able to create pod with invalid DNS label: {hostname}"
            errors.append(invalid("metadata.name", job.metadata.name, message))
    return errors


def _generated_selector(errors: Errors, job: Job) -> None:
    """The labels that make a job's pods its own are there and as the server sets them."""
    spec, meta = job.spec, job.metadata
    if spec.manualSelector or spec.selector is None:
        return
    if not meta.uid:
        errors.append(required("metadata.uid"))
    pairs = zip(CONTROLLER_LABELS, NAME_LABELS, strict=True)
    generated = {key: value for uid, name in pairs for key, value in ((uid, meta.uid), (name, meta.name))}
    labels = spec.template.metadata.labels
    for key, value in generated.items():
        here, message = f"spec.template.metadata.labels[{key}]", f"must be '{value}'"
        if key not in labels:
            errors.append(required(here, message))
        elif labels[key] != value:
            errors.append(invalid(here, labels, message))
    try:
        if not from_label_selector(spec.selector).matches(generated):
            errors.append(invalid("spec.selector", spec.selector, "`selector` not auto-generated"))
    except SelectorError:
        return


def validate_job_spec(errors: Errors, path: str, spec: JobSpec) -> None:
    """A job's spec, its selector apart."""
    for name in _COUNTS:
        non_negative(errors, f"{path}.{name}", getattr(spec, name))
    if spec.maxFailedIndexes is not None and spec.backoffLimitPerIndex is None:
        errors.append(required(f"{path}.backoffLimitPerIndex", "when maxFailedIndexes is specified"))
    if spec.managedBy is not None:
        _managed_by(errors, f"{path}.managedBy", spec.managedBy)
    _completion_mode(errors, path, spec)
    if spec.podFailurePolicy is not None:
        _failure_policy(errors, f"{path}.podFailurePolicy.rules", spec)
    if spec.successPolicy is not None:
        if is_indexed(spec):
            _success_policy(errors, f"{path}.successPolicy.rules", spec)
        else:
            errors.append(invalid(f"{path}.successPolicy", spec.successPolicy, "requires indexed completion mode"))
    if spec.podReplacementPolicy is not None:
        supported = ("Failed",) if spec.podFailurePolicy is not None else ("Failed", "TerminatingOrFailed")
        if spec.podReplacementPolicy not in supported:
            errors.append(not_supported(f"{path}.podReplacementPolicy", spec.podReplacementPolicy, supported))
    validation.template(errors, f"{path}.template", spec.template)
    _restart_policy(errors, f"{path}.template.spec.restartPolicy", spec)


def _managed_by(errors: Errors, path: str, name: str) -> None:
    host, _, rest = name.partition("/")
    if not name:
        errors.append(required(path))
    elif not host or not rest:
        errors.append(invalid(path, name, 'must be a domain-prefixed path (such as "acme.io/foo")'))
    else:
        dns_subdomain(errors, path, host)
        if not _URL_PATH.fullmatch(rest):
            message = f"Invalid path (regex used for validation is '{_URL_PATH.pattern}')"
            errors.append(invalid(path, rest, message))
    if len(name.encode()) > _MAX_MANAGER:
        errors.append(too_long(path, _MAX_MANAGER))


def _completion_mode(errors: Errors, path: str, spec: JobSpec) -> None:
    mode = spec.completionMode
    if mode == "Indexed":
        _indexed(errors, path, spec)
    elif mode not in (None, "NonIndexed"):
        errors.append(not_supported(f"{path}.completionMode", mode, ("NonIndexed", "Indexed")))
    else:
        for name in ("backoffLimitPerIndex", "maxFailedIndexes"):
            if getattr(spec, name) is not None:
                errors.append(invalid(f"{path}.{name}", getattr(spec, name), "requires indexed completion mode"))


def _indexed(errors: Errors, path: str, spec: JobSpec) -> None:
    """Every index is kept in the status, so their number is limited."""
    completions, parallelism, failed = spec.completions, spec.parallelism, spec.maxFailedIndexes
    if completions is None:
        errors.append(required(f"{path}.completions", "when completion mode is Indexed"))
    if parallelism is not None and parallelism > _MAX_PARALLELISM:
        message = f"must be less than or equal to {_MAX_PARALLELISM} when completion mode is Indexed"
        errors.append(invalid(f"{path}.parallelism", parallelism, message))
    if failed is not None and completions is not None and failed > completions:
        errors.append(invalid(f"{path}.maxFailedIndexes", failed, "must be less than or equal to completions"))
    if failed is not None and failed > _MAX_FAILED:
        errors.append(invalid(f"{path}.maxFailedIndexes", failed, f"must be less than or equal to {_MAX_FAILED}"))
    if completions is None or completions <= COMPLETIONS_SOFT_LIMIT or spec.backoffLimitPerIndex is None:
        return
    when = f"when completions are above {COMPLETIONS_SOFT_LIMIT} and used with backoff limit per index"
    if failed is None:
        errors.append(required(f"{path}.maxFailedIndexes", f"must be specified when completions is above {COMPLETIONS_SOFT_LIMIT}"))
    if parallelism is not None and parallelism > _MAX_PARALLELISM_OF_MANY:
        errors.append(invalid(f"{path}.parallelism", parallelism, f"must be less than or equal to {_MAX_PARALLELISM_OF_MANY} {when}"))
    if failed is not None and failed > _MAX_FAILED_OF_MANY:
        errors.append(invalid(f"{path}.maxFailedIndexes", failed, f"must be less than or equal to {_MAX_FAILED_OF_MANY} {when}"))


def _restart_policy(errors: Errors, path: str, spec: JobSpec) -> None:
    policy = spec.template.spec.restartPolicy
    if policy in ("", "Always"):
        errors.append(required(path, 'valid values: "OnFailure", "Never"'))
    elif policy not in ("OnFailure", "Never"):
        errors.append(not_supported(path, policy, ("OnFailure", "Never")))
    elif spec.podFailurePolicy is not None and policy != "Never":
        errors.append(invalid(path, policy, 'only "Never" is supported when podFailurePolicy is specified'))


def _choice(errors: Errors, path: str, value: str, supported: tuple[str, ...]) -> None:
    if not value:
        listed = " ".join(f'"{choice}"' for choice in supported)
        errors.append(required(path, f"valid values: [{listed}]"))
    elif value not in supported:
        errors.append(not_supported(path, value, supported))


def _failure_policy(errors: Errors, path: str, spec: JobSpec) -> None:
    assert spec.podFailurePolicy is not None
    rules = spec.podFailurePolicy.rules or []
    if len(rules) > _MAX_RULES:
        errors.append(too_many(path, len(rules), _MAX_RULES))
    names = {item.name for item in (*spec.template.spec.containers, *spec.template.spec.initContainers)}
    for index, rule in enumerate(rules):
        _failure_rule(errors, f"{path}[{index}]", rule, spec, names)


def _failure_rule(errors: Errors, path: str, rule: PodFailurePolicyRule, spec: JobSpec, names: set[str]) -> None:
    if rule.action == "FailIndex":
        if spec.backoffLimitPerIndex is None:
            errors.append(invalid(f"{path}.action", rule.action, "requires the backoffLimitPerIndex to be set"))
    else:
        _choice(errors, f"{path}.action", rule.action, _ACTIONS)
    if rule.onExitCodes is not None:
        _exit_codes(errors, f"{path}.onExitCodes", rule.onExitCodes, names)
    patterns, here = rule.onPodConditions, f"{path}.onPodConditions"
    if len(patterns) > _MAX_PATTERNS:
        errors.append(too_many(here, len(patterns), _MAX_PATTERNS))
    for index, pattern in enumerate(patterns):
        label_name(errors, f"{here}[{index}].type", pattern.type)
        _choice(errors, f"{here}[{index}].status", pattern.status, _STATUSES)
    if rule.onExitCodes is not None and patterns:
        errors.append(invalid(path, OMITTED, "specifying both OnExitCodes and OnPodConditions is not supported"))
    if rule.onExitCodes is None and not patterns:
        errors.append(invalid(path, OMITTED, "specifying one of OnExitCodes and OnPodConditions is required"))


def _exit_codes(errors: Errors, path: str, codes: PodFailurePolicyOnExitCodesRequirement, names: set[str]) -> None:
    _choice(errors, f"{path}.operator", codes.operator, ("In", "NotIn"))
    if codes.containerName is not None and codes.containerName not in names:
        message = "must be one of the container or initContainer names in the pod template"
        errors.append(invalid(f"{path}.containerName", codes.containerName, message))
    values, here = codes.values, f"{path}.values"
    if not values:
        errors.append(invalid(here, values, "at least one value is required"))
    elif len(values) > _MAX_EXIT_CODES:
        errors.append(too_many(here, len(values), _MAX_EXIT_CODES))
    seen: set[int] = set()
    for index, value in enumerate(values):
        if codes.operator == "In" and not value:
            errors.append(invalid(f"{here}[{index}]", value, "must not be 0 for the In operator"))
        if value in seen:
            errors.append(duplicate(f"{here}[{index}]", value))
        seen.add(value)
    if values != sorted(values):
        errors.append(invalid(here, values, "must be ordered"))


def _success_policy(errors: Errors, path: str, spec: JobSpec) -> None:
    assert spec.successPolicy is not None
    rules = spec.successPolicy.rules
    if not rules:
        errors.append(required(path, "at least one rules must be specified when the successPolicy is specified"))
    if len(rules) > _MAX_RULES:
        errors.append(too_many(path, len(rules), _MAX_RULES))
    for index, rule in enumerate(rules):
        _success_rule(errors, f"{path}[{index}]", rule, spec.completions or 0)


def _success_rule(errors: Errors, path: str, rule: SuccessPolicyRule, completions: int) -> None:
    succeeded, indexes = rule.succeededCount, rule.succeededIndexes
    if succeeded is None and indexes is None:
        errors.append(required(path, "at least one of succeededCount or succeededIndexes must be specified"))
    total = 0
    if indexes is not None:
        here = f"{path}.succeededIndexes"
        if len(indexes) > _MAX_SUCCEEDED_INDEXES:
            errors.append(too_long(here, _MAX_SUCCEEDED_INDEXES))
        try:
            total = count(indexes, completions)
        except BadIndexes as error:
            errors.append(invalid(here, indexes, f"error parsing succeededIndexes: {error}"))
    if succeeded is None:
        return
    here = f"{path}.succeededCount"
    non_negative(errors, here, succeeded)
    if succeeded > completions:
        message = f"must be less than or equal to {completions} (the number of specified completions)"
        errors.append(invalid(here, succeeded, message))
    if indexes is not None and succeeded > total:
        message = f"must be less than or equal to {total} (the number of indexes in the specified succeededIndexes field)"
        errors.append(invalid(here, succeeded, message))


def validate_job_update(new: Job, old: Job) -> Errors:
    """Return the changes of an existing job that are not allowed."""
    errors: Errors = []
    before, after = old.spec, new.spec
    if not is_indexed(after):
        immutable(errors, "spec.completions", after.completions, before.completions)
    elif after.completions not in (None, before.completions) and after.completions != after.parallelism:
        message = "can only be modified in tandem with spec.parallelism"
        errors.append(invalid("spec.completions", after.completions, message))
    immutable(errors, "spec.selector", after.selector, before.selector)
    _template_kept(errors, new, old)
    for name in ("completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy", "successPolicy"):
        immutable(errors, f"spec.{name}", getattr(after, name), getattr(before, name))
    return errors


def _template_kept(errors: Errors, new: Job, old: Job) -> None:
    """Check that the template stays. Scheduling and resources may change while the job is suspended and none of its pods runs."""
    status = old.status
    template, before = new.spec.template, old.spec.template
    stopped = status.startTime is None or has_condition(status, "Suspended")
    if not (old.spec.suspend and stopped and not status.active):
        immutable(errors, "spec.template", template, before)
        return
    expected = _with_directives(before, template)
    for name in ("containers", "initContainers"):
        setattr(expected.spec, name, _with_resources(getattr(template.spec, name), getattr(before.spec, name)))
    immutable(errors, "spec.template.spec", template.spec, expected.spec)


def _with_directives(template: PodTemplateSpec, desired: PodTemplateSpec) -> PodTemplateSpec:
    """A template with what another one says about scheduling."""
    result = copy.copy(template)
    spec = result.spec = copy.copy(template.spec)
    spec.affinity = _with_node_affinity(template.spec, desired.spec)
    spec.nodeSelector = desired.spec.nodeSelector
    spec.tolerations = desired.spec.tolerations
    spec.schedulingGates = desired.spec.schedulingGates
    return result


def _with_node_affinity(spec: PodSpec, desired: PodSpec) -> Affinity | None:
    before, after = spec.affinity, desired.affinity
    if before is None and after is None:
        return None
    merged = copy.copy(before) if before is not None else Affinity()
    merged.nodeAffinity = after.nodeAffinity if after is not None else None
    return merged if after is not None or merged != Affinity() else None


def _with_resources(desired: list[Container], containers: list[Container]) -> list[Container]:
    if len(desired) != len(containers):
        return containers
    merged = []
    for mine, theirs in zip(desired, containers, strict=True):
        copied = copy.copy(theirs)
        if mine.name == theirs.name:
            copied.resources = mine.resources
        merged.append(copied)
    return merged


_MANY_AT_ONCE = 10_000


def spec_warnings(path: str, spec: JobSpec) -> list[str]:
    """Return the warnings about a job, or a template of jobs, at `path`."""
    warnings = template_warnings(f"{path}.template", spec.template)
    if is_indexed(spec) and (spec.completions or 0) > COMPLETIONS_SOFT_LIMIT and (spec.parallelism or 0) > _MANY_AT_ONCE:
        warnings.insert(
            0,
            f"{path}: In Indexed Jobs with a number of completions higher than 10^5 and a parallelism higher than 10^4, "
            "Kubernetes might not be able to track completedIndexes when a big number of indexes fail",
        )
    return warnings


class JobRules(Rules[Job]):
    """A job selects its pods by its own uid unless it brings a selector and says so."""

    orphans_dependents = True
    orphaning_warning = (
        "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove them"
        " or set propagationPolicy=Orphan to suppress this warning"
    )

    default = staticmethod(default_job)

    def prepare_create(self, obj: Job) -> None:
        spec, meta = obj.spec, obj.metadata
        if spec.manualSelector:
            return
        labels = spec.template.metadata.labels
        shared = meta.labels is labels
        generated = {**dict.fromkeys(NAME_LABELS, meta.name), **dict.fromkeys(CONTROLLER_LABELS, meta.uid)}
        spec.template.metadata.labels = {**generated, **labels}
        if shared:
            meta.labels = dict(spec.template.metadata.labels)
        if spec.selector is None:
            spec.selector = LabelSelector()
        spec.selector.matchLabels.setdefault(CONTROLLER_LABELS[-1], meta.uid)

    validate = staticmethod(validate_job)
    validate_update = staticmethod(validate_job_update)
    validate_status_update = staticmethod(validate_job_status)

    def warnings(self, obj: Job, old: Job | None) -> list[str]:
        warnings = hostname_warning(obj.metadata.name, "Pod names and hostnames") if old is None else []
        changed = old is None or obj.spec != old.spec
        return [*warnings, *spec_warnings("spec", obj.spec)] if changed else warnings


def _job_status(job: Job) -> str:
    for name in ("Complete", "Failed"):
        if has_condition(job.status, name):
            return name
    if job.metadata.deletionTimestamp is not None:
        return "Terminating"
    for name in ("Suspended", "FailureTarget", "SuccessCriteriaMet"):
        if has_condition(job.status, name):
            return name
    return "Running"


def _completions(job: Job) -> str:
    spec, done = job.spec, job.status.succeeded
    if spec.completions is not None:
        return f"{done}/{spec.completions}"
    parallelism = spec.parallelism or 0
    return f"{done}/1 of {parallelism}" if parallelism > 1 else f"{done}/1"


def _job_duration(job: Job, now: datetime) -> str:
    started = job.status.startTime
    return "" if started is None else duration(((job.status.completionTime or now) - started).total_seconds())


COLUMNS = (
    NAME,
    Column("Status", cell(_job_status), description="How the job is doing, in one word."),
    Column("Completions", cell(_completions), description="Pods that succeeded, of how many."),
    Column("Duration", _job_duration, description="How long it took, or has taken so far."),
    AGE,
    *TEMPLATE,
)

JOBS: Kind[batch.Job] = Kind(
    type=batch.Job,
    plural="jobs",
    rules=JobRules(),
    columns=COLUMNS,
    group="batch",
    categories=("all",),
    subresources=(STATUS,),
    selectable={"status.successful": lambda job: str(job.status.succeeded)},
)
