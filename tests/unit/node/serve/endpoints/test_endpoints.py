"""Endpoints of the kubelet's server apart from pods' containers: health, configuration, pods, the machine's logs."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.unit.node.make import box, observed, pod, seen
from tiphys.aio.clock import LoopClock
from tiphys.aio.tasks import cancel_and_wait
from tiphys.node.eviction.thresholds import DEFAULT_HARD
from tiphys.node.serve.endpoints import health, system_logs
from tiphys.node.serve.endpoints.configz import configuration
from tiphys.node.serve.endpoints.health import HealthServer
from tiphys.node.serve.endpoints.refusal import Refusal
from tiphys.node.serve.endpoints.running_pods import pod_list, running_pods
from tiphys.node.settings import NodeSettings
from tiphys.testing.eventually import eventually
from tiphys.wire.http import Request

# -- health


def test_health_pages() -> None:
    fault = ""
    checks = {"ping": lambda: "", "syncloop": lambda: fault}

    def page(*rest: str, query: list[tuple[str, str]] | None = None) -> tuple[int, str]:
        response = health.answer(checks, list(rest), Request("GET", "/healthz", query or []))
        return response.status, response.body.decode()

    assert page() == (200, "ok")
    assert page("syncloop") == (200, "ok")
    assert page(query=[("verbose", "")]) == (200, "[+]ping ok\n[+]syncloop ok\nhealthz check passed\n")
    fault = "stuck"
    assert page() == (500, "[+]ping ok\n[-]syncloop failed: reason withheld\nhealthz check failed\n")
    assert page("syncloop") == (500, "internal server error: stuck\n")
    assert page("ping") == (200, "ok")
    assert page(query=[("exclude", "syncloop")]) == (200, "ok")
    with pytest.raises(Refusal, match="404 page not found"):
        page("other")


async def test_the_plain_page_waits_for_its_port() -> None:
    server = HealthServer({"ping": lambda: ""}, LoopClock())
    health_task = None
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        port = holder.getsockname()[1]
        holder.listen()
        health_task = asyncio.create_task(server.run("127.0.0.1", port))
        await asyncio.sleep(0)
        assert not server.listening.is_set()
    await cancel_and_wait(health_task)
    health_task = asyncio.create_task(server.run("127.0.0.1", port))
    await eventually(server.listening.is_set)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /healthz/ping HTTP/1.1\r\nHost: h\r\n\r\nGET /pods HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
    got = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    assert got.startswith(b"HTTP/1.1 200 OK")
    assert b"\r\n\r\nok" in got
    assert b"HTTP/1.1 404 Not Found" in got
    await cancel_and_wait(health_task)


# -- configuration


def test_the_configuration_in_force() -> None:
    settings = NodeSettings(
        name="n1", root=Path("/r"), port=1, healthz_port=2, max_pods=7, taints=("a=b:NoSchedule", "c:NoExecute"), pod_max_pids=99
    )
    shown = configuration(settings)["kubeletconfig"]
    assert (shown["kind"], shown["apiVersion"]) == ("KubeletConfiguration", "kubelet.config.k8s.io/v1beta1")
    assert (shown["port"], shown["healthzPort"], shown["maxPods"], shown["podPidsLimit"]) == (1, 2, 7, 99)
    assert shown["registerWithTaints"] == [{"key": "a", "value": "b", "effect": "NoSchedule"}, {"key": "c", "effect": "NoExecute"}]
    assert shown["authentication"]["anonymous"] == {"enabled": False}
    assert shown["authorization"]["webhook"] == {"cacheAuthorizedTTL": "5m0s", "cacheUnauthorizedTTL": "30s"}
    assert shown["evictionHard"] == DEFAULT_HARD


# -- pods


def test_lists_of_pods() -> None:
    listed = pod_list([pod()])
    assert (listed["kind"], listed["apiVersion"]) == ("PodList", "v1")
    assert listed["items"][0]["metadata"]["name"] == "web"
    assert listed["items"][0].keys() == {"metadata", "spec", "status"}
    assert pod_list([])["items"] == []


def test_running_pods_are_those_of_the_runtime() -> None:
    of = pod({"name": "main"}, {"name": "done"})
    what = observed(seen(of, "main"), seen(of, "done", "exited"))
    gone = observed(seen(of, "main", "exited"), boxes=(box(ready=False),))
    (item,) = running_pods([what, gone])["items"]
    assert item["metadata"] == {"name": "web", "namespace": "default", "uid": "u1"}
    assert item["spec"] == {"containers": [{"name": "main", "image": "img:1", "resources": {}}]}


# -- the machine's logs


@pytest.fixture
def root(tmp_path: Path) -> Path:
    made = tmp_path / "log"
    (made / "apt").mkdir(parents=True)
    (made / "apt" / "history.log").write_text("one\n")
    (made / "syslog").write_bytes(b"x" * 300_000)
    (made / "wtmp").write_bytes(b"\0\1")
    (made / "old.log.gz").write_bytes(b"\x1f\x8b")
    (made / "<b>").write_text("")
    (made / os.fsdecode(b"latin\xff")).write_text("")
    os.mkfifo(made / "pipe")
    (tmp_path / "secret").write_text("secret")
    (made / "inside").symlink_to("apt/history.log")
    (made / "out").symlink_to("../secret")
    (made / "absolute").symlink_to(tmp_path / "secret")
    (made / "folder").symlink_to("..")
    return made


async def get(root: Path, path: str) -> tuple[int, dict[str, str], bytes]:
    head, *rest = path.strip("/").split("/")
    assert head == "logs"
    response = await system_logs.answer(root, Request("GET", path), rest)
    body = response.body
    if response.stream is not None:
        stream: Any = response.stream
        body = b"".join([part async for part in stream])
        await stream.aclose()
    return response.status, response.headers, body


async def test_files_and_folders_of_the_log_directory(root: Path) -> None:
    assert await get(root, "/logs/apt/history.log") == (200, {"content-type": "text/plain; charset=utf-8"}, b"one\n")
    assert (await get(root, "/logs/inside"))[2] == b"one\n"
    assert (await get(root, "/logs/syslog"))[2] == b"x" * 300_000
    assert (await get(root, "/logs/wtmp"))[1] == {"content-type": "application/octet-stream"}
    assert (await get(root, "/logs/old.log.gz"))[1] == {"content-type": "application/gzip"}
    status, _, listing = await get(root, "/logs/")
    assert status == 200
    assert b'<a href="./apt/">apt/</a>\n' in listing
    assert b'<a href="./%3Cb%3E">&lt;b&gt;</a>\n' in listing
    assert b'<a href="./latin%FF">latin\xff</a>\n' in listing
    assert b'<a href="./folder">folder</a>\n' in listing
    assert (await get(root, "/logs"))[:2] == (301, {"location": "./logs/"})
    assert (await get(root, "/logs/apt"))[:2] == (301, {"location": "./apt/"})
    assert (await get(root, "/logs/syslog/"))[:2] == (301, {"location": "../syslog"})


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/logs/none", 404),
        ("/logs/out", 404),
        ("/logs/absolute", 404),
        ("/logs/folder/secret", 404),
        ("/logs/folder/", 404),
        ("/logs/syslog/below", 404),
        ("/logs/apt/../../secret", 400),
        ("/logs/../secret", 400),
        ("/logs/a\0b", 404),
        ("/logs/" + "x" * 300, 404),
        ("/logs/pipe", 403),
    ],
)
async def test_nothing_else_is_read(root: Path, path: str, status: int) -> None:
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(Refusal) as refusal:
        await get(root, path)
    assert refusal.value.status == status
    assert len(os.listdir("/proc/self/fd")) == before


async def test_a_file_that_nobody_reads_is_closed(root: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    stream: Any = (await system_logs.answer(root, Request("GET", "/logs/syslog"), ["syslog"])).stream
    await stream.aclose()
    assert len(os.listdir("/proc/self/fd")) == before


def test_documents_are_json() -> None:
    json.loads(msgspec.json.encode(configuration(NodeSettings(name="n", root=Path("/r")))))
