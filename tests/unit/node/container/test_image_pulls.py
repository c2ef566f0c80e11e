"""Credentials of registries, and the policy by which images are pulled."""

from __future__ import annotations

import base64
import json

import pytest

from tiphys.api.core import v1 as core
from tiphys.node.container.image_pulls import credentials, pull_policy, registry_of


def secret(server: str, user: str = "u", password: str = "p") -> core.Secret:
    auth = base64.b64encode(f"{user}:{password}".encode()).decode()
    body = json.dumps({"auths": {server: {"auth": auth}}}).encode()
    return core.Secret(type="kubernetes.io/dockerconfigjson", data={".dockerconfigjson": body})


@pytest.mark.parametrize(
    ("image", "server", "fits"),
    [
        ("nginx", "https://index.docker.io/v1/", True),
        ("library/nginx:1", "docker.io", True),
        ("quay.io/a/b", "quay.io", True),
        ("quay.io/a/b", "quay.io/a", True),
        ("quay.io/a/b", "quay.io/c", False),
        ("quay.io/a/b", "docker.io", False),
        ("reg.example.com:5000/x", "reg.example.com:5000", True),
        ("a.example.com/x", "*.example.com", True),
        ("a.b.example.com/x", "*.example.com", False),
    ],
)
def test_credentials_fit_the_registry(image: str, server: str, fits: bool) -> None:
    found = credentials(image, [secret(server)])
    assert [(auth.username, auth.password) for auth in found] == ([("u", "p")] if fits else [])


def test_the_most_specific_credentials_come_first() -> None:
    found = credentials("quay.io/a/b", [secret("quay.io", "all"), secret("quay.io/a", "one")])
    assert [auth.username for auth in found] == ["one", "all"]
    assert credentials("x", [core.Secret(data={".dockerconfigjson": b"nonsense"})]) == []


def test_pull_policy_defaults() -> None:
    def policy(image: str) -> str:
        return pull_policy(core.Container(name="a", image=image))

    assert policy("nginx") == "Always"
    assert policy("nginx:latest") == "Always"
    assert policy("nginx:1") == "IfNotPresent"
    assert policy("host:5000/nginx") == "Always"
    assert policy("nginx@sha256:abc") == "IfNotPresent"
    assert registry_of("localhost/x") == "localhost"
