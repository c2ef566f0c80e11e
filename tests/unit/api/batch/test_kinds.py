"""Jobs and cron jobs: defaults, mistakes, what may change, and what a status may say."""

# One case to a line, however long.
# ruff: noqa: E501

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiphys.api.batch import schedule as cron
from tiphys.api.batch.v1 import Job, JobStatus
from tiphys.api.core.v1 import Affinity
from tiphys.api.kinds import SCHEME
from tiphys.api.rules import indexes

JOB = """
apiVersion: batch/v1
kind: Job
metadata: {{name: sum, uid: u-1}}
spec:
  template: {{metadata: {{labels: {{app: sum}}}}, spec: {{restartPolicy: {policy}, containers: [{{name: app, image: a}}]{spec}}}}}
  {more}
"""
INDEXED = "completionMode: Indexed, completions: 5, "


def job(more: str = "", policy: str = "Never", spec: str = "") -> str:
    text = "\n  ".join(f"{key}: {value}" for key, value in _fields(more))
    return JOB.format(more=text, policy=policy, spec=spec)


def _fields(more: str) -> list[tuple[str, str]]:
    """`a: 1, b: {c: 2, d: 3}` cut at the outer commas."""
    import yaml

    return [(key, msgspec.json.encode(value).decode()) for key, value in yaml.safe_load("{" + more + "}").items()]


def test_defaults_and_the_generated_selector(server: Any) -> None:
    made = server.create(job())
    spec = made.spec
    assert (spec.completions, spec.parallelism, spec.backoffLimit, spec.completionMode) == (1, 1, 6, "NonIndexed")
    assert (spec.suspend, spec.manualSelector, spec.podReplacementPolicy) == (False, False, "TerminatingOrFailed")
    assert spec.selector.matchLabels == {"batch.kubernetes.io/controller-uid": "u-1"}
    assert spec.template.metadata.labels == {
        "app": "sum", "job-name": "sum", "batch.kubernetes.io/job-name": "sum", "controller-uid": "u-1", "batch.kubernetes.io/controller-uid": "u-1",
    }  # fmt: skip
    assert made.metadata.labels == spec.template.metadata.labels
    indexed = server.create(
        job(INDEXED + "backoffLimitPerIndex: 1, podFailurePolicy: {rules: [{action: FailIndex, onPodConditions: [{type: A}]}]}")
    ).spec
    assert (indexed.backoffLimit, indexed.podReplacementPolicy) == (2**31 - 1, "Failed")
    assert indexed.podFailurePolicy.rules[0].onPodConditions[0].status == "True"
    queue = server.create(job("parallelism: 3")).spec
    assert (queue.completions, queue.parallelism) == (None, 3)


