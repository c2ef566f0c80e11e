"""The kubelet's server over TLS, in front of real containers."""

from __future__ import annotations

import asyncio
import contextlib
import json
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiohttp
import pytest

from tests.e2e.node.caller import Caller
from tests.e2e.node.cluster import Node
from tiphys.node.serve.unread_stdin import pipes_of
from tiphys.testing.eventually import eventually


async def test_callers_are_authenticated_and_authorized(served: tuple[Node, Caller], tmp_path: Path) -> None:
    _, caller = served
    assert await caller.get("/healthz") == (200, "ok")
    port = int(caller.base.rpartition(":")[2])
    for name, status in (("", 401), ("node", 403), ("scheduler", 403), ("admin", 200)):
        other = Caller(tmp_path / "pki", port, name)
        assert (await other.get("/pods"))[0] == status
        assert (await other.get("/healthz"))[0] == status
        await other.session.close()
    for path in ("/nothing", "/checkpoint/a/b/c", "/stats", "/configz/x"):
        assert (await caller.get(path))[0] == 404
    async with caller.session.post(caller.base + "/pods", ssl=caller.context) as response:
        assert response.status == 405
    status, text = await caller.get("/configz")
    assert (status, json.loads(text)["kubeletconfig"]["kind"]) == (200, "KubeletConfiguration")
    status, text = await caller.get("/logs/")
    assert (status, "<pre>" in text) == (200, True)
    assert await caller.get("/healthz/syncloop") == (200, "ok")


async def test_logs(served: tuple[Node, Caller]) -> None:
    node, caller = served
    await node.run("web", {"command": ["sh", "-c", "echo one; echo two; echo three; sleep 1000"]})
    await node.ready()
    await eventually(lambda: node.log().endswith("three\n"))
    path = "/containerLogs/default/web/main"
    assert await caller.get(path) == (200, "one\ntwo\nthree\n")
    assert await caller.get(f"{path}?tailLines=1") == (200, "three\n")
    assert await caller.get(f"{path}?limitBytes=5") == (200, "one\nt")
    status, text = await caller.get(f"{path}?timestamps=true&tailLines=1")
    assert text.split(" ")[1] == "three\n"
    assert (await caller.get(f"{path}?previous=true")) == (400, 'previous terminated container "main" in pod "web" not found\n')
    assert (await caller.get(f"{path}?sinceTime=today")) == (400, '{"message": "Unable to decode query."}\n')
    assert (await caller.get(f"{path}?stream=stdout")) == (422, '{"message": "Invalid request."}\n')
    assert (await caller.get("/containerLogs/default/web/none"))[0] == 404
    assert (await caller.get("/containerLogs/default/none/main"))[0] == 404
    assert status == 200


async def test_logs_of_the_life_before_and_following_to_the_end(served: tuple[Node, Caller]) -> None:
    node, caller = served
    script = "echo life; [ -e /d/again ] && sleep 1000; touch /d/again; exit 1"
    volume: dict[str, Any] = {"volumes": [{"name": "d", "emptyDir": {}}]}
    await node.run("web", {"command": ["sh", "-c", script], "volumeMounts": [{"name": "d", "mountPath": "/d"}]}, **volume)
    await eventually(lambda: node.status().restartCount == 1 and node.status().state.running)
    assert await caller.get("/containerLogs/default/web/main?previous=true") == (200, "life\n")
    await node.run("once", {"command": ["sh", "-c", "for i in 1 2 3; do echo $i; sleep 0.3; done"]}, restartPolicy="Never")
    await eventually(lambda: node.status(pod="once").state.running)
    assert await caller.get("/containerLogs/default/once/main?follow=true") == (200, "1\n2\n3\n")
    await node.run("never", {"image": "tiphys.local/none:1", "imagePullPolicy": "Never"})

    def waits_for_its_image() -> bool:
        waiting = node.status(pod="never").state.waiting
        return waiting is not None and waiting.reason == "ErrImageNeverPull"

    await eventually(waits_for_its_image)
    status, text = await caller.get("/containerLogs/default/never/main")
    assert (status, text) == (400, 'container "main" in pod "never" is waiting to start: ErrImageNeverPull\n')


