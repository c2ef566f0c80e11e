"""Probes on a real runtime."""

from __future__ import annotations

from typing import Any

from tests.e2e.node.cluster import Node
from tiphys.testing.eventually import eventually

SERVE = "mkdir -p /w; echo ok > /w/index.html; exec httpd -f -p 8080 -h /w"


def http(**more: object) -> dict[str, object]:
    return {"httpGet": {"path": "/index.html", "port": "web"}, "periodSeconds": 1, **more}


async def test_readiness_leaves_and_returns(node: Node) -> None:
    ports = [{"name": "web", "containerPort": 8080}]
    await node.run("web", {"command": ["sh", "-c", SERVE], "ports": ports, "readinessProbe": http(failureThreshold=1)})
    await node.ready()
    await node.exec("mv", "/w/index.html", "/w/gone")
    await eventually(lambda: not node.status().ready)
    assert node.status().restartCount == 0
    await eventually(lambda: any("statuscode: 404" in message for message in node.events("Unhealthy")))
    await node.exec("mv", "/w/gone", "/w/index.html")
    await eventually(lambda: node.status().ready)


async def test_a_redirect_to_another_host_passes_with_a_warning(node: Node) -> None:
    answer = r"HTTP/1.0 302 Found\r\nLocation: http://other.example/\r\n\r\ngone"
    serve = {"command": ["sh", "-c", f"while :; do printf '{answer}' | nc -l -p 8080; done"]}
    headers = [{"name": "X-Part", "value": value} for value in ("one", "two")]
    await node.run("web", {**serve, "readinessProbe": {"httpGet": {"port": 8080, "httpHeaders": headers}, "periodSeconds": 1}})
    await node.ready()
    expected = "Readiness probe warning: Probe terminated redirects, Response body: gone"
    await eventually(lambda: expected in node.events("ProbeWarning"))
    assert [line.strip() for line in node.log().splitlines() if line.startswith("X-Part")][:2] == ["X-Part: one", "X-Part: two"]


async def test_a_failed_liveness_probe_restarts(node: Node) -> None:
    probe = {"exec": {"command": ["test", "-e", "/alive"]}, "periodSeconds": 1, "failureThreshold": 1}
    command = "[ -e /d/again ] || touch /alive; touch /d/again /alive; sleep 1000"
    volume: dict[str, Any] = {"volumes": [{"name": "d", "emptyDir": {}}]}
    await node.run(
        "web", {"command": ["sh", "-c", command], "livenessProbe": probe, "volumeMounts": [{"name": "d", "mountPath": "/d"}]}, **volume
    )
    await node.ready()
    await node.exec("rm", "/alive")
    await eventually(lambda: node.status().restartCount == 1 and node.status().state.running)
    assert any("failed liveness probe, will be restarted" in message for message in node.events("Killing"))


async def test_a_container_that_its_probe_keeps_killing_backs_off(node: Node) -> None:
    probe = {"exec": {"command": ["false"]}, "periodSeconds": 1, "failureThreshold": 1}
    await node.run("web", {"command": ["sleep", "1000"], "livenessProbe": probe})

    def waiting() -> str:
        state = node.status().state.waiting
        assert state is not None
        assert (state.reason, node.status().restartCount) == ("CrashLoopBackOff", 2)
        return state.message

    assert (await eventually(waiting)).startswith("back-off 10s restarting failed container=main pod=web_default(")


async def test_startup_holds_the_others_back(node: Node) -> None:
    startup = {"exec": {"command": ["test", "-e", "/up"]}, "periodSeconds": 1, "failureThreshold": 60}
    liveness = {"tcpSocket": {"port": 8080}, "periodSeconds": 1, "failureThreshold": 1}
    command = "while [ ! -e /go ]; do sleep 0.1; done; touch /up; exec httpd -f -p 8080"
    await node.run("web", {"command": ["sh", "-c", command], "startupProbe": startup, "livenessProbe": liveness})
    await eventually(lambda: node.status().state.running)
    assert node.status().started is False
    await node.exec("touch", "/go")
    await eventually(lambda: node.status().started and node.status().ready)
    assert node.status().restartCount == 0
