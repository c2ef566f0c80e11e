"""The demo that `make up` deploys: three pods of two containers each behind a Service."""

from __future__ import annotations

import re
import urllib.request
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tiphys.testing.cluster import Cluster, wait_for

IMAGES = ("busybox", "web", "nginx")
MANIFEST = Path(__file__).parents[3] / "examples" / "demo" / "demo.yaml"


@pytest.fixture(scope="module")
def demo(cluster: Cluster) -> Cluster:
    cluster.apply(MANIFEST.read_text().replace("30080", str(cluster.first_node_port)))
    cluster.kubectl("rollout status deployment/demo --timeout=60s")
    cluster.kubectl("run client --image tiphys.local/busybox:1 --restart Never -- sleep 3600")
    cluster.kubectl("wait pod/client --for=condition=Ready --timeout=30s")
    return cluster


def pods_that_answer(text: str) -> list[str]:
    return re.findall(r"Hello from pod (\S+)", text)


def fetch(url: str) -> str:
    with urllib.request.urlopen(url, timeout=5) as response:
        body: bytes = response.read()
    return body.decode()


def in_turn(answers: list[str], pods: set[str]) -> bool:
    """Return whether each round of three answers came from all three pods."""
    return all(set(answers[start : start + 3]) == pods for start in range(0, len(answers), 3))


def names(cluster: Cluster) -> set[str]:
    return {pod["metadata"]["name"] for pod in cluster.get("pods -l app=demo")["items"]}


def test_service_address_reaches_all_pods_in_turn(demo: Cluster) -> None:
    address = demo.get("service demo")["spec"]["clusterIP"]
    answers = [pods_that_answer(fetch(f"http://{address}/"))[0] for _ in range(9)]
    assert in_turn(answers, names(demo))


def test_node_port_reaches_all_pods_in_turn(demo: Cluster) -> None:
    answers = [pods_that_answer(fetch(f"http://127.0.0.1:{demo.first_node_port}/"))[0] for _ in range(9)]
    assert in_turn(answers, names(demo))


def test_dns_name_works_inside_a_pod(demo: Cluster) -> None:
    script = "for i in 1 2 3 4 5 6; do wget -qO- http://demo.default.svc.cluster.local/; done"
    answers = pods_that_answer(demo.kubectl(["exec", "client", "--", "sh", "-c", script]).out)
    assert len(answers) == 6
    assert in_turn(answers, names(demo))


def test_rolling_update_under_constant_requests_loses_none(demo: Cluster) -> None:
    script = (
        "ok=0; bad=0; end=$(( $(date +%s) + 120 ));"
        "while [ $(date +%s) -lt $end ] && [ ! -e /tmp/enough ]; do"
        " if timeout 5 wget -qO- http://demo/ >/dev/null 2>&1; then ok=$((ok+1)); else bad=$((bad+1)); fi; done;"
        "echo $ok $bad > /tmp/result"
    )
    demo.kubectl(["exec", "client", "--", "sh", "-c", f"rm -f /tmp/enough /tmp/result; ({script}) >/dev/null 2>&1 &"])
    before = names(demo)
    demo.kubectl("rollout restart deployment/demo")
    demo.kubectl("rollout status deployment/demo --timeout=90s")
    wait_for(lambda: len(names(demo)) == 3 and not names(demo) & before, timeout=60)
    demo.kubectl("exec client -- touch /tmp/enough")
    ok, bad = wait_for(lambda: demo.kubectl("exec client -- cat /tmp/result", check=False).out.split())
    assert int(ok) > 50
    assert bad == "0"


def selected(cluster: Cluster, labels: str) -> list[Any]:
    found: list[Any] = cluster.get(f"pods -l {labels}")["items"]
    return found


def test_other_examples_do_what_they_say(demo: Cluster) -> None:
    for name, pods in (("shipper", "app=shipper"), ("site", "app=site")):
        manifest = (MANIFEST.parents[1] / name / f"{name}.yaml").read_text()
        demo.apply(manifest.replace("30081", str(demo.first_node_port + 1)))
        assert pods.partition("=")[2] == name
        wait_for(partial(selected, demo, pods))
        demo.kubectl(f"wait pod -l {pods} --for=condition=Ready --timeout=120s")