async def test_exec_over_a_websocket(served: tuple[Node, Caller]) -> None:
    node, caller = served
    await node.run()
    await node.ready()
    url = f"{caller.base}/exec/default/web/main?command=sh&command=-c&command=echo%20out;echo%20err%3E%262;exit%203&output=1&error=1"
    said: dict[int, bytes] = {}
    async with caller.session.ws_connect(url, ssl=caller.context, protocols=("v5.channel.k8s.io",)) as socket:
        async for message in socket:
            said[message.data[0]] = said.get(message.data[0], b"") + message.data[1:]
    assert (said[1], said[2]) == (b"out\n", b"err\n")
    assert json.loads(said[3])["details"]["causes"][0]["message"] == "3"


@pytest.mark.parametrize("tty", [False, True], ids=["pipes", "terminal"])
async def test_exec_ends_though_its_input_is_unread(served: tuple[Node, Caller], tty: bool) -> None:
    node, caller = served
    await node.run()
    await node.ready()
    # Without "-echo" the terminal would answer the input.
    script = ("stty raw -echo; " if tty else "") + "echo up; head -c 7 >/dev/null; seq 20000; exit 4"
    flags = {"command": script, "input": "1", "output": "1", **({"tty": "1"} if tty else {"error": "1"})}
    url = f"{caller.base}/exec/default/web/main?command=sh&command=-c&{urlencode(flags)}"
    ident = node.status().containerID.rpartition("/")[2]
    said: dict[int, bytes] = {}

    async def write(socket: aiohttp.ClientWebSocketResponse) -> None:
        with contextlib.suppress(ConnectionError):
            for _ in range(64):
                await socket.send_bytes(bytes(1) + bytes(1 << 15))

    async with caller.session.ws_connect(url, ssl=caller.context, protocols=("v5.channel.k8s.io",)) as socket, asyncio.TaskGroup() as group:
        writer: asyncio.Task[None] | None = None
        async for message in socket:
            said[message.data[0]] = said.get(message.data[0], b"") + message.data[1:]
            if writer is None and b"up" in said.get(1, b""):
                writer = group.create_task(write(socket))
    assert said[1] == b"up\n" + b"".join(b"%d\n" % line for line in range(1, 20001))
    assert json.loads(said[3])["details"]["causes"][0]["message"] == "4"
    pipes = pipes_of(node.machine.supervisor.state, ident)
    await eventually(lambda: [path.name for path in pipes.glob("*/*") if not path.name.startswith(ident)] == [])


async def attached(caller: Caller, pod: str, **flags: str) -> dict[int, bytes]:
    """Return the output for a client that ends its input at once, by channel."""
    said: dict[int, bytes] = {}
    url = f"{caller.base}/attach/default/{pod}/main?{urlencode({'input': '1', 'output': '1', **flags})}"
    async with caller.session.ws_connect(url, ssl=caller.context, protocols=("v5.channel.k8s.io",)) as socket:
        await socket.send_bytes(b"\xff\x00")
        async for message in socket:
            said[message.data[0]] = said.get(message.data[0], b"") + message.data[1:]
    return said


OUTPUT = [
    pytest.param("echo one; echo two", id="ended"),
    pytest.param("echo one; while [ ! -e /d/go ]; do sleep 0.05; done; echo two", id="begun before the end"),
]


@pytest.mark.parametrize("tty", [False, True], ids=["pipes", "terminal"])
@pytest.mark.parametrize("script", OUTPUT)
async def test_attach_to_a_short_life_gives_its_output_once(served: tuple[Node, Caller], script: str, tty: bool) -> None:
    node, caller = served
    main = {"command": ["sh", "-c", f"{script}; exit 3"], "stdin": True, "stdinOnce": True, "tty": tty}
    mounts = {"volumeMounts": [{"name": "d", "mountPath": "/d"}]}
    await node.run("web", {**main, **mounts}, restartPolicy="Never", volumes=[{"name": "d", "emptyDir": {}}])
    if "go" not in script:
        await node.phase("Failed")
        said = await attached(caller, "web")
    else:
        await node.ready()
        session = asyncio.create_task(attached(caller, "web"))
        assert (await caller.get("/healthz"))[0] == 200
        uid = node.pod().metadata.uid
        (node.settings.root / "pods" / uid / "volumes" / "kubernetes.io~empty-dir" / "d" / "go").touch()
        said = await session
    assert said[1] == b"one\ntwo\n"
    assert json.loads(said[3])["status"] == "Success"


