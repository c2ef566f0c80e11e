"""The sources of static pods: a directory and a URL, with mistakes and outages."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from tiphys.aio.clock import LoopClock
from tiphys.aio.tasks import cancel_and_wait
from tiphys.api.core import v1 as core
from tiphys.node.settings import NodeSettings
from tiphys.node.static.manager import StaticPods
from tiphys.testing.eventually import eventually


def manifest(name: str, image: str = "img:1") -> str:
    body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {"containers": [{"name": "main", "image": image}]}}
    return yaml.safe_dump(body)


class Sources:
    """Static pods of a directory, and of a URL if there is one."""

    def __init__(self, directory: Path, **options: Any) -> None:
        self.directory = directory
        self.shown: list[core.Pod] | None = None
        self.complete = False
        self.told: list[str] = []
        settings = NodeSettings(name="n1", root=Path("/nowhere"), **{"static_pod_path": directory, "file_check": 3600.0, **options})
        self.pods = StaticPods(settings, LoopClock(), self._show, lambda reason, message: self.told.append(f"{reason}: {message}"))

    def _show(self, pods: Sequence[core.Pod], complete: bool) -> None:
        self.shown, self.complete = list(pods), complete

    @property
    def names(self) -> list[str] | None:
        return None if self.shown is None else [pod.metadata.name for pod in self.shown]

    def write(self, name: str, content: str) -> Path:
        path = self.directory / name
        path.write_text(content)
        return path


@pytest.fixture
def sources(tmp_path: Path) -> Sources:
    (tmp_path / "manifests").mkdir()
    return Sources(tmp_path / "manifests")


async def test_files_come_change_and_go(sources: Sources) -> None:
    await sources.pods.look_at_files()
    assert (sources.names, sources.complete) == ([], True)
    path = sources.write("web.yaml", manifest("web"))
    sources.write(".hidden.yaml", manifest("hidden"))
    await sources.pods.look_at_files()
    assert sources.names == ["web-n1"]
    assert sources.shown is not None
    before = sources.shown[0].metadata.uid
    sources.write("web.yaml", manifest("web", "img:2"))
    await sources.pods.look_at_files()
    assert sources.shown[0].metadata.uid != before
    path.unlink()
    await sources.pods.look_at_files()
    assert sources.names == []
    assert sources.told == []


async def test_a_mistake_is_reported_once_and_what_was_there_stays(sources: Sources) -> None:
    path = sources.write("web.yaml", manifest("web"))
    sources.write("db.yaml", manifest("db"))
    await sources.pods.look_at_files()
    path.write_text("kind: Pod\napiVersion: v1\n")
    await sources.pods.look_at_files()
    await sources.pods.look_at_files()
    assert sources.names == ["db-n1", "web-n1"]
    assert sources.told == [f"FailedValidation: static pod manifest {path}: metadata.name: name is needed for the pod"]


async def test_pipes_and_directories_are_not_read(sources: Sources) -> None:
    os.mkfifo(sources.directory / "pipe")
    (sources.directory / "sub").mkdir()
    (sources.directory / "dangling").symlink_to("/nowhere/at/all")
    await sources.pods.look_at_files()
    prefix = f"FailedValidation: static pod manifest {sources.directory}"
    assert sources.told == [f"{prefix}/pipe: not a regular file", f"{prefix}/sub: a directory: manifests below it are not read"]


async def test_of_two_pods_of_one_name_the_first_is_run(sources: Sources) -> None:
    first, second = sources.write("a.yaml", manifest("web", "img:1")), sources.write("b.yaml", manifest("web", "img:2"))
    await sources.pods.look_at_files()
    assert sources.shown is not None
    assert [pod.spec.containers[0].image for pod in sources.shown] == ["img:1"]
    message = f"static pod manifest {second}: pod default/web-n1 is ignored: {first} has one of this name"
    assert sources.told == [f"FailedValidation: {message}"]
    first.unlink()
    await sources.pods.look_at_files()
    assert [pod.spec.containers[0].image for pod in sources.shown] == ["img:2"]


async def test_a_single_file_and_a_missing_directory(tmp_path: Path) -> None:
    path = tmp_path / "one.yaml"
    path.write_text(manifest("web"))
    single, missing = Sources(path), Sources(tmp_path / "missing")
    await single.pods.look_at_files()
    assert single.names == ["web-n1"]
    await missing.pods.look_at_files()
    assert (missing.names, missing.complete, missing.told) == ([], True, [])


async def test_the_kernel_reports_changes(sources: Sources, tmp_path: Path) -> None:
    task = asyncio.create_task(sources.pods.run())
    try:
        await eventually(lambda: sources.names == [])
        sources.write("web.yaml", manifest("web"))
        await eventually(lambda: sources.names == ["web-n1"])
        (tmp_path / "elsewhere.yaml").write_text(manifest("db"))
        (sources.directory / "link.yaml").symlink_to(tmp_path / "elsewhere.yaml")
        await eventually(lambda: sources.names == ["db-n1", "web-n1"])
        (sources.directory / "web.yaml").unlink()
        await eventually(lambda: sources.names == ["db-n1"])
    finally:
        await cancel_and_wait(task)


# -- the URL


class Web:
    """A web server on loopback that gives `body` with `status`, and notes the headers of the last request."""

    def __init__(self) -> None:
        self.body, self.status = b"", 200
        self.head = b""
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.head = await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 {self.status} X\r\nContent-Length: {len(self.body)}\r\nConnection: close\r\n\r\n".encode() + self.body)
        await writer.drain()
        writer.close()


@pytest.fixture
async def web() -> AsyncIterator[Web]:
    made = Web()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/pods"
    yield made
    server.close()
    await server.wait_closed()


async def test_pods_of_a_url(web: Web, tmp_path: Path) -> None:
    header = {"X-Token": ("secret", "other")}
    sources = Sources(tmp_path, static_pod_path=None, static_pod_url=web.url, static_pod_url_header=header)
    items = [yaml.safe_load(manifest("web")), yaml.safe_load(manifest("db"))]
    web.body = yaml.safe_dump({"apiVersion": "v1", "kind": "PodList", "items": items}).encode()
    await sources.pods.look_at_url()
    assert (sources.names, sources.complete) == (["web-n1", "db-n1"], True)
    assert b"X-Token: secret\r\nX-Token: other\r\n" in web.head

    web.status = 503
    await sources.pods.look_at_url()
    web.status, web.body = 200, b"{"
    await sources.pods.look_at_url()
    assert sources.names == ["web-n1", "db-n1"]
    assert sources.told[0] == f"FailedValidation: static pod manifest {web.url}: the server answered 503 X"
    assert sources.told[1].startswith(f"FailedValidation: static pod manifest {web.url}: neither YAML nor JSON: ")

    web.body = manifest("one").encode()
    await sources.pods.look_at_url()
    assert sources.names == ["one-n1"]
    web.body = b""
    await sources.pods.look_at_url()
    assert sources.names == []


async def test_a_url_that_never_answered_leaves_the_picture_incomplete(sources: Sources, web: Web) -> None:
    both = Sources(sources.directory, static_pod_url=web.url)
    web.status = 500
    sources.write("web.yaml", manifest("web"))
    await both.pods.look_at_url()
    await both.pods.look_at_files()
    assert (both.names, both.complete) == (["web-n1"], False)
    web.status, web.body = 200, manifest("db").encode()
    await both.pods.look_at_url()
    assert (both.names, both.complete) == (["web-n1", "db-n1"], True)
