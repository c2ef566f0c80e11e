"""Metrics of Jobs: what they count, and that each thing counts once."""

from __future__ import annotations

import re

import pytest

from tests.unit.controllers.job.make import pod
from tests.unit.controllers.job.test_rules import policy, rule
from tests.unit.controllers.job.test_world import job
from tests.unit.controllers.job.world import World
from tiphys.controllers.job import metrics
from tiphys.obs.metrics import REGISTRY
from tiphys.testing.memory_api import MemoryApi


def samples() -> dict[str, float]:
    """Samples of the families of Jobs, those of a histogram's buckets and durations left out."""
    lines = re.findall(r"^(job_controller_\S+) (\S+)$", "\n".join(REGISTRY.lines()), re.MULTILINE)
    return {name: float(value) for name, value in lines if "_bucket" not in name and "_sum" not in name}


def grown(before: dict[str, float]) -> dict[str, float]:
    now = samples()
    return {name: now[name] - before.get(name, 0) for name in now if now[name] != before.get(name, 0)}


@pytest.mark.looptime
async def test_a_job_counts_its_pods_and_its_end(api: MemoryApi) -> None:
    before = samples()
    world = World(api, 1, faults=0, failing=0.5, deleting=0.0)
    failures = policy(rule("Ignore", 42), rule("Count", 1))
    done = await world.run(job(completions=4, parallelism=2, backoffLimit=30, podFailurePolicy=failures))
    found = grown(before)
    assert found['job_controller_jobs_finished_total{completion_mode="NonIndexed",result="succeeded",reason="CompletionsReached"}'] == 1
    assert found['job_controller_job_pods_finished_total{completion_mode="NonIndexed",result="succeeded"}'] == done.status.succeeded
    assert found['job_controller_job_pods_finished_total{completion_mode="NonIndexed",result="failed"}'] == done.status.failed
    codes = [
        state.terminated.exitCode
        for uid in world.ended("Failed")
        for found_pod in world.last(uid).status.containerStatuses
        if (state := found_pod.state) is not None and state.terminated is not None
    ]
    for action, code in (("Ignore", 42), ("Count", 1)):
        counted = found.get(f'job_controller_pod_failures_handled_by_failure_policy_total{{action="{action}"}}', 0)
        assert counted == codes.count(code)
    ended = len(world.ended("Failed") | world.ended("Succeeded"))
    for event in ("add", "delete"):
        assert found[f'job_controller_terminated_pods_tracking_finalizer_total{{event="{event}"}}'] == ended
    syncs = {name: value for name, value in found.items() if name.startswith("job_controller_job_syncs_total")}
    assert all('result="success"' in name for name in syncs)
    assert {re.findall('action="(.*?)"', name)[0] for name in syncs} == {"pods_created", "tracking"}


def test_pods_that_wait_to_be_counted() -> None:
    before = samples()
    metrics.note_pod(None, pod(phase="Running"))
    metrics.note_pod(pod(phase="Running"), pod(phase="Succeeded"))
    metrics.note_pod(pod(phase="Succeeded"), pod(phase="Succeeded"))
    assert grown(before) == {'job_controller_terminated_pods_tracking_finalizer_total{event="add"}': 1}
    metrics.note_pod(pod(phase="Succeeded"), None)
    metrics.note_pod(pod(phase="Failed", tracked=False), None)
    assert sum(grown(before).values()) == 2
