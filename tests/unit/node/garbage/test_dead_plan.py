"""Choice of the dead containers that go."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.unit.node.make import NOW
from tiphys.node.garbage.dead_plan import PRESSURE, DeadContainer, DeadPolicy, dead_containers, removable
from tiphys.node.pod.observed import Observed, SeenContainer, State, ordered


def container(name: str, created: float, state: State = "exited") -> SeenContainer:
    return SeenContainer(f"{name}{created:g}", name, int(created), state, "box", created)


def seen(*containers: SeenContainer, uid: str = "u1") -> Observed:
    return ordered(uid, "default", "web", [], list(containers))


def gone(policy: DeadPolicy, *pods: tuple[Observed, bool], now: float = NOW) -> list[str]:
    return [one.id for one in removable(dead_containers(pods), policy, now)]


CRASHED = seen(container("a", 1), container("a", 2), container("a", 3), container("a", 4))
RUNNING = seen(container("a", 1), container("a", 2), container("a", 3, "running"))


def test_the_newest_and_the_one_before_stay() -> None:
    assert gone(DeadPolicy(), (CRASHED, False)) == ["a1", "a2"]
    assert gone(DeadPolicy(), (RUNNING, False)) == ["a1"]


def test_a_pod_that_is_over_keeps_one_of_each_container() -> None:
    assert gone(DeadPolicy(), (seen(container("a", 1), container("a", 2), container("b", 3)), True)) == ["a1"]


def test_limits_of_each_container() -> None:
    assert gone(DeadPolicy(per_container=0), (RUNNING, False)) == ["a1", "a2"]
    assert gone(DeadPolicy(per_container=2), (CRASHED, False)) == ["a1"]
    assert gone(DeadPolicy(per_container=-1), (CRASHED, False)) == []


def test_young_containers_stay() -> None:
    assert gone(DeadPolicy(min_age=10), (CRASHED, False), now=12.5) == ["a1"]
    assert gone(DeadPolicy(min_age=10, per_container=0), (CRASHED, False), now=12.5) == ["a1", "a2"]


def test_the_limit_of_the_node_takes_the_oldest_and_spares_the_last_of_each_running_one() -> None:
    other = seen(container("b", 5), container("b", 6), uid="u2")
    assert gone(DeadPolicy(total=1), (RUNNING, False), (other, True)) == ["a1", "b5", "b6"]
    assert gone(DeadPolicy(total=0), (RUNNING, False)) == ["a1"]


def test_pressure_leaves_only_what_a_pod_needs() -> None:
    other = seen(container("b", 5), container("b", 6), uid="u2")
    assert gone(PRESSURE, (CRASHED, False), (other, True)) == ["a1", "a2", "a3", "b5", "b6"]


STATES: list[State] = ["created", "running", "exited", "unknown"]
CONTAINERS = st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from(STATES)), max_size=8).map(
    lambda listed: seen(*(container(name, float(place), state) for place, (name, state) in enumerate(listed)))
)


@given(
    of=CONTAINERS,
    over=st.booleans(),
    policy=st.builds(DeadPolicy, min_age=st.floats(0, 10), per_container=st.integers(-1, 3), total=st.integers(-1, 3)),
    now=st.floats(0, 20),
)
def test_nothing_that_lives_or_counts_goes(of: Observed, over: bool, policy: DeadPolicy, now: float) -> None:
    ids = set(gone(policy, (of, over), now=now))
    assert not ids & {one.id for one in of.running}
    if not over:
        assert not ids & {latest.id for name in "ab" if (latest := of.latest(name)) is not None}
    left = seen(*(one for one in of.containers if one.id not in ids))
    assert gone(policy, (left, over), now=now) == []


def test_logs_go_with_their_containers() -> None:
    (one, *_) = dead_containers([(seen(SeenContainer("x", "a", 0, "exited", "box", 1, log_path="/l/0.log")), True)])
    assert one == DeadContainer("x", "u1", "a", 1, "/l/0.log")
