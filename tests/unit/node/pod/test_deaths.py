"""Stories of deaths, from the kernel's log and what the kubelet did."""

from __future__ import annotations

import pytest

from tests.unit.node.make import pod, seen
from tiphys.node.host.kernel_log import OomKill, oom_kill
from tiphys.node.pod.deaths import excerpt, newly_ended, story
from tiphys.node.pod.plan import find_container

LOG = """\
6,400,1000,-;python3 invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=996
6,401,1001,-;memory: usage 65536kB, limit 65536kB, failcnt 21
6,402,1002,-;oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),oom_memcg=/k/podu1/c1,task_memcg=/k/podu1/c1,task=my app,pid=77,uid=0
6,403,1003,-;memory: usage 99kB, limit 100kB, failcnt 1
6,404,1004,-;oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),oom_memcg=/k/podu2,task_memcg=/k/podu2/c2,task=sh,pid=78,uid=0
"""


def test_the_kernel_names_process_group_and_limit() -> None:
    assert oom_kill(LOG, "c1") == OomKill("my app", 77, "/k/podu1/c1", "/k/podu1/c1", 64 << 20, 64 << 20)
    other = oom_kill(LOG, "c2")
    assert other is not None
    assert (other.limited, other.usage) == ("/k/podu2", 99 << 10)
    assert oom_kill(LOG, "c3") is None


@pytest.mark.parametrize(
    ("more", "stopped", "kill", "reason", "words"),
    [
        ({"code": 137, "reason": "OOMKilled"}, "", oom_kill(LOG, "c1"), "OOMKilled", ("64Mi", "64.0 MiB", "my app (77)", "/k/podu1/c1")),
        ({"code": 1, "reason": "OOMKilled"}, "", None, "OOMKilled", ("64Mi",)),
        ({"code": 137}, "", oom_kill(LOG, "c2"), "OOMKilled", ("by the limit of /k/podu2",)),
        ({"code": 137}, "Container main failed liveness probe", None, "Killed", ("by the kubelet", "liveness")),
        ({"code": 137}, "", None, "Killed", ("not by the kubelet",)),
    ],
)
def test_a_killed_container_tells_by_whom(
    more: dict[str, object], stopped: str, kill: OomKill | None, reason: str, words: tuple[str, ...]
) -> None:
    of = pod({"name": "main", "resources": {"limits": {"memory": "64Mi"}}})
    container = find_container(of, "main")
    assert container is not None
    event = story(container, seen(of, "main", "exited", **more), stopped=stopped, kill=kill)  # type: ignore[arg-type]
    assert event is not None
    assert event.reason == reason
    assert all(word in event.message for word in words), event.message


def test_other_ends_need_no_story() -> None:
    of = pod()
    container = find_container(of, "main")
    assert container is not None
    assert story(container, seen(of, "main", "exited", code=1), stopped="", kill=None) is None
    assert story(container, seen(of, "main", "exited", code=143), stopped="the pod was deleted", kill=None) is None


def test_an_end_is_new_once() -> None:
    of = pod()
    dead, alive = seen(of, "main", "exited"), seen(of, "main", attempt=1)
    assert newly_ended([dead, alive], set()) == [dead]
    assert newly_ended([dead, alive], {dead.id}) == []


def test_an_excerpt_is_the_end_of_the_log_without_secrets() -> None:
    log = "first line\npassword is hunter22\nlast line\n"
    assert excerpt(log, 500, {"hunter22", "line"}) == "first line\npassword is ******\nlast line"
    assert excerpt(log, 15, ()) == "last line"
    assert excerpt("x" * 50, 10, ()) == "x" * 10
    # A value that the cut would halve is masked before.
    assert "r22" not in excerpt(log, 14, {"hunter22"})
