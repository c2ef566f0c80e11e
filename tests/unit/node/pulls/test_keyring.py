"""Logins for registries: the forms of Docker's configuration, and which entries fit an image."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiphys.api.core import v1 as core
from tiphys.node.pulls.keyring import Credential, lookup, matches, of_secrets, read_config


def basic(user: str, password: str) -> str:
    return base64.b64encode(f"{user}:{password}".encode()).decode()


def secret(*servers: str, name: str = "s", password: str = "p") -> core.Secret:
    body = json.dumps({"auths": {server: {"username": server, "password": password} for server in servers}}).encode()
    made = core.Secret(type="kubernetes.io/dockerconfigjson", data={".dockerconfigjson": body})
    made.metadata.name, made.metadata.namespace, made.metadata.uid = name, "default", f"uid-{name}"
    return made


@pytest.mark.parametrize(
    ("image", "server", "fits"),
    [
        ("nginx", "https://index.docker.io/v1/", True),
        ("nginx", "index.docker.io", True),
        ("library/nginx:1", "docker.io", True),
        ("nginx", "docker.io/library", True),
        ("quay.io/a/b", "quay.io", True),
        ("quay.io/a/b", "https://quay.io/v2/", True),
        ("quay.io/a/b", "quay.io/a", True),
        ("quay.io/a/b", "quay.io/c", False),
        ("quay.io/a/b", "docker.io", False),
        ("quay.io/a/b", "index.docker.io", False),
        ("reg.example.com:5000/x", "reg.example.com:5000", True),
        ("reg.example.com:5000/x", "reg.example.com", False),
        ("a.example.com/x", "*.example.com", True),
        ("app1.example.com/x", "app*.example.com", True),
        ("a.b.example.com/x", "*.example.com", False),
        ("localhost/x@sha256:" + "a" * 64, "localhost", True),
    ],
)
def test_entries_fit_registries(image: str, server: str, fits: bool) -> None:
    assert [one.username for one in lookup(image, of_secrets([secret(server)]))] == ([server] if fits else [])


def test_the_most_specific_entry_of_each_source_comes_first() -> None:
    sources = of_secrets([secret("quay.io", "quay.io/a", name="one"), secret("quay.io/a/b", name="two")])
    assert [one.username for one in lookup("quay.io/a/b:1", sources)] == ["quay.io/a", "quay.io", "quay.io/a/b"]


def test_a_login_remembers_its_secret_and_equal_logins_have_one_hash() -> None:
    one, two = (lookup("quay.io/x", of_secrets([secret("quay.io", name=name)]))[0] for name in ("a", "b"))
    assert one.source == 'Secret "default/a"'
    assert one.digest == two.digest
    other = lookup("quay.io/x", of_secrets([secret("quay.io", name="a", password="q")]))[0]
    assert other.digest != one.digest


@pytest.mark.parametrize(
    "document",
    [
        {"auths": {"r.test": {"username": "u", "password": "p"}}},
        {"auths": {"r.test": {"auth": basic("u", "p")}}},
        {"auths": {"r.test": {"auth": basic("u", "p").rstrip("=")}}},
        {"r.test": {"auth": basic("u", "p"), "email": "e@example.test"}},
        {"auths": {"r.test": {"username": "ignored", "auth": basic("u", "p")}}, "HttpHeaders": {"a": "b"}},
    ],
)
def test_every_form_of_a_configuration_is_read(document: dict[str, object]) -> None:
    assert read_config(json.dumps(document).encode(), "x") == {"r.test": Credential(username="u", password="p", place="x")}


def test_an_old_secret_has_no_auths_around_its_entries() -> None:
    old = core.Secret(type="kubernetes.io/dockercfg", data={".dockercfg": json.dumps({"r.test": {"auth": basic("u", "p")}}).encode()})
    assert [one.username for one in lookup("r.test/x", of_secrets([old]))] == ["u"]


def test_tokens_are_kept() -> None:
    entry = read_config(b'{"auths":{"r.test":{"identitytoken":"i","registrytoken":"r"}}}')["r.test"]
    assert (entry.identity_token, entry.registry_token) == ("i", "r")


@pytest.mark.parametrize("data", [b"", b"nonsense", b"[]", b'{"auths":[]}', b'{"auths":{"r":1}}', b'{"auths":{"r":{"auth":"%%"}}}'])
def test_content_that_cannot_be_read_holds_no_login(data: bytes) -> None:
    assert read_config(data) == {}
    assert of_secrets([core.Secret(type="kubernetes.io/dockerconfigjson", data={".dockerconfigjson": data})]) == [{}]


@given(st.binary(max_size=60))
def test_no_content_breaks_the_reader(data: bytes) -> None:
    assert isinstance(read_config(data), dict)


def test_patterns_are_compared_by_label_port_and_beginning_of_the_path() -> None:
    assert matches("*.*.registry.test", "a.b.registry.test/x")
    assert not matches("*.registry.test", "registry.test/x")
    assert matches("registry.test:8080/path", "registry.test:8080/path/more")
    assert not matches("registry.test:8080/path", "registry.test/path")
