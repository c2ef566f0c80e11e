"""Every image does what it is for, in real containers."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from pathlib import Path

import pytest

from tests.e2e.runtime.conftest import RunPod
from tests.e2e.runtime.machine import CACHE, Machine, Pod
from tiphys.images.build import ensure_images
from tiphys.images.puller import ImagePuller
from tiphys.images.recipe import full_name, recipes
from tiphys.node.cri.client import CriClient
from tiphys.node.cri.errors import CriError, NotFound
from tiphys.node.cri.pb import api_pb2 as pb
from tiphys.testing.eventually import eventually


async def have(machine: Machine, *names: str) -> None:
    await ensure_images(names, cache_dir=CACHE, containerd_socket=machine.supervisor.socket_path)


async def fetch(pod: Pod, container: str, url: str) -> str:
    """Fetch a URL inside the pod; an AssertionError while it does not."""
    return await pod.output(container, ["wget", "-q", "-S", "-O", "-", url])


async def test_a_second_import_is_only_a_question(machine: Machine) -> None:
    await have(machine, "busybox")
    (again,) = await ensure_images(["tiphys.local/busybox:1"], cache_dir=CACHE, containerd_socket=machine.supervisor.socket_path)
    assert again.action == "present"


async def test_an_image_removed_from_containerd_is_imported_again(machine: Machine, cri: CriClient) -> None:
    await have(machine, "site")
    await cri.remove_image("tiphys.local/site:1")
    assert await cri.image_status("tiphys.local/site:1") is None
    (again,) = await ensure_images(["site"], cache_dir=CACHE, containerd_socket=machine.supervisor.socket_path)
    assert again.action == "imported"
    held = await cri.image_status("tiphys.local/site:1")
    assert held is not None
    assert held.id == again.image_id


async def test_an_unknown_image_is_refused_before_any_work(machine: Machine) -> None:
    with pytest.raises(KeyError, match="no recipe"):
        await have(machine, "absent")


@pytest.mark.parametrize("name", sorted(set(recipes()) - {"pause"}))
async def test_every_image_has_a_shell_users_and_a_sticky_tmp(machine: Machine, run_pod: RunPod, name: str) -> None:
    await have(machine, name)
    pod = await run_pod(f"image-{name}")
    container = await pod.start("main", image=full_name(name), command=["/bin/sh", "-c", "sleep 1000"])
    assert (await pod.output(container, ["stat", "-c", "%a", "/tmp"])).strip() == "1777"
    assert (await pod.output(container, ["id", "-u", "nobody"])).strip() == "65534"


async def test_nginx_stands_before_the_web_application(machine: Machine, run_pod: RunPod, tmp_path: Path, cri: CriClient) -> None:
    await have(machine, "web", "nginx")
    (tmp_path / "default.conf").write_text("server { listen 80; location / { proxy_pass http://127.0.0.1:8000; } }")
    pod = await run_pod("front")
    web = await pod.start("web", image="tiphys.local/web:1", env={"POD_NAME": "pod-a", "NODE_NAME": "node-1"})
    nginx = await pod.start("nginx", image="tiphys.local/nginx:1", mounts={"/etc/nginx/conf.d": tmp_path})

    async def answered() -> str:
        return await fetch(pod, nginx, "http://127.0.0.1:80/")

    assert "Hello from pod pod-a on node node-1" in await eventually(answered)
    assert "ok" in await fetch(pod, nginx, "http://127.0.0.1:80/healthz")
    await eventually(lambda: '"GET / HTTP/1.1" 200' in pod.log("nginx"))
    for container in (web, nginx):
        await cri.stop_container(container, grace=20)
        # Both end when asked to, not when the grace period is over.
        assert (await pod.exited(container)).exit_code in (0, 143)


async def test_a_commit_is_published(machine: Machine, run_pod: RunPod, tmp_path: Path) -> None:
    await have(machine, "git", "site")
    repository, site = tmp_path / "repository", tmp_path / "site"
    repository.mkdir()
    site.mkdir()
    pod = await run_pod("site")
    author = await pod.start("author", image="tiphys.local/git:1", command=["sleep", "1000"], mounts={"/repository": repository})
    first = "cd /repository && git init -q . && echo '# One' >index.md && echo x >style.css && git add . && git commit -qm one"
    await pod.output(author, ["sh", "-c", first])
    mounts = {"/repository": repository, "/site": site}
    env = {"REPOSITORY": "/repository", "INTERVAL": "1"}
    fetcher = await pod.start("fetcher", image="tiphys.local/git:1", env=env, mounts=mounts)
    await pod.start("generator", image="tiphys.local/site:1", mounts={"/site": site})
    page = site / "public" / "current" / "index.html"

    def shows(text: str) -> bool:
        with contextlib.suppress(FileNotFoundError):
            return text in page.read_text()
        return False

    await eventually(lambda: shows("<h1>One</h1>"))
    assert "<title>One</title>" in page.read_text()
    assert (page.parent / "style.css").read_text() == "x\n"
    await pod.output(author, ["sh", "-c", "cd /repository && echo '# Two' >index.md && git commit -qam two"])
    await eventually(lambda: shows("<h1>Two</h1>"))
    assert "cloned" in pod.log("fetcher")
    assert (await pod.output(fetcher, ["git", "-C", "/site/source", "log", "--format=%s", "-1"])).strip() == "two"


async def test_records_reach_the_shipper_through_the_socket_and_none_is_lost_when_it_restarts(
    machine: Machine, run_pod: RunPod, tmp_path: Path, cri: CriClient
) -> None:
    await have(machine, "scraper", "log-shipper")
    socket, shipped = tmp_path / "socket", tmp_path / "shipped"
    socket.mkdir()
    shipped.mkdir()
    pod = await run_pod("shipper")
    mounts = {"/run/shipper": socket, "/var/log/shipped": shipped}
    target = await pod.start("target", command=["httpd", "-f", "-p", "8080", "-h", "/etc"])
    env = {"TARGETS": "http://127.0.0.1:8080/passwd http://127.0.0.1:1/absent", "INTERVAL": "0.2"}
    await pod.start("scraper", image="tiphys.local/scraper:1", env=env, mounts={"/run/shipper": socket})
    shipper = await pod.start("shipper", image="tiphys.local/log-shipper:1", mounts=mounts)

    def records() -> list[dict[str, object]]:
        with contextlib.suppress(FileNotFoundError):
            return [json.loads(line) for line in (shipped / "records.jsonl").read_text().splitlines()]
        return []

    await eventually(lambda: len(records()) >= 4)
    await cri.stop_container(shipper, grace=10)
    before = len(records())
    await eventually(lambda: "waiting for the shipper" in pod.log("scraper"))
    await pod.start("shipper", image="tiphys.local/log-shipper:1", mounts=mounts, attempt=1)
    await eventually(lambda: len(records()) >= before + 4)
    found = records()
    assert [record["number"] for record in found] == list(range(1, len(found) + 1))
    seen = {(record["target"], record["up"]) for record in found}
    assert ("http://127.0.0.1:8080/passwd", True) in seen
    assert ("http://127.0.0.1:1/absent", False) in seen
    assert ("http://127.0.0.1:1/absent", True) not in seen
    await eventually(lambda: "shipped {" in pod.log("shipper", attempt=1))
    assert (await cri.container_status(target)).status.state == pb.CONTAINER_RUNNING


async def test_no_image_leaves_a_half_made_archive(tmp_path: Path, machine: Machine) -> None:
    """Two builders at once, as two starts of a cluster would be: both get the image, nothing else is left."""
    made = await asyncio.gather(
        *(ensure_images(["pause"], cache_dir=tmp_path, containerd_socket=machine.supervisor.socket_path) for _ in range(2)),
        return_exceptions=True,
    )
    assert [result for result in made if isinstance(result, BaseException)] == []
    assert sorted(os.listdir(tmp_path)) == ["pause.json", "pause.tar"]


async def test_a_pod_that_asks_for_an_image_of_ours_gets_it_built(machine: Machine, cri: CriClient, tmp_path: Path) -> None:
    puller = ImagePuller(cri, cache_dir=tmp_path, containerd_socket=machine.supervisor.socket_path)
    await cri.remove_image("tiphys.local/web:1")
    first, second = await asyncio.gather(puller.pull_image("tiphys.local/web:1"), puller.pull_image("tiphys.local/web:1"))
    assert first == second
    held = await cri.image_status(first)
    assert held is not None
    assert held.repo_tags == ["tiphys.local/web:1"]
    with pytest.raises(NotFound, match=r"no recipe for image 'tiphys\.local/absent:1'"):
        await puller.pull_image("tiphys.local/absent:1")
    with pytest.raises(CriError):
        await puller.pull_image("127.0.0.1:1/nothing/here:1")