def test_a_selector_of_ones_own(server: Any) -> None:
    own = server.create(job("manualSelector: true, selector: {matchLabels: {app: sum}}"))
    assert own.spec.selector.matchLabels == {"app": "sum"}
    assert own.spec.template.metadata.labels == {"app": "sum"}
    assert server.errors(job("manualSelector: true")) == [
        "spec.selector: Required value",
        'spec.template.metadata.labels: Invalid value: {"app":"sum"}: `selector` does not match template `labels`',
    ]
    claimed = server.errors(job().replace("{app: sum}", "{controller-uid: other}"))
    assert any("spec.template.metadata.labels[controller-uid]: Invalid value:" in error and "must be 'u-1'" in error for error in claimed)
    wrong = server.errors(job("selector: {matchLabels: {batch.kubernetes.io/controller-uid: x}}"))
    assert any(error.endswith("`selector` not auto-generated") for error in wrong)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (job(policy="Always"), 'spec.template.spec.restartPolicy: Required value: valid values: "OnFailure", "Never"'),
        (job(policy="Odd"), 'spec.template.spec.restartPolicy: Unsupported value: "Odd": supported values: "OnFailure", "Never"'),
        (job("parallelism: -1"), "spec.parallelism: Invalid value: -1: must be greater than or equal to 0"),
        (job("ttlSecondsAfterFinished: -1"), "spec.ttlSecondsAfterFinished: Invalid value: -1: must be greater than or equal to 0"),
        (job("completionMode: Indexed, parallelism: 1"), "spec.completions: Required value: when completion mode is Indexed"),
        (job("completionMode: Odd"), 'spec.completionMode: Unsupported value: "Odd": supported values: "NonIndexed", "Indexed"'),
        (job(INDEXED + "parallelism: 100001"), "spec.parallelism: Invalid value: 100001: must be less than or equal to 100000 when completion mode is Indexed"),
        (job("backoffLimitPerIndex: 1"), "spec.backoffLimitPerIndex: Invalid value: 1: requires indexed completion mode"),
        (job(INDEXED + "maxFailedIndexes: 1"), "spec.backoffLimitPerIndex: Required value: when maxFailedIndexes is specified"),
        (job(INDEXED + "backoffLimitPerIndex: 1, maxFailedIndexes: 6"), "spec.maxFailedIndexes: Invalid value: 6: must be less than or equal to completions"),
        (job("completionMode: Indexed, completions: 100001, backoffLimitPerIndex: 1"), "spec.maxFailedIndexes: Required value: must be specified when completions is above 100000"),
        (job("completionMode: Indexed, completions: 100001, parallelism: 10001, backoffLimitPerIndex: 1, maxFailedIndexes: 1"), "spec.parallelism: Invalid value: 10001: must be less than or equal to 10000 when completions are above 100000 and used with backoff limit per index"),
        (job("managedBy: me"), 'spec.managedBy: Invalid value: "me": must be a domain-prefixed path (such as "acme.io/foo")'),
        (job(f"managedBy: example.com/{'a' * 60}"), "spec.managedBy: Too long: may not be more than 63 bytes"),
        (job("podReplacementPolicy: Odd"), 'spec.podReplacementPolicy: Unsupported value: "Odd": supported values: "Failed", "TerminatingOrFailed"'),
        (job("podReplacementPolicy: TerminatingOrFailed, podFailurePolicy: {rules: []}"), 'spec.podReplacementPolicy: Unsupported value: "TerminatingOrFailed": supported values: "Failed"'),
        (job("podFailurePolicy: {rules: [{onPodConditions: [{type: A}]}]}"), 'spec.podFailurePolicy.rules[0].action: Required value: valid values: ["Count" "FailIndex" "FailJob" "Ignore"]'),
        (job("podFailurePolicy: {rules: [{action: FailIndex, onPodConditions: [{type: A}]}]}"), 'spec.podFailurePolicy.rules[0].action: Invalid value: "FailIndex": requires the backoffLimitPerIndex to be set'),
        (job("podFailurePolicy: {rules: [{action: Count}]}"), "spec.podFailurePolicy.rules[0]: Invalid value: specifying one of OnExitCodes and OnPodConditions is required"),
        (job("podFailurePolicy: {rules: [{action: Count, onExitCodes: {operator: In, values: [0]}}]}"), "spec.podFailurePolicy.rules[0].onExitCodes.values[0]: Invalid value: 0: must not be 0 for the In operator"),
        (job("podFailurePolicy: {rules: [{action: Count, onExitCodes: {operator: NotIn, values: [3, 1, 3]}}]}"), "spec.podFailurePolicy.rules[0].onExitCodes.values: Invalid value: [3,1,3]: must be ordered"),
        (job("podFailurePolicy: {rules: [{action: Count, onExitCodes: {operator: NotIn, values: [3, 3]}}]}"), "spec.podFailurePolicy.rules[0].onExitCodes.values[1]: Duplicate value: 3"),
        (job("podFailurePolicy: {rules: [{action: Count, onExitCodes: {containerName: x, operator: In, values: [1]}}]}"), 'onExitCodes.containerName: Invalid value: "x": must be one of the container or initContainer names in the pod template'),
        (job("podFailurePolicy: {rules: []}", policy="OnFailure"), 'spec.template.spec.restartPolicy: Invalid value: "OnFailure": only "Never" is supported when podFailurePolicy is specified'),
        (job(f"podFailurePolicy: {{rules: [{', '.join(['{action: Count, onPodConditions: [{type: A}]}'] * 21)}]}}"), "spec.podFailurePolicy.rules: Too many: 21: must have at most 20 items"),
        (job("successPolicy: {rules: [{succeededCount: 1}]}"), "requires indexed completion mode"),
        (job(INDEXED + "successPolicy: {rules: []}"), "spec.successPolicy.rules: Required value: at least one rules must be specified when the successPolicy is specified"),
        (job(INDEXED + "successPolicy: {rules: [{}]}"), "spec.successPolicy.rules[0]: Required value: at least one of succeededCount or succeededIndexes must be specified"),
        (job(INDEXED + "successPolicy: {rules: [{succeededIndexes: '1-x'}]}"), 'succeededIndexes: Invalid value: "1-x": error parsing succeededIndexes: cannot convert string to integer for index: "x"'),
        (job(INDEXED + "successPolicy: {rules: [{succeededIndexes: '1-2', succeededCount: 3}]}"), "must be less than or equal to 2 (the number of indexes in the specified succeededIndexes field)"),
        (job(INDEXED + "successPolicy: {rules: [{succeededCount: 6}]}"), "must be less than or equal to 5 (the number of specified completions)"),
        (job(INDEXED).replace("name: sum,", f"name: {'a' * 62},"), f"will not able to create pod with invalid DNS label: {'a' * 62}-4"),
        (job(spec=", ephemeralContainers: [{name: b, image: c}]"), "ephemeral containers not allowed in pod template"),
    ],
)  # fmt: skip
def test_rejects_invalid_fields(server: Any, text: str, said: str) -> None:
    server.rejects(text, said)


