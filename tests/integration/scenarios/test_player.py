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


async def say(client: Client, name: str, seconds: str) -> None:
    await client.clock.sleep(float(seconds))


async def test_a_trace_is_what_happened(tmp_path: Path) -> None:
    changed = TEXT.replace("added a=x name=web", "something else").replace("----\n2026-01-02T01:00:00Z ConfigMap/one a=y", "----")
    assert await play(changed, tmp_path, {"label": say}) == TEXT


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("dance", "no such command: dance"),
        ("loops nothing", "no such loop: nothing"),
        ("watch Nothing", "no such kind: Nothing"),
        ("act nobody", "no such actor: nobody"),
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
