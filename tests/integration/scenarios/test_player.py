"""The player of scenarios."""

from __future__ import annotations

from pathlib import Path

import pytest

from tiphys.client.client import Client
from tiphys.testing.scenario import ScenarioError, play

pytestmark = pytest.mark.looptime(noop_cycles=0)

TEXT = """# About it.
clock 2026-01-01T00:00:00Z
----

watch ConfigMap data.a metadata.labels[app.kubernetes.io/name]
----

# Two of them.
apply
  kind: ConfigMap
  apiVersion: v1
  metadata: {name: two, labels: {app.kubernetes.io/name: web}}
  data: {a: x}
  ---
  kind: ConfigMap
  apiVersion: v1
  metadata: {name: one}
----
2026-01-01T00:00:00Z ConfigMap/one added
2026-01-01T00:00:00Z ConfigMap/two added a=x name=web

wait 1d1h
----

patch ConfigMap one
  data: {a: "y", b: z}
----
2026-01-02T01:00:00Z ConfigMap/one a=y

show ConfigMap one data.a data.missing
----
data.a=y
data.missing=

delete ConfigMap three
----
NotFound: configmaps "three" not found

delete ConfigMap one
----
2026-01-02T01:00:00Z ConfigMap/one deleted

loops all
----

act label one 90
----

wait 2m
----

end label
----
"""


PODS = """# Pods of whoever makes them, on nodes that only look as if they ran them.
clock 2026-01-01T00:00:00Z
----

loops node serviceaccount
----

nodes 1
  - match: {labels: app=slow}
    behavior: {ready: 10s}
  - behavior: {ready: 5s}
----

scheduler
----

count Pod STATUS spec.containers[main].image metadata.labels.app
----

watch Pod[app=slow] spec.nodeName status.conditions[Ready]
----

watch Event Node
----

apply
  kind: Pod
  apiVersion: v1
  metadata: {name: a, labels: {app: slow}}
  spec: {containers: [{name: helper, image: other}, {name: main, image: web}]}
  ---
  kind: Pod
  apiVersion: v1
  metadata: {name: b}
  spec: {containers: [{name: main, image: web}]}
----
2026-01-01T00:00:00Z Pod/a added
2026-01-01T00:00:00Z Pod/a nodeName=hollow-0
2026-01-01T00:00:00Z Pod/a Ready=False(ContainersNotReady)
2026-01-01T00:00:00Z pods: 1 Running web -, 1 Running web slow

wait 20s
----
2026-01-01T00:00:10Z Pod/a Ready=True

show Pod a READY STATUS
----
READY=2/2
STATUS=Running

# Objects that are there already are counted at once, and watched from their next change on.
count Pod[app=slow] READY
----
2026-01-01T00:00:20Z pods: 1 2/2

watch Node metadata.name STATUS
----

end scheduler
----

end nodes
----

patch Node hollow-0
  spec: {unschedulable: true}
----
2026-01-01T00:00:20Z Node/hollow-0 STATUS=Ready,SchedulingDisabled

wait 1m
----
2026-01-01T00:00:52Z Node/hollow-0 STATUS=NotReady,SchedulingDisabled
2026-01-01T00:00:52Z Node/hollow-0 Normal NodeNotReady: Node hollow-0 status is now: NodeNotReady
2026-01-01T00:00:52Z Pod/a Ready=False
"""


async def say(client: Client, name: str, seconds: str) -> None:
    await client.clock.sleep(float(seconds))


async def test_a_trace_is_what_happened(tmp_path: Path) -> None:
    changed = TEXT.replace("added a=x name=web", "something else").replace("----\n2026-01-02T01:00:00Z ConfigMap/one a=y", "----")
    assert await play(changed, tmp_path, {"label": say}) == TEXT


async def test_nodes_a_scheduler_and_counts(tmp_path: Path) -> None:
    assert await play(PODS, tmp_path) == PODS


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("dance", "no such command: dance"),
        ("loops nothing", "no such loop: nothing"),
        ("watch Nothing", "no such kind: Nothing"),
        ("count Nothing[a=b]", "no such kind: Nothing"),
        ("act nobody", "no such actor: nobody"),
        ("end nobody", "nothing to end: nobody"),
        ("nodes 1\n  - behavior: {run: soon}", r"nodes 1: rules\[0\].behavior.run"),
        ('metrics\n  cpu: {"noon": 1}', "metrics: time data 'noon'"),
    ],
)
async def test_rejects_what_there_is_not(tmp_path: Path, command: str, message: str) -> None:
    with pytest.raises(ScenarioError, match=message):
        await play(f"clock 2026-01-01T00:00:00Z\n----\n\n{command}\n----\n", tmp_path)


async def test_rejects_a_scenario_without_a_clock(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="must be `clock`"):
        await play("wait 1d\n----\n", tmp_path)


async def test_an_actor_that_fails_fails_the_scenario(tmp_path: Path) -> None:
    async def stumble(client: Client) -> None:
        raise RuntimeError("stumbled")

    with pytest.raises(RuntimeError, match="stumbled"):
        await play("clock 2026-01-01T00:00:00Z\n----\n\nact stumble\n----\n", tmp_path, {"stumble": stumble})
