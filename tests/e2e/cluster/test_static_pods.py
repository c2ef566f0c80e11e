"""The example of static pods: every command of its README, in order, on a real cluster."""

from __future__ import annotations

import shlex
from pathlib import Path

from tiphys.testing.cluster import Cluster, run, taken_slot

ROOT = Path(__file__).parents[3]
README = ROOT / "examples" / "static-pods" / "README.md"


def commands(manifests: Path, node: str) -> list[str]:
    lines = [line.strip() for line in README.read_text().splitlines() if line.startswith("    ")]
    replaced = {"/etc/kubernetes/manifests": str(manifests), "$NODE": node, "cp examples/": f"cp {ROOT}/examples/"}
    for old, new in replaced.items():
        lines = [line.replace(old, new) for line in lines]
    return lines


def carry_out(cluster: Cluster, command: str) -> str:
    words = shlex.split(command)
    if words[:2] == ["tiphys", "up"]:
        cluster.up(*words[2:])
        return cluster.tiphys("images", "build", "busybox", timeout=300).out
    return cluster.kubectl(words[2:]).out if words[0] == "tiphys" else run(*words).out


def test_the_commands_of_the_readme_do_what_it_says(tmp_path: Path) -> None:
    with taken_slot() as cluster:
        try:
            done = {command: carry_out(cluster, command) for command in commands(tmp_path / "manifests", cluster.node)}
        finally:
            cluster.down(purge=True)
    assert [answer for command, answer in done.items() if "wget" in command] == ["hello from version 1\n"]