async def test_attach_goes_on_where_the_log_was_read_to(served: tuple[Node, Caller]) -> None:
    node, caller = served
    await node.run("web", {"command": ["sh", "-c", "echo one; echo two"], "stdin": True}, restartPolicy="Never")
    await node.phase("Succeeded")
    assert await caller.get("/containerLogs/default/web/main") == (200, "one\ntwo\n")
    said = await attached(caller, "web", error="1")
    assert (said[1], json.loads(said[3])["status"]) == (b"", "Success")
    url = f"{caller.base}/attach/default/web/main?output=1"
    with pytest.raises(aiohttp.WSServerHandshakeError):
        await caller.session.ws_connect(url, ssl=caller.context, protocols=("v5.channel.k8s.io",))


async def test_port_forward_reaches_the_pod(served: tuple[Node, Caller]) -> None:
    node, caller = served
    await node.run("web", {"command": ["sh", "-c", "mkdir /w; echo page > /w/index.html; exec httpd -f -p 8080 -h /w"]})
    await node.ready()
    url = f"{caller.base}/portForward/default/web?port=8080"
    page = b""
    async with caller.session.ws_connect(url, ssl=caller.context, protocols=("v4.channel.k8s.io",)) as socket:
        await socket.send_bytes(b"\x00GET /index.html HTTP/1.0\r\n\r\n")
        async for message in socket:
            if message.data[0] == 0:
                page += message.data[1:]
            if page.endswith(b"page\n"):
                break
    assert b"200 OK" in page


async def test_stats_and_metrics_of_a_pod(served: tuple[Node, Caller]) -> None:
    node, caller = served
    await node.run("web", {"command": ["sh", "-c", "x=1; while [ $x -lt 100000 ]; do x=$((x+1)); done; sleep 1000"]})
    await node.ready()

    async def measured() -> bool:
        status, text = await caller.get("/metrics/resource")
        assert status == 200
        samples = [line for line in text.splitlines() if line.startswith('container_cpu_usage_seconds_total{container="main"')]
        return bool(samples) and float(samples[0].rpartition(" ")[2]) > 0

    await eventually(measured)
    status, text = await caller.get("/stats/summary")
    assert status == 200
    assert [pod["podRef"]["name"] for pod in json.loads(text)["pods"]] == ["web"]
    assert "kubelet_running_pods 1" in (await caller.get("/metrics"))[1]
    for path in ("/pods", "/runningpods/"):
        pods = json.loads((await caller.get(path))[1])
        assert [pod["metadata"]["name"] for pod in pods["items"]] == ["web"]
        assert [one["name"] for one in pods["items"][0]["spec"]["containers"]] == ["main"]


async def test_containers_are_measured_while_others_come_and_go(served: tuple[Node, Caller]) -> None:
    node, caller = served
    await node.run("web")
    await node.ready()

    async def scrape() -> str:
        status, text = await caller.get("/metrics/cadvisor")
        assert status == 200
        return text

    await node.run("once", {"command": ["true"]}, restartPolicy="Never")

    async def once_has_ended() -> bool:
        await scrape()  # Also while its sandbox is made and removed.
        return node.pod("once").status.phase == "Succeeded"

    await eventually(once_has_ended)

    async def complete() -> bool:
        text = await scrape()  # The runtime's part, the writable layer, is there from the second scrape on.
        received = 'container_network_receive_bytes_total{container="",'
        return 'container_fs_usage_bytes{container="main"' in text and received in text

    await eventually(complete)
    series = [line for line in (await scrape()).splitlines() if line.startswith('container_memory_rss{container="main"')]
    assert len(series) == 1
    assert 'pod="web"' in series[0]
    assert float(series[0].rpartition(" ")[2]) > 0