def test_mutable_fields(server: Any) -> None:
    plain = server.create(job())
    assert server.update(plain, spec__parallelism=4, spec__suspend=True, spec__ttlSecondsAfterFinished=5)[1] == []
    assert server.update(plain, spec__completions=2)[1] == ["spec.completions: Invalid value: 2: field is immutable"]
    for name, value in (("completionMode", "Indexed"), ("managedBy", "a.b/c"), ("backoffLimitPerIndex", 1)):
        assert any(
            error.startswith(f"spec.{name}: Invalid value") and error.endswith("field is immutable")
            for error in server.update(plain, **{f"spec__{name}": value})[1]
        )
    indexed = server.create(job(INDEXED + "parallelism: 5"))
    assert server.update(indexed, spec__completions=3, spec__parallelism=3)[1] == []
    assert server.update(indexed, spec__completions=3)[1] == [
        "spec.completions: Invalid value: 3: can only be modified in tandem with spec.parallelism"
    ]


def test_scheduling_of_a_suspended_job_is_mutable(server: Any) -> None:
    going, suspended = server.create(job()), server.create(job("suspend: true"))
    affinity = {
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [{"matchExpressions": [{"key": "a", "operator": "Exists"}]}]
            }
        }
    }
    pick: dict[str, Any] = {"spec__template__spec__nodeSelector": {"a": "b"}}
    assert any("field is immutable" in error for error in server.update(going, **pick)[1])
    assert server.update(suspended, **pick)[1] == []

    assert server.update(suspended, spec__template__spec__affinity=msgspec.convert(affinity, Affinity))[1] == []
    assert server.update(suspended, spec__template__spec__containers__0__resources__requests={"cpu": "1"})[1] == []
    assert any("field is immutable" in error for error in server.update(suspended, spec__template__spec__containers__0__image="b")[1])
    suspended.status.active = 1
    assert any("field is immutable" in error for error in server.update(suspended, **pick)[1])
    suspended.status = msgspec.convert({"startTime": "2026-01-01T00:00:00Z"}, JobStatus)
    assert any("field is immutable" in error for error in server.update(suspended, **pick)[1])
    suspended.status = msgspec.convert(
        {"startTime": "2026-01-01T00:00:00Z", "conditions": [{"type": "Suspended", "status": "True"}]}, JobStatus
    )
    assert server.update(suspended, **pick)[1] == []


START, END = "2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z"


def conditions(*types: str) -> list[dict[str, str]]:
    return [{"type": name, "status": "True"} for name in types]


