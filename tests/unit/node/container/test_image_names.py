"""Names of images."""

from __future__ import annotations

import pytest

from tiphys.node.container.image_names import name_error
from tiphys.node.cri.errors import Failed
from tiphys.node.pulls.puller import pull_failure

DIGEST = f"sha256:{'a' * 64}"


@pytest.mark.parametrize(
    "image",
    [
        "busybox", "busybox:1.36", "library/busybox", "docker.io/busybox", "index.docker.io/a/b", "localhost/a", "Host/a",
        "localhost:5000/a:b", "127.0.0.1:80/a/b_c/d__e/f---g:Tag_1.2-3", "[::1]:5000/a", f"a@{DIGEST}", f"a:1@{DIGEST}",
        DIGEST, "a.b/c", "EXAMPLE.com/a",
    ],
)  # fmt: skip
def test_accepts_names_of_images(image: str) -> None:
    assert name_error(image) == ""


@pytest.mark.parametrize(
    ("image", "why"),
    [
        ("", "invalid reference format"),
        ("Upper/Case:1", "invalid reference format: repository name (Case) must be lowercase"),
        ("Upper", "invalid reference format: repository name (library/Upper) must be lowercase"),
        ("one:2:3", "invalid reference format"),
        ("x@sha256:abc", "invalid reference format"),
        ("a b", "invalid reference format"),
        ("a:", "invalid reference format"),
        ("a:-x", "invalid reference format"),
        ("/a", "invalid reference format"),
        ("a//b", "invalid reference format"),
        ("a___b", "invalid reference format"),
        ("https://host/a", "invalid reference format"),
        (f"a:{'t' * 129}", "invalid reference format"),
        (f"h.io/{'a' * 256}", "repository name must not be more than 255 characters"),
        ("a" * 64, f"invalid repository name ({'a' * 64}), cannot specify 64-byte hexadecimal strings"),
        (f"a@md5:{'a' * 32}", "unsupported digest algorithm"),
        (f"a@sha256:{'a' * 63}", "invalid checksum digest length"),
        (f"a@sha256:{'A' * 64}", "invalid checksum digest format"),
    ],
)
def test_rejects_what_cannot_be_a_name(image: str, why: str) -> None:
    assert name_error(image) == f'couldn\'t parse image name "{image}": {why}'


@pytest.mark.parametrize(
    ("message", "reason", "shown"),
    [
        ("RegistryUnavailable: no route", "RegistryUnavailable", "image pull failed for a because the registry is unavailable: no route"),
        ("SignatureValidationFailed", "SignatureValidationFailed", "image pull failed for a because the signature validation failed"),
        ("not found", "ErrImagePull", "not found"),
    ],
)
def test_a_runtime_may_say_more_exactly_why_a_pull_failed(message: str, reason: str, shown: str) -> None:
    assert pull_failure("a", Failed("PullImage", "UNKNOWN", message)) == (reason, shown)
