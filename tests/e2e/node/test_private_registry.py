"""Images of a registry that asks for a login: pull secrets, logins of the node and of programs, and images that are there already."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.e2e.node.cluster import Node
from tests.e2e.node.registry import Registry
from tests.e2e.node.test_volumes import SLEEP
from tests.e2e.runtime.machine import Machine
from tiphys.api.core import v1 as core
from tiphys.testing.eventually import eventually

LOGIN = "team:pass"


@pytest.fixture
async def registry(node_machine: Machine, tmp_path: Path) -> AsyncIterator[Registry]:
    async with Registry.running(node_machine, tmp_path, LOGIN, "other:pass") as running:
        yield running


def config(registry: Registry, login: str = LOGIN) -> bytes:
    user, _, password = login.partition(":")
    return json.dumps({"auths": {f"localhost:{registry.port}": {"username": user, "password": password}}}).encode()


def pull_secret(node: Node, registry: Registry, name: str, login: str = LOGIN) -> None:
    made = core.Secret(type="kubernetes.io/dockerconfigjson", data={".dockerconfigjson": config(registry, login)})
    made.metadata.name, made.metadata.namespace = name, "default"
    node.api.add(made)


async def run(node: Node, pod: str, image: str, *secrets: str, policy: str = "IfNotPresent") -> None:
    container = {"image": image, "imagePullPolicy": policy, "command": SLEEP}
    await node.run(pod, container, imagePullSecrets=[{"name": name} for name in secrets])


async def refused(node: Node, pod: str) -> str:
    """The message of a container whose image is not had."""

    async def message() -> str:
        waiting = node.status(pod=pod).state.waiting
        assert waiting is not None
        assert waiting.reason in ("ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull")
        return waiting.message

    return await eventually(message)


async def test_an_image_opens_only_for_those_who_can_log_in(node: Node, registry: Registry) -> None:
    image = registry.image()
    pull_secret(node, registry, "good")
    pull_secret(node, registry, "equal")
    pull_secret(node, registry, "bad", "team:wrong")
    await run(node, "first", image, "good")
    await node.ready("first")
    before = len(registry.asked)
    await run(node, "same", image, "good")
    await run(node, "equal", image, "equal")
    for pod in ("same", "equal"):
        await node.ready(pod)
    assert len(registry.asked) == before, "those with the login do not ask the registry again"
    await run(node, "none", image)
    await run(node, "never", image, policy="Never")
    await run(node, "bad", image, "bad")
    assert "without credentials: neither the pod's imagePullSecrets nor the node has any for it" in await refused(node, "none")
    assert "is not present with pull policy of Never" in await refused(node, "never")
    told = await refused(node, "bad")
    assert f'tried localhost:{registry.port} with the credentials of Secret "default/bad"; next try at ' in told
    await node.kill()
    await node.start()
    after = registry.asked.count(LOGIN)
    await run(node, "later", image, "good")
    await node.ready("later")
    assert registry.asked.count(LOGIN) == after, "a new kubelet remembers"


async def test_the_login_of_the_node_opens_an_image_for_all(node: Node, registry: Registry) -> None:
    (node.settings.root / "config.json").write_bytes(config(registry))
    await run(node, "one", registry.image())
    await node.ready("one")
    assert LOGIN in registry.asked
    (node.settings.root / "config.json").unlink()
    await run(node, "two", registry.image())
    await node.ready("two")


async def test_a_credential_provider_supplies_the_login(node_machine: Machine, registry: Registry, tmp_path: Path) -> None:
    programs, configuration = tmp_path / "bin", tmp_path / "providers.yaml"
    programs.mkdir()
    version = "credentialprovider.kubelet.k8s.io/v1"
    answer = {
        "apiVersion": version,
        "kind": "CredentialProviderResponse",
        "cacheKeyType": "Registry",
        "auth": {f"localhost:{registry.port}": {"username": "other", "password": "pass"}},
    }
    (programs / "login").write_text(f"#!/bin/sh\ncat > /dev/null\necho '{json.dumps(answer)}'\n")
    (programs / "login").chmod(0o755)
    provider = {"name": "login", "matchImages": [f"localhost:{registry.port}"], "defaultCacheDuration": "1m", "apiVersion": version}
    kind = {"apiVersion": "kubelet.config.k8s.io/v1", "kind": "CredentialProviderConfig"}
    configuration.write_text(json.dumps({**kind, "providers": [provider]}))
    options = {"credential_provider_config": configuration, "credential_provider_directory": programs}
    async with Node.running(node_machine, tmp_path / "n", **options) as node:
        await run(node, "one", registry.image())
        await node.ready("one")
    assert set(registry.asked) <= {"", "other:pass"}