COMPLETE = {"startTime": START, "completionTime": END, "conditions": conditions("SuccessCriteriaMet", "Complete")}


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ({}, COMPLETE, []),
        ({}, {"active": -1}, ["active: Invalid value: -1: must be greater than or equal to 0"]),
        ({}, {**COMPLETE, "conditions": conditions("Complete")}, ["conditions: Invalid value: cannot set Complete=True condition without the SuccessCriteriaMet=true condition"]),
        ({}, {**COMPLETE, "completionTime": None}, ["completionTime: Required value: completionTime is required for Complete jobs"]),
        ({}, {**COMPLETE, "startTime": None}, ["startTime: Required value: startTime is required for finished job"]),
        ({}, {**COMPLETE, "startTime": END, "completionTime": START}, ['completionTime: Invalid value: "2026-01-01T00:00:00Z": must be equal to or after `startTime`']),
        ({}, {**COMPLETE, "active": 1}, ["active: Invalid value: 1: active>0 is invalid for finished job"]),
        ({}, {**COMPLETE, "terminating": 1}, ["terminating: Invalid value: 1: terminating>0 is invalid for finished job"]),
        ({}, {**COMPLETE, "uncountedTerminatedPods": {"failed": ["u"]}}, ['uncountedTerminatedPods: Invalid value: {"failed":["u"]}: must be empty for finished job']),
        ({}, {"completionTime": END}, ['completionTime: Invalid value: "2026-01-01T01:00:00Z": cannot set completionTime when there is no Complete=True condition']),
        ({}, {"startTime": START, "conditions": conditions("Failed")}, ["conditions: Invalid value: cannot set Failed=True condition without the FailureTarget=true condition"]),
        ({}, {"startTime": START, "conditions": conditions("Failed", "FailureTarget")}, []),
        ({}, {"startTime": START, "conditions": conditions("SuccessCriteriaMet", "FailureTarget")}, ["conditions: Invalid value: cannot set SuccessCriteriaMet=True and FailureTarget=true conditions"]),
        ({}, {"active": 1, "ready": 2}, ["ready: Invalid value: 2: cannot set more ready pods than active"]),
        ({}, {"completedIndexes": "1"}, ['completedIndexes: Invalid value: "1": error parsing completedIndexes: too large index: "1"', 'completedIndexes: Invalid value: "1": cannot set non-empty completedIndexes when non-indexed completion mode']),
        ({}, {"failedIndexes": "0"}, ['failedIndexes: Invalid value: "0": cannot set non-null failedIndexes when backoffLimitPerIndex is null']),
        ({}, {"uncountedTerminatedPods": {"failed": ["a", ""], "succeeded": ["a"]}}, ['uncountedTerminatedPods.failed[0]: Duplicate value: "a"', 'uncountedTerminatedPods.failed[1]: Invalid value: "": must not be empty']),
        ({"failed": 2, "succeeded": 2}, {"failed": 1, "succeeded": 1}, ["failed: Invalid value: 1: cannot decrease the failed counter", "succeeded: Invalid value: 1: cannot decrease the succeeded counter"]),
        ({"startTime": START}, {"startTime": END}, ['startTime: Invalid value: "2026-01-01T01:00:00Z": field is immutable for unsuspended job once set']),
        ({**COMPLETE}, {**COMPLETE, "completionTime": START}, ['completionTime: Invalid value: "2026-01-01T00:00:00Z": field is immutable']),
        ({"conditions": conditions("FailureTarget")}, {}, ["conditions: Invalid value: cannot disable the terminal FailureTarget=True condition"]),
        ({"conditions": conditions("SuccessCriteriaMet")}, {}, ["conditions: Invalid value: cannot disable the SuccessCriteriaMet=True condition"]),
        # What was wrong before is no obstacle to another change.
        ({"active": 1, "ready": 2}, {"active": 1, "ready": 2, "failed": 1}, []),
        ({"startTime": START, "conditions": [{"type": "Suspended", "status": "True"}]}, {"startTime": END, "conditions": [{"type": "Suspended", "status": "False"}]}, []),
    ],
)  # fmt: skip
def test_statuses(server: Any, before: dict[str, Any], after: dict[str, Any], said: list[str]) -> None:
    assert said_about(server.create(job()), before, after) == sorted(f"status.{error}" for error in said)


