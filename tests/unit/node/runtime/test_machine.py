"""Processes, control groups and port mapping chains: finding exactly ours."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tiphys.node.runtime import cgroups, hostports, mounts, procs

RULES = """\
-P PREROUTING ACCEPT
-N CNI-DN-aaa
-N CNI-DN-bbb
-N CNI-HOSTPORT-DNAT
-A PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT
-A CNI-HOSTPORT-DNAT -p tcp -m comment --comment "dnat name: \\"ours\\" id: \\"1\\"" -m multiport --dports 80 -j CNI-DN-aaa
-A CNI-HOSTPORT-DNAT -p tcp -m comment --comment "dnat name: \\"theirs\\" id: \\"2\\"" -m multiport --dports 81 -j CNI-DN-bbb
-A CNI-DN-aaa -s 10.42.0.0/24 -p tcp -m tcp --dport 80 -j CNI-HOSTPORT-SETMARK
-A CNI-DN-aaa -p tcp -m tcp --dport 80 -j DNAT --to-destination 10.42.0.3:80
-A CNI-DN-bbb -s 10.88.0.0/16 -p tcp -m tcp --dport 81 -j CNI-HOSTPORT-SETMARK
""".splitlines()


def test_only_chains_of_our_subnets_go() -> None:
    assert hostports.pod_chains(RULES, ["10.42.0.0/24"]) == {"CNI-DN-aaa"}
    assert hostports.pod_chains(RULES, ["10.42.1.0/24"]) == set()


def test_jumps_go_before_the_chain_they_lead_to() -> None:
    first, *rest = hostports.deletions(RULES, {"CNI-DN-aaa"})
    assert first[:2] == ["-D", "CNI-HOSTPORT-DNAT"]
    assert 'dnat name: "ours" id: "1"' in first
    assert rest == [["-F", "CNI-DN-aaa"], ["-X", "CNI-DN-aaa"]]


@pytest.mark.parametrize(
    ("qos", "path"),
    [
        ("Guaranteed", "/kubepods/podu1"),
        ("Burstable", "/kubepods/burstable/podu1"),
        ("BestEffort", "/kubepods/besteffort/podu1"),
    ],
)
def test_guaranteed_pods_are_directly_below_the_parent(qos: cgroups.Qos, path: str) -> None:
    assert cgroups.pod_path("/kubepods", qos, "u1") == path


def hybrid(root: Path) -> Path:
    for name in ("cpu,cpuacct", "memory", "cpuset"):
        (root / name).mkdir(parents=True)
        (root / name / "tasks").touch()
    (root / "cpu").symlink_to("cpu,cpuacct")
    (root / "unified").mkdir()
    (root / "cpuset" / "cpuset.cpus").write_text("0-1\n")
    (root / "cpuset" / "cpuset.mems").write_text("0\n")
    return root


def test_hierarchies_are_found_by_looking(tmp_path: Path) -> None:
    root = hybrid(tmp_path)
    assert not cgroups.is_v2(root)
    assert cgroups.hierarchies(root) == {
        "cpu": root / "cpu,cpuacct",
        "cpuacct": root / "cpu,cpuacct",
        "memory": root / "memory",
        "cpuset": root / "cpuset",
    }
    (root / "cgroup.controllers").write_text("cpu memory")
    assert cgroups.is_v2(root)


def test_every_hierarchy_of_a_group_is_listed_once(tmp_path: Path) -> None:
    root = hybrid(tmp_path)
    for name in ("cpu,cpuacct", "memory", "unified"):
        (root / name / "kubepods" / "podu1").mkdir(parents=True)
    names = {path.relative_to(root).parts[0] for path in cgroups.directories("/kubepods/podu1", root)}
    assert names == {"cpu,cpuacct", "memory", "unified"}
    assert cgroups.directories("/", root) == []
    assert cgroups.remove("/kubepods", root)
    assert cgroups.directories("/kubepods", root) == []


def child_of_ours(code: str, *arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", code, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def forget(child: subprocess.Popen[bytes]) -> None:
    """wait_gone has reaped the child, which its object cannot know."""
    child.returncode = 0
    for pipe in (child.stdin, child.stdout):
        if pipe is not None:
            pipe.close()


async def test_the_end_of_a_process_is_noticed_whoever_its_parent_is() -> None:
    child = child_of_ours("import sys; sys.stdin.read()")
    waiting = asyncio.create_task(procs.wait_gone(child.pid))
    assert procs.is_alive(child.pid)
    assert child.pid in procs.children([os.getpid()])
    assert not waiting.done()
    assert child.stdin is not None
    child.stdin.close()
    await asyncio.wait_for(waiting, 20)
    assert not procs.is_alive(child.pid)
    await procs.wait_gone(child.pid)
    forget(child)


async def test_a_process_that_ignores_sigterm_is_killed_after_its_grace() -> None:
    code = "import signal, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(1000)"
    child = child_of_ours(code)
    assert child.stdout is not None
    await asyncio.to_thread(child.stdout.readline)
    await procs.end(child.pid, grace=0.05)
    assert not procs.is_alive(child.pid)
    forget(child)


def test_processes_are_found_by_their_arguments() -> None:
    mark = f"--mark-{os.getpid()}"
    command = [sys.executable, "-c", "import sys; print('up', flush=True); sys.stdin.read()", mark]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()  # The kernel shows the arguments only some time after the program has begun.
        assert procs.find(lambda arguments: mark in arguments) == [child.pid]
    assert procs.command_line(child.pid) == []


def test_no_mounts_are_listed_below_a_plain_directory(tmp_path: Path) -> None:
    assert mounts.mounts_under(tmp_path) == []
    assert mounts.unmount_under(tmp_path) == []
    assert Path("/proc") in mounts.mounts_under(Path("/proc"))
