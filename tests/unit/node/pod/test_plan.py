"""Next steps of the kubelet for a pod."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.node.make import NOW, box, observed, plan, pod, seen
from tiphys.node.container.config import hashes
from tiphys.node.pod.backoff import Backoff, backoff_key, backoff_left, next_backoff
from tiphys.node.pod.observed import Observed, SeenContainer, SeenSandbox
from tiphys.node.pod.plan import Plan, Verdicts, grace_of, plan_pod


def names(result: Plan) -> list[str]:
    return [start.name for start in result.start]


def test_a_new_pod_gets_a_sandbox_and_its_containers() -> None:
    result = plan(pod({"name": "a"}, {"name": "b"}), observed(boxes=()))
    assert result.create_sandbox == 0
    assert names(result) == ["a", "b"]
    assert [start.attempt for start in result.start] == [0, 0]


def test_a_running_pod_needs_nothing() -> None:
    it = pod({"name": "a"})
    assert plan(it, observed(seen(it, "a"))).empty


def test_init_containers_run_one_after_the_other() -> None:
    it = pod({"name": "a"}, initContainers=[{"name": "i1"}, {"name": "i2"}])
    assert names(plan(it, observed(boxes=()))) == ["i1"]
    assert plan(it, observed(seen(it, "i1"))).empty
    assert names(plan(it, observed(seen(it, "i1", "exited")))) == ["i2"]
    assert names(plan(it, observed(seen(it, "i1", "exited"), seen(it, "i2", "exited")))) == ["a"]


def test_a_failed_init_container_is_tried_again_or_ends_the_pod() -> None:
    it = pod({"name": "a"}, initContainers=[{"name": "i"}])
    failed = observed(seen(it, "i", "exited", code=3))
    assert [(start.name, start.attempt) for start in plan(it, failed).start] == [("i", 1)]
    never = pod({"name": "a"}, initContainers=[{"name": "i"}], restartPolicy="Never")
    result = plan(never, failed)
    assert result.over
    assert result.kill_pod


def test_init_containers_are_not_run_again_once_an_ordinary_one_began() -> None:
    it = pod({"name": "a"}, initContainers=[{"name": "i"}])
    # The init container's record was cleared away meanwhile.
    assert plan(it, observed(seen(it, "a"))).empty


def test_a_sidecar_goes_first_and_is_kept_running() -> None:
    it = pod({"name": "a"}, initContainers=[{"name": "s", "restartPolicy": "Always"}, {"name": "i"}])
    assert names(plan(it, observed(boxes=()))) == ["s"]
    assert names(plan(it, observed(seen(it, "s")))) == ["i"]
    running = observed(seen(it, "s"), seen(it, "i", "exited"), seen(it, "a"))
    assert plan(it, running).empty
    died = observed(seen(it, "s", "exited", code=1), seen(it, "i", "exited"), seen(it, "a"))
    assert names(plan(it, died)) == ["s"]


def test_a_sidecar_with_a_startup_probe_holds_the_others_back() -> None:
    sidecar = {"name": "s", "restartPolicy": "Always", "startupProbe": {"exec": {"command": ["true"]}}}
    it = pod({"name": "a"}, initContainers=[sidecar])
    assert plan(it, observed(seen(it, "s"))).empty
    assert names(plan(it, observed(seen(it, "s")), verdicts={"s-0": Verdicts(startup=True)})) == ["a"]


def test_sidecars_do_not_keep_a_finished_pod_alive() -> None:
    it = pod({"name": "a"}, initContainers=[{"name": "s", "restartPolicy": "Always"}], restartPolicy="Never")
    result = plan(it, observed(seen(it, "s"), seen(it, "a", "exited")))
    assert result.over
    assert result.kill_pod
    assert result.start == ()


@pytest.mark.parametrize(
    ("policy", "code", "restarted"),
    [("Always", 0, True), ("Always", 1, True), ("OnFailure", 0, False), ("OnFailure", 1, True), ("Never", 1, False)],
)
def test_restart_policies(policy: str, code: int, restarted: bool) -> None:
    it = pod({"name": "a"}, {"name": "b"}, restartPolicy=policy)
    result = plan(it, observed(seen(it, "a", "exited", code=code), seen(it, "b")))
    assert names(result) == (["a"] if restarted else [])
    assert not result.over


def test_a_pod_is_over_when_nothing_will_start_again() -> None:
    it = pod({"name": "a"}, {"name": "b"}, restartPolicy="OnFailure")
    assert plan(it, observed(seen(it, "a", "exited"), seen(it, "b", "exited"))).over
    assert not plan(it, observed(seen(it, "a", "exited"), seen(it, "b", "exited", code=1))).over


def test_a_container_may_have_rules_of_its_own() -> None:
    rule = {"action": "Restart", "exitCodes": {"operator": "In", "values": [42]}}
    it = pod({"name": "a", "restartPolicyRules": [rule], "restartPolicy": "Never"}, restartPolicy="Never")
    assert names(plan(it, observed(seen(it, "a", "exited", code=42)))) == ["a"]
    assert plan(it, observed(seen(it, "a", "exited", code=41))).over


def test_backoff_holds_a_crashing_container_back() -> None:
    it = pod({"name": "a"})
    dead = seen(it, "a", "exited", code=1, ago=4)
    waiting = plan(it, observed(dead), backoffs={"a": Backoff(10, NOW - 30)})
    assert waiting.start == ()
    assert waiting.backing_off == {"a": 10}
    assert waiting.recheck_in == pytest.approx(6)
    assert names(plan(it, observed(dead), backoffs={"a": Backoff(10, NOW - 30)}, now=NOW + 6.1)) == ["a"]


def test_backoff_doubles_to_five_minutes_and_forgets_after_a_long_life() -> None:
    it = pod({"name": "a"})
    dead = seen(it, "a", "exited", code=1)
    backoff: Backoff | None = None
    delays = []
    for _ in range(7):
        backoff = next_backoff(backoff, dead)
        delays.append(backoff.delay)
    assert delays == [10, 20, 40, 80, 160, 300, 300]
    assert next_backoff(Backoff(4, 1), dead, 5.0).delay == 5
    assert next_backoff(None, dead, 5.0).delay == 5
    old = seen(it, "a", "exited", code=1, ago=0.5, lived=601)
    assert backoff_left(backoff, old, NOW) <= 0
    assert next_backoff(backoff, old).delay == 10
    never_started = seen(it, "a", "exited", code=128, started=0.0)
    assert backoff_left(backoff, never_started, NOW) > 0


def test_a_failed_liveness_probe_kills_and_restarts() -> None:
    it = pod({"name": "a", "livenessProbe": {"terminationGracePeriodSeconds": 3}}, {"name": "b"})
    result = plan(it, observed(seen(it, "a"), seen(it, "b")), verdicts={"a-0": Verdicts(liveness=False)})
    assert [(stop.id, stop.grace, stop.why) for stop in result.stop] == [("a-0", 3, "liveness")]
    assert result.stop[0].message == "Container a failed liveness probe, will be restarted"
    assert [(start.name, start.attempt) for start in result.start] == [("a", 1)]


@pytest.mark.parametrize("kind", ["liveness", "startup"])
@pytest.mark.parametrize("group", ["containers", "initContainers"])
def test_containers_that_probes_kill_back_off_like_others(kind: str, group: str) -> None:
    killed = {"name": "k", f"{kind}Probe": {}}
    it = pod(killed) if group == "containers" else pod({"name": "a"}, initContainers=[{**killed, "restartPolicy": "Always"}])
    failed = Verdicts(**{kind: False})
    backoffs: dict[str, Backoff] = {}
    clock, lives, waits = NOW, [seen(it, "k", ago=1)], []
    for attempt in range(1, 6):
        clock += 1  # every life is a second long
        result = plan(it, observed(*lives), verdicts={lives[0].id: failed}, backoffs=backoffs, now=clock)
        assert [stop.id for stop in result.stop] == [lives[0].id]
        lives[0] = seen(it, "k", "exited", code=137, attempt=attempt - 1, ago=NOW - clock, lived=1)
        if not result.start:
            assert list(result.backing_off) == ["k"]
            waiting = plan(it, observed(*lives), backoffs=backoffs, now=clock)
            assert (waiting.start, list(waiting.backing_off)) == ((), ["k"])
            assert waiting.recheck_in is not None
            clock += waiting.recheck_in
            result = plan(it, observed(*lives), backoffs=backoffs, now=clock)
        (start,) = result.start
        assert start.attempt == attempt
        waits.append(clock - lives[0].finished)
        if start.backoff is not None:
            backoffs["k"] = start.backoff
        lives.insert(0, seen(it, "k", attempt=attempt, ago=NOW - clock))
    assert waits == pytest.approx([0, 0, 10, 20, 40]), "the first end that counts is one that was seen before"


def test_a_new_image_or_new_resources_end_the_back_off() -> None:
    keys = {
        backoff_key(pod({"name": "a", **more}).spec.containers[0])
        for more in ({}, {"image": "img:2"}, {"resources": {"limits": {"cpu": "1"}}}, {"command": ["true"]})
    }
    assert len(keys) == 3


def test_a_failed_startup_probe_kills_for_good_under_never() -> None:
    it = pod({"name": "a"}, {"name": "b"}, restartPolicy="Never", terminationGracePeriodSeconds=7)
    result = plan(it, observed(seen(it, "a"), seen(it, "b")), verdicts={"a-0": Verdicts(startup=False)})
    assert [(stop.name, stop.grace, stop.message) for stop in result.stop] == [("a", 7, "Container a failed startup probe")]
    assert result.start == ()


def test_a_changed_image_replaces_the_container_whatever_the_policy() -> None:
    it = pod({"name": "a", "image": "img:2"}, restartPolicy="Never")
    result = plan(it, observed(seen(it, "a", hash="old")))
    assert [stop.why for stop in result.stop] == ["changed"]
    assert [start.attempt for start in result.start] == [1]


def test_a_dead_sandbox_is_replaced_and_everything_starts_again() -> None:
    it = pod({"name": "a"}, initContainers=[{"name": "i"}])
    dead = observed(seen(it, "i", "exited"), seen(it, "a", "exited", code=137), boxes=(box(ready=False),))
    result = plan(it, dead)
    assert result.create_sandbox == 1
    assert result.stop_sandboxes == ("box0",), "its address is given back"
    assert [(start.name, start.attempt) for start in result.start] == [("i", 1)]
    again = observed(
        seen(it, "i", "exited", sandbox="box1", attempt=1),
        seen(it, "a", "exited", code=137, ago=9),
        boxes=(box(1), box(ready=False)),
    )
    assert [(start.name, start.attempt) for start in plan(it, again).start] == [("a", 1)]


def test_containers_of_a_dead_sandbox_are_stopped_first() -> None:
    it = pod({"name": "a"})
    result = plan(it, observed(seen(it, "a"), boxes=(box(ready=False),)))
    assert result.kill_pod
    assert result.create_sandbox is None
    assert not result.over


def test_a_pod_that_may_not_restart_does_not_get_a_second_sandbox() -> None:
    it = pod({"name": "a"}, restartPolicy="Never")
    assert plan(it, observed(seen(it, "a", "exited", code=137), boxes=(box(ready=False),))).over
    # It never ran anything: the sandbox itself failed, and is tried again.
    assert plan(it, observed(boxes=(box(ready=False),))).create_sandbox == 1


def test_a_container_that_was_created_but_not_started_is_made_again() -> None:
    it = pod({"name": "a"})
    assert [start.attempt for start in plan(it, observed(seen(it, "a", "created"))).start] == [1]


def test_restart_counts_go_on_after_the_records_were_lost() -> None:
    status = {"containerStatuses": [{"name": "a", "restartCount": 4, "containerID": "containerd://x"}]}
    it = pod({"name": "a"}, status=status)
    assert [start.attempt for start in plan(it, observed(boxes=())).start] == [5]


def test_old_dead_containers_and_empty_sandboxes_are_removed() -> None:
    it = pod({"name": "a"})
    lives = [seen(it, "a", "exited", attempt=number, ago=100 - number, sandbox="box0" if number else "gone") for number in range(3)]
    result = plan(it, observed(*lives, seen(it, "a", attempt=3), boxes=(box(1), box(0, ready=False))))
    assert result.remove_containers == ("a-0", "a-1")
    assert result.remove_sandboxes == ()
    result = plan(it, observed(seen(it, "a", sandbox="box1"), boxes=(box(1), box(0, ready=False))))
    assert result.remove_sandboxes == ("box0",)


def test_dead_containers_can_be_left_to_garbage_collection() -> None:
    it = pod({"name": "a"})
    lives = [seen(it, "a", "exited", attempt=number, ago=100 - number, sandbox="gone") for number in range(3)]
    boxes = (box(1), SeenSandbox("gone", 0, ready=False), SeenSandbox("empty", 0, ready=False))
    what = observed(*lives, seen(it, "a", attempt=3, sandbox="box1"), boxes=boxes)
    result = plan_pod(it, what, hashes=hashes(it), verdicts={}, backoffs={}, now=NOW, spare=None)
    assert result.remove_containers == ()
    assert result.remove_sandboxes == ("empty",)


def test_ephemeral_containers_start_once() -> None:
    it = pod({"name": "a"}, ephemeralContainers=[{"name": "debug", "image": "x"}])
    assert [(start.name, start.kind) for start in plan(it, observed(seen(it, "a"))).start] == [("debug", "ephemeral")]
    assert plan(it, observed(seen(it, "a"), seen(it, "debug", "exited", code=1))).empty


def test_grace_comes_from_the_delete_then_the_spec() -> None:
    assert grace_of(pod()) == 30
    assert grace_of(pod(terminationGracePeriodSeconds=5)) == 5
    deleted = {"deletionTimestamp": "2026-01-01T00:00:00Z", "deletionGracePeriodSeconds": 0}
    assert grace_of(pod(terminationGracePeriodSeconds=5, metadata=deleted)) == 1


# -- properties: a small machine that does what plans say


POLICIES = st.sampled_from(["Always", "OnFailure", "Never"])


def follow(it: Any, what: Observed, result: Plan, clock: float) -> Observed:
    """The observation after the plan was carried out."""
    boxes, containers = list(what.sandboxes), list(what.containers)

    def ended(one: SeenContainer) -> SeenContainer:
        changed = {"state": "exited", "exit_code": 137, "finished": clock}
        return SeenContainer(**{**{name: getattr(one, name) for name in one.__struct_fields__}, **changed})

    if result.kill_pod:
        containers = [ended(one) if one.state in ("running", "unknown") else one for one in containers]
        boxes = [type(one)(one.id, one.attempt, False, one.created, one.ips) for one in boxes]
    stopped = {stop.id for stop in result.stop}
    containers = [ended(one) if one.id in stopped else one for one in containers if one.id not in result.remove_containers]
    boxes = [one for one in boxes if one.id not in result.remove_sandboxes]
    if result.create_sandbox is not None:
        boxes.insert(0, box(result.create_sandbox))
    for start in result.start:
        made = seen(it, start.name, attempt=start.attempt, sandbox=boxes[0].id, ago=NOW - clock)
        containers.insert(0, made)
    return observed(*containers, boxes=tuple(boxes))


@settings(max_examples=150, deadline=None)
@given(
    policy=POLICIES,
    inits=st.lists(st.booleans(), max_size=3),
    exits=st.lists(st.tuples(st.integers(0, 5), st.sampled_from([0, 1, 137])), max_size=12),
)
def test_no_container_ever_runs_twice_and_init_order_holds(policy: str, inits: list[bool], exits: list[tuple[int, int]]) -> None:
    specs = [{"name": f"i{place}", **({"restartPolicy": "Always"} if side else {})} for place, side in enumerate(inits)]
    it = pod({"name": "a"}, {"name": "b"}, initContainers=specs, restartPolicy=policy)
    what = observed(boxes=())
    clock = NOW
    for which, code in [*exits, (0, 0)]:
        for _ in range(10):
            clock += 700  # beyond every backoff
            result = plan(it, what, now=clock)
            if result.over:
                assert not result.start
                return
            if result.empty:
                break
            what = follow(it, what, result, clock)
            running = [one.name for one in what.containers if one.state == "running"]
            assert len(running) == len(set(running))
            if "a" in running or "b" in running:
                assert all(what.latest(spec["name"]) is not None for spec in specs)
        else:
            pytest.fail(f"the plan never comes to rest: {result}")
        alive = [one for one in what.containers if one.state == "running"]
        if alive:
            victim = alive[which % len(alive)]
            fields = {name: getattr(victim, name) for name in victim.__struct_fields__}
            dead = SeenContainer(**{**fields, "state": "exited", "exit_code": code, "finished": clock})
            others = [one for one in what.containers if one.id != victim.id]
            what = observed(dead, *others, boxes=what.sandboxes)