def said_about(made: Job, before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    old, new = (msgspec.structs.replace(made, status=msgspec.convert(_plain(status), JobStatus)) for status in (before, after))
    return sorted(str(error) for error in SCHEME.of(Job).rules.validate_status_update(new, old))


def _plain(status: dict[str, Any]) -> dict[str, Any]:
    return {
        key: datetime.fromisoformat(value).astimezone(UTC) if key.endswith("Time") and value else value for key, value in status.items()
    }


def test_indexes_of_an_indexed_job(server: Any) -> None:
    made = server.create(job(INDEXED + "backoffLimitPerIndex: 1, parallelism: 5"))
    assert said_about(made, {}, {"completedIndexes": "0,2-4", "failedIndexes": "1"}) == []
    assert said_about(made, {"succeeded": 3}, {"succeeded": 2}) == []
    assert said_about(made, {}, {"completedIndexes": "0-2", "failedIndexes": "2"}) == [
        'status.failedIndexes: Invalid value: "2": failedIndexes and completedIndexes overlap at index: 2'
    ]
    assert said_about(made, {}, {"failedIndexes": "3,1"}) == [
        'status.failedIndexes: Invalid value: "3,1": error parsing failedIndexes: non-increasing order, previous: 3, current: 1'
    ]


@given(st.sets(st.integers(0, 30)), st.sets(st.integers(0, 30)))
def test_indexes_are_sets(mine: set[int], theirs: set[int]) -> None:
    text, other = written(mine), written(theirs)
    assert indexes.count(text, 31) == len(mine)
    assert indexes.first_common(text, other, 31) == min(mine & theirs, default=None)


def written(numbers: set[int]) -> str:
    parts: list[list[int]] = []
    for number in sorted(numbers):
        if parts and parts[-1][-1] == number - 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    return ",".join(f"{part[0]}-{part[-1]}" if len(part) > 1 else str(part[0]) for part in parts)


# --- cron jobs ---

CRON = """
apiVersion: batch/v1
kind: CronJob
metadata: {{name: tick}}
spec: {{schedule: "{schedule}", {more}jobTemplate: {{spec: {{template: {{spec: {{restartPolicy: Never, containers: [{{name: a, image: b}}]}}}}}}}}}}
"""


def cron_job(schedule: str = "* * * * *", more: str = "") -> str:
    return CRON.format(schedule=schedule, more=more)


def test_defaults_of_cron_jobs(server: Any) -> None:
    spec = server.create(cron_job()).spec
    assert (spec.concurrencyPolicy, spec.suspend, spec.successfulJobsHistoryLimit, spec.failedJobsHistoryLimit) == ("Allow", False, 3, 1)
    assert spec.jobTemplate.spec.completions is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (cron_job(""), "spec.schedule: Required value"),
        (cron_job("* * * *"), 'spec.schedule: Invalid value: "* * * *": expected exactly 5 fields, found 4: [* * * *]'),
        (cron_job("TZ=UTC * * * * *"), "cannot use TZ or CRON_TZ in schedule, use timeZone field instead"),
        (cron_job(more="timeZone: Nowhere/Land, "), 'spec.timeZone: Invalid value: "Nowhere/Land": unknown time zone Nowhere/Land'),
        (cron_job(more="timeZone: '', "), 'spec.timeZone: Invalid value: "": timeZone must be nil or non-empty string'),
        (cron_job(more="timeZone: ../etc/passwd, "), "unknown time zone ../etc/passwd"),
        (cron_job(more=f"timeZone: {'A/' * 500}A, "), "unknown time zone A/A/A"),
        (cron_job(more="timeZone: Local, "), "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones"),
        (cron_job(more="concurrencyPolicy: Odd, "), 'spec.concurrencyPolicy: Unsupported value: "Odd": supported values: "Allow", "Forbid", "Replace"'),
        (cron_job(more="startingDeadlineSeconds: -1, "), "spec.startingDeadlineSeconds: Invalid value: -1: must be greater than or equal to 0"),
        (cron_job(more="failedJobsHistoryLimit: -1, "), "spec.failedJobsHistoryLimit: Invalid value: -1"),
        (cron_job().replace("spec: {template", "spec: {selector: {}, template"), "spec.jobTemplate.spec.selector: Invalid value: {}: `selector` will be auto-generated"),
        (cron_job().replace("spec: {template", "spec: {manualSelector: true, template"), 'spec.jobTemplate.spec.manualSelector: Unsupported value: true: supported values: "nil", "false"'),
        (cron_job().replace("restartPolicy: Never", "restartPolicy: Always"), "spec.jobTemplate.spec.template.spec.restartPolicy: Required value"),
        (cron_job().replace("name: tick", f"name: {'a' * 53}"), "must be no more than 52 characters"),
    ],
)  # fmt: skip
def test_rejects_invalid_cron_jobs(server: Any, text: str, said: str) -> None:
    server.rejects(text, said)


def test_old_cron_jobs_may_keep_time_zones(server: Any) -> None:
    old = server.create(cron_job(more="timeZone: Europe/Vienna, "))
    old.spec.schedule, old.spec.timeZone = "CRON_TZ=UTC * * * * *", "Gone/Land"
    kept = server.update(old, spec__suspend=True)[1]
    assert kept == ['spec.schedule: Invalid value: "CRON_TZ=UTC * * * * *": cannot use both timeZone field and TZ or CRON_TZ in schedule']
    changed, errors = server.update(old, spec__timeZone=None)
    assert errors == []
    assert "use timeZone instead" in SCHEME.of(type(old)).rules.warnings(changed, old)[0]


@pytest.mark.parametrize(
    "text",
    ["* * * * *", "*/5 0-3 1,15 jan-MAR mon-fri", "5/15 ? * * 0", "@daily", "@every 1h30m", "@every 1.5s", f"@every {5000 * '0'}1.{5000 * '1'}s", "0 0 31 2 SUN", "1-59/2 * * * *", ",1, * * * *"],
)  # fmt: skip
def test_accepts_valid_schedules(text: str) -> None:
    assert cron.schedule_message(text) == ""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("60 * * * *", "end of range (60) above maximum (59): 60"),
        ("* * 0 * *", "beginning of range (0) below minimum (1): 0"),
        ("* * * * 7", "end of range (7) above maximum (6): 7"),
        ("5-3 * * * *", "beginning of range (5) beyond end of range (3): 5-3"),
        ("*/0 * * * *", "step of range should be a positive number: */0"),
        ("1-2-3 * * * *", "too many hyphens: 1-2-3"),
        ("*/1/2 * * * *", "too many slashes: */1/2"),
        ("x * * * *", 'failed to parse int from x: strconv.Atoi: parsing "x": invalid syntax'),
        ("- * * * *", 'failed to parse int from : strconv.Atoi: parsing "": invalid syntax'),
        ("@often", "unrecognized descriptor: @often"),
        ("@every soon", 'failed to parse duration @every soon: time: invalid duration "soon"'),
        ("@every 9999999h", 'failed to parse duration @every 9999999h: time: invalid duration "9999999h"'),
        ("@every 1.5.5s", 'failed to parse duration @every 1.5.5s: time: invalid duration "1.5.5s"'),
        ("TZ=Nowhere * * * * *", "provided bad location Nowhere: unknown time zone Nowhere"),
        (f"TZ={'A/' * 500}A * * * * *", f"provided bad location {'A/' * 500}A: unknown time zone {'A/' * 500}A"),
        ("* * * * * *", "expected exactly 5 fields, found 6: [* * * * * *]"),
    ],
)
def test_rejects_broken_schedules(text: str, said: str) -> None:
    assert cron.schedule_message(text) == said


@given(st.text(max_size=30))
def test_any_text_gets_a_verdict(text: str) -> None:
    assert isinstance(cron.schedule_message(text), str)
    assert isinstance(cron.time_zone_messages(text), list)
